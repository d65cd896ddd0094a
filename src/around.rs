//! What goes around every request: request id, CORS, preflight, panics, counters, logs.
//!
//! One function instead of a stack of middleware: it runs for every request and boxes nothing.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{ConnectionType, Method, StatusCode, Uri, Version};
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::FutureExt;
use futures_util::future::{Either, ready};

use crate::app::App;
use crate::connection::{Heard, streamed};
use crate::counters::WorkerCounters;
use crate::error::ApiError;
use crate::extract::request_id::{REQUEST_ID, RequestId, X_REQUEST_ID};

const ANY: HeaderValue = HeaderValue::from_static("*");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// One per worker.
pub struct Around {
    app: Arc<App>,
    counters: Arc<WorkerCounters>,
    own_api: bool,
}

/// What is remembered of a request for its log line.
struct LogLine {
    method: Method,
    path: String,
    client: Option<std::net::IpAddr>,
    asked: Instant,
}

impl Around {
    /// For the registry and the ops listener.
    #[must_use]
    pub fn registry(app: &Arc<App>) -> Rc<Self> {
        let counters = app.counters.of_worker();
        Rc::new(Self { app: Arc::clone(app), counters, own_api: false })
    }

    /// For the owner-only API, whose errors say more and which has no CORS.
    #[must_use]
    pub fn owner(app: &Arc<App>) -> Rc<Self> {
        Rc::new(Self { app: Arc::clone(app), counters: Arc::default(), own_api: true })
    }

    /// Answers one request.
    pub fn call<S>(
        self: Rc<Self>,
        mut request: ServiceRequest,
        routes: &S,
    ) -> impl Future<Output = Result<ServiceResponse<BoxBody>, Error>> + use<S>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
    {
        let id = self.app.request_ids.of(request.headers());
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read {
            request.extensions_mut().insert(RequestId(id.clone()));
        }
        let line = self.app.settings.log_access.then(|| self.log_line(&request));
        if let Some(prefix) = self.app.bases.prefix() {
            strip_prefix(&mut request, prefix);
        }
        let own_api = self.own_api || is_own_path(request.path());
        let heard = request.conn_data::<Rc<Heard>>().cloned();
        if let Some(heard) = &heard {
            heard.request();
        }
        let answer = match self.before_routes(&request) {
            Some(answer) => Either::Left(ready(Ok(Ok(request.into_response(answer))))),
            None => Either::Right(AssertUnwindSafe(routes.call(request)).catch_unwind()),
        };
        async move {
            let answer = match answer.await {
                Ok(answer) => answer,
                Err(_) => Err(panicked(&id)),
            };
            if let Some(heard) = &heard {
                heard.answer();
            }
            let answer = self.finish(answer?, id, is_read, own_api, line)?;
            Ok(match heard {
                Some(heard) => answer.map_body(|_, body| streamed::known(body, &heard)),
                None => answer,
            })
        }
    }

    /// The answer to what no route is for.
    fn before_routes(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        if has_unclear_end(request) {
            return Some(refuse_unclear_end());
        }
        let asks_what_is_allowed = *request.method() == Method::OPTIONS && !self.own_api;
        asks_what_is_allowed.then(|| preflight(request.headers()))
    }

    fn finish(
        &self,
        mut answer: ServiceResponse<BoxBody>,
        id: HeaderValue,
        is_read: bool,
        own_api: bool,
        line: Option<LogLine>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let status = answer.status();
        // What is not implemented is no failure, and npm asks for it in every install.
        let failed = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        self.counters.answered(failed);
        if failed {
            log_error(&answer, &id);
        }
        if own_api {
            answer = with_own_fields(answer, &id);
        }
        let headers = answer.headers_mut();
        if is_read && !self.own_api {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        }
        headers.insert(X_REQUEST_ID, id.clone());
        headers.insert(REQUEST_ID, id);
        guard_browsers(headers);
        if let Some(line) = line {
            line.write(&answer);
        }
        Ok(answer)
    }

    fn log_line(&self, request: &ServiceRequest) -> LogLine {
        let peer = request.peer_addr().map(|address| address.ip());
        LogLine {
            method: request.method().clone(),
            path: shown(request.uri().path()).to_owned(),
            client: self.app.bases.client(request.headers(), peer),
            asked: Instant::now(),
        }
    }
}

impl LogLine {
    fn write(&self, answer: &ServiceResponse<BoxBody>) {
        let size_bytes = match answer.response().body().size() {
            actix_web::body::BodySize::Sized(length) => length,
            _ => 0,
        };
        tracing::info!(
            method = %self.method,
            path = self.path,
            status = answer.status().as_u16(),
            client = self.client.map(tracing::field::display),
            size_bytes,
            duration_ms = u64::try_from(self.asked.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request answered",
        );
    }
}

/// Tells browsers that nothing of ours is a page: what packages say about themselves is never run,
/// framed or taken for another type. An answer that is a page says what it may do itself.
fn guard_browsers(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, NOTHING);
    }
}

/// Whether two programs that read this request may disagree about where it ends (RFC 9112, 6.1):
/// one of them then takes its end for the next request.
fn has_unclear_end(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    let Some(coding) = headers.get(header::TRANSFER_ENCODING) else { return false };
    let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    !is_chunked
        || headers.contains_key(header::CONTENT_LENGTH)
        || request.version() < Version::HTTP_11
}

fn refuse_unclear_end() -> HttpResponse {
    let rule =
        "a body is announced by Content-Length or by Transfer-Encoding: chunked, not by both";
    let mut answer = ApiError::BadRequest(rule.to_owned()).error_response();
    answer.head_mut().set_connection_type(ConnectionType::Close);
    answer
}

/// A path as it may be logged: npm says tokens in the paths that end them, and whoever knows the
/// address of a sign-in is let in.
fn shown(path: &str) -> &str {
    const SECRETS: [&str; 5] = [
        "/-/user/token/",
        "/-/npm/v1/tokens/",
        "/-/v1/login/request/session/",
        "/-/v1/login/done/session/",
        "/-/ui/join/",
    ];
    SECRETS.into_iter().find(|before| path.contains(before)).unwrap_or(path)
}

/// Whether a path of the registry belongs to our own API, whose errors say more.
fn is_own_path(path: &str) -> bool {
    path.strip_prefix("/-/tasks").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// 204 for everybody who asks what is allowed: reading, from everywhere, without credentials.
fn preflight(asked: &HeaderMap) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    answer.insert_header((header::ALLOW, "GET, HEAD, OPTIONS"));
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY));
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET,HEAD"));
    if let Some(headers) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone()));
    }
    answer.finish()
}

fn panicked(id: &HeaderValue) -> Error {
    tracing::error!(request.id = ?id, "a request handler panicked");
    let error = ApiError::Internal("a request handler panicked".to_owned());
    let mut answer = error.respond(id.to_str().ok());
    answer.headers_mut().insert(REQUEST_ID, id.clone());
    answer.headers_mut().insert(X_REQUEST_ID, id.clone());
    InternalError::from_response(error, answer).into()
}

/// Logged here and nowhere else: the only place that sees both the cause and the request.
fn log_error(answer: &ServiceResponse<BoxBody>, id: &HeaderValue) {
    let path = shown(answer.request().path());
    let error = answer.response().error();
    match error.and_then(|error| error.as_error::<ApiError>()) {
        Some(ApiError::Internal(cause)) => {
            tracing::error!(request.id = ?id, path, cause, "a request failed");
        }
        Some(error) => tracing::warn!(request.id = ?id, path, %error, "a request was not served"),
        None => tracing::warn!(request.id = ?id, path, "a request was not served"),
    }
}

fn with_own_fields(answer: ServiceResponse<BoxBody>, id: &HeaderValue) -> ServiceResponse<BoxBody> {
    let error = answer.response().error().and_then(|error| error.as_error::<ApiError>());
    match error.map(|error| error.respond(id.to_str().ok())) {
        Some(with_fields) => answer.into_response(with_fields),
        None => answer,
    }
}

/// A proxy may pass the path prefix of `public_url` on to us; routes know nothing of it.
fn strip_prefix(request: &mut ServiceRequest, prefix: &str) {
    let path = request.uri().path_and_query().map(PathAndQuery::as_str);
    let Some(rest) = path.and_then(|path| behind_prefix(path, prefix)) else { return };
    if let Ok(shorter) = rest.parse::<Uri>() {
        request.match_info_mut().get_mut().update(&shorter);
        request.head_mut().uri = shorter;
    }
}

/// The part behind a prefix, when the prefix is still there. Under `/npm/` a proxy that takes
/// the prefix off leaves `/npm` and `/npm/-/npm-1.0.0.tgz` for the package `npm`: those are
/// no paths behind a prefix.
fn behind_prefix<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'))?;
    let (plain, _) = rest.split_once('?').unwrap_or((rest, ""));
    let file = plain.strip_prefix("/-/");
    let is_tarball = file.is_some_and(|file| !file.contains('/') && file.ends_with(".tgz"));
    (!is_tarball).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_taken_off_once_and_only_when_it_is_one() {
        for (path, rest) in [
            ("/npm/lamp", Some("/lamp")),
            ("/npm/lamp?write=true", Some("/lamp?write=true")),
            ("/npm/", Some("/")),
            ("/npm/-/ping", Some("/-/ping")),
            ("/npm/npm", Some("/npm")),
            ("/npm/npm/-/npm-1.0.0.tgz", Some("/npm/-/npm-1.0.0.tgz")),
            ("/npm", None),
            ("/npm/-/npm-1.0.0.tgz", None),
            ("/npmlog", None),
            ("/lamp", None),
        ] {
            assert_eq!(behind_prefix(path, "/npm"), rest, "{path}");
        }
    }

    #[test]
    fn a_token_in_a_path_is_not_logged() {
        assert_eq!(shown("/-/user/token/npm_secret"), "/-/user/token/");
        assert_eq!(shown("/npm/-/user/token/npm_secret/"), "/-/user/token/");
        assert_eq!(shown("/-/npm/v1/tokens/token/npm_secret"), "/-/npm/v1/tokens/");
        assert_eq!(shown("/-/v1/login/done/session/secret"), "/-/v1/login/done/session/");
        assert_eq!(shown("/npm/-/ui/join/secret"), "/-/ui/join/");
        assert_eq!(shown("/@s%2fn/-/n-1.0.0.tgz"), "/@s%2fn/-/n-1.0.0.tgz");
    }
}
