//! `security.always_auth`: without a good token only logins and health are answered.

use std::rc::Rc;

use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue};
use actix_web::web::{Data, Payload};
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};

use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::Caller;

/// What ways in there are, and what load balancers ask for.
const OPEN: [&str; 5] = ["/-/ping", "/-/livez", "/-/readyz", "/-/v1/login", "/-/ui/join"];

/// Whether requests need a token; off, it costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct AlwaysAuth(pub bool);

/// One per worker.
#[derive(Debug)]
pub struct Gate<S> {
    on: bool,
    routes: Rc<S>,
}

impl<S> Transform<S, ServiceRequest> for AlwaysAuth
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Gate<S>;
    type InitError = ();
    type Future = Ready<Result<Gate<S>, ()>>;

    fn new_transform(&self, routes: S) -> Self::Future {
        ready(Ok(Gate { on: self.0, routes: Rc::new(routes) }))
    }
}

impl<S> Service<ServiceRequest> for Gate<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = Either<S::Future, LocalBoxFuture<'static, Result<Self::Response, Error>>>;

    forward_ready!(routes);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        if !self.on || is_open(request.method(), request.path()) {
            return Either::Left(self.routes.call(request));
        }
        Either::Right(Box::pin(with_token(Rc::clone(&self.routes), request)))
    }
}

/// Lets a request through whose caller is known; a refusal is an answer, too.
async fn with_token<S>(
    routes: Rc<S>,
    mut request: ServiceRequest,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let Err(refused) = check(&request).await else {
        let mut answer = routes.call(request).await?;
        for_this_caller(answer.headers_mut());
        return Ok(answer);
    };
    let limit = request.app_data::<Data<App>>().map_or(0, |app| app.settings.max_body_bytes);
    let payload = request.extract::<Payload>().await?;
    // who is refused gets the answer, and not a connection reset while he still writes
    let read = drain(request.request(), payload, limit).await;
    Ok(request.error_response(read.err().unwrap_or(refused)))
}

async fn check(request: &ServiceRequest) -> Result<(), ApiError> {
    let app = request.app_data::<Data<App>>();
    let app = app.ok_or_else(|| ApiError::Internal("a server without its App".into()))?;
    Caller::token_of(app, request.request()).await?.map(drop).ok_or(ApiError::LoginFirst)
}

/// A proxy that keeps the answer would hand it to those who have no token.
fn for_this_caller(headers: &mut HeaderMap) {
    let kept = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let private = kept
        .and_then(|value| value.strip_prefix("public"))
        .and_then(|rest| HeaderValue::try_from(format!("private{rest}")).ok());
    if let Some(private) = private {
        headers.insert(CACHE_CONTROL, private);
    }
}

fn is_open(method: &Method, path: &str) -> bool {
    if path.starts_with("/-/user/org.couchdb.user") {
        return *method == Method::PUT;
    }
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
    OPEN.iter().any(|open| path.strip_prefix(open).is_some_and(is_below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ways_in_and_health_are_open() {
        for (method, path, open) in [
            (Method::PUT, "/-/user/org.couchdb.user:ada", true),
            (Method::PUT, "/-/user/org.couchdb.user%3Aada/-rev/1-a", true),
            (Method::GET, "/-/user/org.couchdb.user:ada", false),
            (Method::POST, "/-/v1/login", true),
            (Method::GET, "/-/v1/login/done/session/x", true),
            (Method::GET, "/-/v1/loginx", false),
            (Method::GET, "/-/v1/search", false),
            (Method::GET, "/-/ping", true),
            (Method::GET, "/-/ping/", true),
            (Method::GET, "/-/metrics", false),
            (Method::GET, "/", false),
            (Method::GET, "/lamp", false),
            (Method::GET, "/lamp/-/lamp-1.0.0.tgz", false),
            (Method::GET, "/-/-/ping", false),
        ] {
            assert_eq!(is_open(&method, path), open, "{method} {path}");
        }
    }
}
