//! `GET /-/package/:name/dist-tags`.

use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;

use super::document::{self, Document};
use super::miss;
use crate::app::App;
use crate::cache::render::Wanted;
use crate::error::ApiError;

/// Serves the dist-tags of a package as one object.
///
/// # Errors
/// 404, or what the way upstream said.
pub async fn get_dist_tags(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    match document::find(app, request, &name, Wanted::DistTags).await? {
        Document::Found(answer) => Ok(answer),
        Document::NoVersion | Document::NotHere => Err(miss::missing(app, &name, &name).await),
    }
}
