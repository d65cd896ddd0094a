//! Paths and methods that are not served: always JSON, always at once, never HTML.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use npm::PackagePath;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;

/// The methods of everything that only reads.
pub const READING: &str = "GET, HEAD, OPTIONS";

/// `/-/all`: the list of everything, which registries stopped answering years ago.
///
/// # Errors
/// Always 410.
pub async fn get_all() -> Result<HttpResponse, ApiError> {
    Err(ApiError::Gone("/-/all is gone; search with /-/v1/search".to_owned()))
}

/// A path that exists with a method that does not.
///
/// # Errors
/// Always 405, after the body was read.
pub async fn wrong_method(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    drain(&request, payload, app.settings.max_body_bytes).await?;
    Err(ApiError::MethodNotAllowed { allow: READING })
}

/// A path that only takes commands of one method, with another.
///
/// # Errors
/// Always 405, after the body was read.
pub async fn only(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    allow: &'static str,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    Err(ApiError::MethodNotAllowed { allow })
}

/// A path that does not exist.
///
/// # Errors
/// Always 404, after the body was read.
pub async fn unknown(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    drain(&request, payload, app.settings.max_body_bytes).await?;
    Err(ApiError::not_found(request.uri().path()))
}

/// Whether a path below `/-/` is one of the package whose name is `-`.
#[must_use]
pub fn is_package_dash(request: &HttpRequest) -> bool {
    let parsed = PackagePath::parse(request.uri().path());
    !matches!(parsed, Ok(PackagePath::Other) | Err(_))
}
