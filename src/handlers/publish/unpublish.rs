//! `DELETE …/-rev/:rev`: `npm unpublish` of a version or of the whole package.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use npm::version_of_tarball_file;

use super::{Revised, command, edit, publisher};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::publishing::edits;
use crate::publishing::rights::caller;
use crate::views::{Done, json_answer};

/// Takes away what the path names.
///
/// # Errors
/// 400 for another command, 401, 403 (also after 72 hours), 404.
pub async fn delete_revision(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    what: Revised,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    if command(request) != "unpublish" {
        return Err(ApiError::BadRequest("Only allow \"unpublish\" npm-command".to_owned()));
    }
    let (name, version) = match what {
        Revised::Package(name) => (name, None),
        Revised::Tarball(name, file) => {
            let version = version_of_tarball_file(&name, &file).map(str::to_owned);
            let version = version.ok_or_else(|| ApiError::not_found(&file))?;
            (name, Some(version))
        }
    };
    let user = caller(app, request, &name).await?;
    let who = publisher(app, request, &user, &name, &[]).await?;
    let of = name.clone();
    let clock = app.engine.policy().clock.clone();
    let decide =
        move |before| edits::unpublish(&of, &who, version.as_deref(), clock.now_ms(), before);
    edit(app, &name, decide).await?;
    Ok(json_answer(&Done { ok: true }))
}
