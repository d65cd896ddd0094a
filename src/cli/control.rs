//! The client of a running server: over the control socket of the data folder, or from afar.

use std::{io::ErrorKind, os::unix::net::UnixStream, path::PathBuf, pin::Pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use reqwest::{Certificate, Client, Method, Response, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};

use super::{exit::Exit, place::by, problem::Problem};
use crate::{
    config::{Config, Remote},
    control::messages::{ErrorBody, OperationLine, PREFIX},
    control::operator::WHO,
};

/// Name of the socket in the data folder.
pub const SOCKET_NAME: &str = "espejo.sock";

/// A server that answers on its control socket; cheap to clone.
#[derive(Clone)]
pub struct ControlClient {
    client: Client,
    /// Without a slash at its end.
    base: String,
    /// Opens a server elsewhere; sent there and nowhere else.
    token: Option<String>,
}

/// A server elsewhere that does not take a connection in this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What a request carries.
#[derive(Debug, Clone, Copy)]
enum Body<'a, T> {
    Nothing,
    Json(&'a T),
    Query(&'a T),
}

impl ControlClient {
    /// Connects to the server that the command names, else to that of the data folder; `None`
    /// when none runs.
    ///
    /// # Errors
    /// When a socket is there that may not be used, or an authority's file cannot be read.
    pub fn connect(config: &Config) -> Result<Option<Self>, Problem> {
        if let Some(remote) = &config.remote {
            return Self::elsewhere(remote).map(Some);
        }
        let path = config.storage.path.join(SOCKET_NAME);
        match UnixStream::connect(&path) {
            Ok(_) => Self::new(path).map(Some),
            // A socket file that nobody listens on is left by a server that was killed.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let what = format!("may not use the control socket {}", path.display());
                Err(Problem::new(Exit::NotAuthorised, "NOT_AUTHORISED", what)
                    .why("it belongs to the user who runs the mirror")
                    .hint("run the command as that user"))
            }
            Err(error) => {
                let what = format!("cannot use the control socket {}", path.display());
                Err(Problem::new(Exit::Unreachable, "UNREACHABLE", what).why(error))
            }
        }
    }

    fn new(path: PathBuf) -> Result<Self, Problem> {
        // No certificates: nothing but the socket is ever spoken to.
        let client = Client::builder().unix_socket(path).tls_certs_only([]).http1_only();
        let client = client.build().map_err(|error| Problem::failed(error.to_string()))?;
        Ok(Self { client, base: "http://espejo".to_owned(), token: None })
    }

    fn elsewhere(remote: &Remote) -> Result<Self, Problem> {
        let mut client =
            Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_WITHIN).http1_only();
        if let Some(file) = &remote.ca {
            let unreadable = |error: &dyn std::fmt::Display| {
                Problem::usage(format!("cannot use {}", file.display())).why(error)
            };
            let text = std::fs::read(file).map_err(|error| unreadable(&error))?;
            let more = Certificate::from_pem_bundle(&text).map_err(|error| unreadable(&error))?;
            client = client.tls_certs_merge(more);
        }
        let client = client.build().map_err(|error| Problem::failed(error.to_string()))?;
        let base = remote.url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { client, base, token: remote.token.clone() })
    }

    /// `GET` of one JSON document.
    ///
    /// # Errors
    /// When the server refuses or goes away.
    pub async fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, Problem> {
        document(self.send(Method::GET, path, Body::<()>::Nothing).await?).await
    }

    /// `GET` with a query.
    ///
    /// # Errors
    /// When the server refuses or goes away.
    pub async fn find<Query: Serialize, Answer: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
    ) -> Result<Answer, Problem> {
        document(self.send(Method::GET, path, Body::Query(query)).await?).await
    }

    /// `POST` of a JSON document.
    ///
    /// # Errors
    /// When the server refuses or goes away.
    pub async fn post<Request: Serialize, Answer: DeserializeOwned>(
        &self,
        path: &str,
        request: &Request,
    ) -> Result<Answer, Problem> {
        document(self.send(Method::POST, path, Body::Json(request)).await?).await
    }

    /// `GET` of endless JSON lines.
    ///
    /// # Errors
    /// When the server refuses or goes away.
    pub async fn lines<Line: DeserializeOwned>(&self, path: &str) -> Result<Lines<Line>, Problem> {
        Ok(Lines::new(self.send(Method::GET, path, Body::<()>::Nothing).await?))
    }

    /// `GET` of endless lines that are no JSON.
    ///
    /// # Errors
    /// When the server refuses or goes away.
    pub async fn text_lines(&self, path: &str) -> Result<TextLines, Problem> {
        Ok(TextLines::new(self.send(Method::GET, path, Body::<()>::Nothing).await?))
    }

    /// A long operation: `progress` sees (done, total), the report comes back.
    ///
    /// # Errors
    /// When the operation fails or the server goes away.
    pub async fn operate<Request: Serialize, Report: DeserializeOwned>(
        &self,
        path: &str,
        request: &Request,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Report, Problem> {
        let response = self.send(Method::POST, path, Body::Json(request)).await?;
        let mut lines: Lines<OperationLine> = Lines::new(response);
        while let Some(line) = lines.next().await? {
            match line {
                OperationLine::Progress { done, total } => progress(done, total),
                OperationLine::Failed { error } => return Err(Problem::failed(error)),
                OperationLine::Report { report } => {
                    return serde_json::from_value(report).map_err(|error| unreadable(&error));
                }
            }
        }
        Err(went_away("it ended before it was done"))
    }

    async fn send<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Body<'_, T>,
    ) -> Result<Response, Problem> {
        let request = self.client.request(method, format!("{}{PREFIX}/{path}", self.base));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request.header(WHO, by().who),
        };
        let request = match body {
            Body::Nothing => request,
            Body::Json(json) => request.json(json),
            Body::Query(query) => request.query(query),
        };
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() { Ok(response) } else { Err(refused(response).await) }
    }
}

impl ControlClient {
    fn unreachable(&self, error: reqwest::Error) -> Problem {
        if error.is_connect() {
            let what = format!("no mirror answers at {}", self.base);
            // the address stands in the sentence above
            return Problem::new(Exit::Unreachable, "UNREACHABLE", what)
                .why(error.without_url())
                .hint("check --server, or ESPEJO_SERVER");
        }
        went_away(error)
    }
}

async fn document<Answer: DeserializeOwned>(response: Response) -> Result<Answer, Problem> {
    let body = response.bytes().await.map_err(went_away)?;
    serde_json::from_slice(&body).map_err(|error| unreadable(&error))
}

async fn refused(response: Response) -> Problem {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    let (exit, code) = match status.as_u16() {
        401 | 403 => (Exit::NotAuthorised, "NOT_AUTHORISED"),
        404 => (Exit::NotFound, "NOT_FOUND"),
        400 | 422 => (Exit::Usage, "REFUSED"),
        503 => (Exit::Unreachable, "UNAVAILABLE"),
        _ => (Exit::Failed, "FAILED"),
    };
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(error) => {
            let problem = Problem::new(exit, code, error.reason);
            match error.hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        }
        Err(_) => Problem::new(exit, code, format!("the running mirror answered {status}")),
    }
}

/// The server ended in the middle of an answer.
pub fn went_away(cause: impl std::fmt::Display) -> Problem {
    Problem::new(Exit::Unreachable, "UNREACHABLE", "the running mirror went away")
        .why(cause)
        .hint("espejo status")
}

/// The server answered something else than was agreed.
pub fn unreadable(error: &serde_json::Error) -> Problem {
    Problem::failed("the running mirror answered something this version does not understand")
        .why(error)
        .hint("use the same version for the command and the mirror")
}

type ByteStream = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// JSON lines of a response as they come.
pub struct Lines<Line> {
    text: TextLines,
    line: std::marker::PhantomData<fn() -> Line>,
}

impl<Line: DeserializeOwned> Lines<Line> {
    fn new(response: Response) -> Self {
        Self { text: TextLines::new(response), line: std::marker::PhantomData }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// When the server goes away or the line is no JSON of this kind.
    pub async fn next(&mut self) -> Result<Option<Line>, Problem> {
        while let Some(line) = self.text.next().await? {
            if !line.is_empty() {
                return serde_json::from_slice(&line).map(Some).map_err(|error| unreadable(&error));
            }
        }
        Ok(None)
    }
}

/// Lines of a response as they come, without their ends.
pub struct TextLines {
    stream: ByteStream,
    waiting: BytesMut,
}

impl TextLines {
    fn new(response: Response) -> Self {
        Self { stream: Box::pin(response.bytes_stream()), waiting: BytesMut::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// When the server goes away.
    pub async fn next(&mut self) -> Result<Option<BytesMut>, Problem> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line = self.waiting.split_to(end);
                self.waiting.advance(1);
                return Ok(Some(line));
            }
            match self.stream.next().await {
                Some(Ok(bytes)) => self.waiting.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(went_away(error)),
                None => return Ok(None),
            }
        }
    }
}
