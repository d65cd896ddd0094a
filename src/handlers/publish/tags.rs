//! `PUT` and `DELETE /-/package/:name/dist-tags/:tag`.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use npm::{PackageName, is_version, validate_dist_tag};
use store::blocks;

use super::{edit, publisher};
use crate::app::App;
use crate::cache::withheld::blocked;
use crate::error::ApiError;
use crate::extract::body::{drain, read};
use crate::publishing::edits;
use crate::publishing::rights::caller;
use crate::views::{Done, json_answer};

/// Makes a tag mean a version, which is the body: a JSON string.
///
/// # Errors
/// 401, 403, 404, 422, 451 for a version that is blocked.
pub async fn put_tag(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
    tag: &str,
) -> Result<HttpResponse, ApiError> {
    let user = match caller(app, request, &name).await {
        Ok(user) => user,
        Err(refused) => {
            drain(request, payload, app.settings.max_body_bytes).await?;
            return Err(refused);
        }
    };
    let body = read(request, payload, app.settings.max_body_bytes).await?;
    let tag = checked(tag)?;
    let version: String = serde_json::from_slice(&body).unwrap_or_default();
    if !is_version(&version) {
        let text = "version: must match format \"semver-version\"";
        return Err(ApiError::Invalid(text.to_owned()));
    }
    let who = publisher(app, request, &user, &name, &[]).await?;
    who.may_change(&name, &app.engine.before_edit(&name).await?)?;
    let (of, wanted) = (name.clone(), version.clone());
    let read = app.engine.store().read(move |rows| blocks::of_version(rows, &of, &wanted));
    if let Some(block) = read.await? {
        return Err(blocked(format!("{name}@{version}"), &block));
    }
    let of = name.clone();
    edit(app, &name, move |before| edits::put_tag(&of, &who, &tag, &version, before)).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// Removes a tag; one that is not there is removed already.
///
/// # Errors
/// 401, 403 also for `latest`, 404, 422.
pub async fn delete_tag(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
    tag: &str,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    let user = caller(app, request, &name).await?;
    let tag = checked(tag)?;
    let who = publisher(app, request, &user, &name, &[]).await?;
    let of = name.clone();
    edit(app, &name, move |before| edits::remove_tag(&of, &who, &tag, before)).await?;
    Ok(json_answer(&Done { ok: true }))
}

fn checked(tag: &str) -> Result<String, ApiError> {
    let refused = |_| ApiError::Invalid("tag: must match format \"semver-tag\"".to_owned());
    validate_dist_tag(tag).map(str::to_owned).map_err(refused)
}
