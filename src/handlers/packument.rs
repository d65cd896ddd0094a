//! `GET /:name`: all versions of a package.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use npm::{PackageName, PackumentForm};

use super::document::{self, Document};
use super::miss;
use crate::app::App;
use crate::cache::render::Wanted;
use crate::error::ApiError;
use crate::extract::encoding::Encoding;

/// Serves a packument; only a package that is not here waits for its upstream.
///
/// # Errors
/// 404, or what the way upstream said.
pub async fn get_packument(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let wanted = Wanted::Packument(form_of(request), Encoding::from_headers(request.headers()));
    match document::find(app, request, &name, wanted).await? {
        Document::Found(answer) => Ok(answer),
        Document::NoVersion | Document::NotHere => Err(miss::missing(app, &name, &name).await),
    }
}

/// The form that `Accept` prefers.
#[must_use]
pub fn form_of(request: &HttpRequest) -> PackumentForm {
    let accept = request.headers().get(header::ACCEPT);
    PackumentForm::from_accept(accept.and_then(|value| value.to_str().ok()))
}
