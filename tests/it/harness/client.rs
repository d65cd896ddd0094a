//! An HTTP client that sends exactly what a test writes and shows exactly what came back.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::secrets;

/// One request, built up and then sent on a connection of its own.
#[must_use]
pub struct Request {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// One answer, as it came.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body has the announced length.
    pub complete: bool,
}

impl Request {
    /// A request with `Host: ADDRESS` and nothing else; `target` goes out byte for byte.
    pub fn new(address: SocketAddr, method: &str, target: &str) -> Self {
        let headers = vec![("host".to_owned(), address.to_string())];
        Self {
            address,
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            body: vec![],
        }
    }

    /// Sets a header, in place of one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends a token along.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends a JSON body along.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Asks for the form an install needs.
    pub fn abbreviated(self) -> Self {
        self.header("accept", "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8")
    }

    /// Sends a body along.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sends the request head and leaves: the client that goes away.
    pub async fn send_and_leave(self) {
        let mut stream = TcpStream::connect(self.address).await.expect("the mirror listens");
        stream.write_all(&self.bytes()).await.expect("the mirror reads");
        // Half-closed first, so that the head is surely read before the connection is gone.
        stream.shutdown().await.expect("an open socket");
        drop(stream);
    }

    /// Sends the request and keeps the connection open without reading.
    pub async fn open(self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("the mirror listens");
        stream.write_all(&self.bytes()).await.expect("the mirror reads");
        stream
    }

    /// Sends the request and reads the answer to the end of the connection.
    pub async fn send(self) -> Answer {
        let head_only = self.method == "HEAD";
        let what = format!("{} {}", self.method, self.target);
        let exchange = async move {
            let mut stream = self.open().await;
            let mut bytes = Vec::new();
            // A connection cut by the server shows as an incomplete body.
            let _ = stream.read_to_end(&mut bytes).await;
            bytes
        };
        let limit = Duration::from_secs(60);
        let bytes = tokio::time::timeout(limit, exchange).await;
        let bytes = bytes.unwrap_or_else(|_| panic!("{what} was not answered in {limit:?}"));
        let answer = Answer::parse(&bytes, head_only).unwrap_or_else(|| {
            panic!("{what} got no HTTP answer: {:?}", String::from_utf8_lossy(&bytes))
        });
        if answer.status < 400 {
            secrets::keep_body(&answer.body);
        } else {
            secrets::absent_from(&what, &String::from_utf8_lossy(&bytes));
        }
        answer
    }

    fn bytes(&self) -> Vec<u8> {
        let authorization = self.headers.iter().find(|(name, _)| name == "authorization");
        if let Some((_, value)) = authorization {
            secrets::keep_authorization(value);
        }
        secrets::keep_body(&self.body);
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || self.method == "PUT" || self.method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Answer {
    fn parse(bytes: &[u8], head_only: bool) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        let mut answer =
            Self { status, headers: headers.collect(), body: Vec::new(), complete: true };
        let rest = bytes.get(end + 4..)?;
        if answer.header("transfer-encoding") == Some("chunked") {
            (answer.body, answer.complete) = unchunk(rest);
        } else {
            answer.body = rest.to_vec();
            let announced = answer.header("content-length").and_then(|value| value.parse().ok());
            answer.complete =
                head_only || announced.is_none_or(|length: usize| length == rest.len());
        }
        Some(answer)
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header that has to be there.
    pub fn must(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name} among {:?}", self.headers))
    }

    /// The body as JSON, unzipped when it came gzipped.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.plain()).unwrap_or_else(|error| {
            panic!("{error} in a {} body: {}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// The body without its content encoding.
    pub fn plain(&self) -> Vec<u8> {
        match self.header("content-encoding") {
            Some("gzip") => super::package::gunzip(&self.body),
            None | Some("identity") => self.body.clone(),
            Some(other) => panic!("content-encoding {other} was not asked for"),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.plain()).into_owned()
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Checks the common error envelope and returns its `error` text.
    #[track_caller]
    pub fn error(&self) -> String {
        let body = self.json();
        let error = body["error"].as_str().expect("an error text").to_owned();
        let reason = body["reason"].as_str().expect("a reason");
        assert!(error.starts_with('['), "{error} has no [CODE]");
        assert!(error.ends_with(reason), "{error} and {reason} differ");
        error
    }
}

/// Puts the chunks together; `false` when the last one is missing.
fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&rest[..line]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return (body, false);
        };
        let from = line + 2;
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(from..from + size) else {
            body.extend_from_slice(rest.get(from..).unwrap_or_default());
            return (body, false);
        };
        body.extend_from_slice(chunk);
        rest = rest.get(from + size + 2..).unwrap_or_default();
    }
}
