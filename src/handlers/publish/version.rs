//! `PUT /:name`: a new version, a deprecation, or a star.

use std::time::Duration;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use actors::MissError;
use actors::publishing::ReceivedTarball;
use npm::PackageName;
use npm::publish::{Attestation, BodyError, PublishBody};
use serde::Serialize;
use store::blocks;

use super::{body, edit, strict};
use crate::app::App;
use crate::cache::withheld::blocked;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::User;
use crate::extract::fields::Fields;
use crate::handlers::stars;
use crate::publishing::edits::{self, NewVersion};
use crate::publishing::rights::{self, Publisher};
use crate::views::{Done, created, json_answer};

/// When a publisher comes back whose upstream did not say when.
const ASK_AGAIN: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Answer {
    ok: bool,
    rev: String,
}

/// Takes what `npm publish`, `npm deprecate` and `npm star` send.
///
/// # Errors
/// 401, 403, 409, 413, 422: see the wire contract, 7.6.
pub async fn put_package(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let user = match rights::caller(app, request, &name).await {
        Ok(user) => user,
        Err(refused) => return refuse(app, request, payload, &name, refused).await,
    };
    let room = app.publishing.room.clone().acquire_owned().await;
    let _room = room.map_err(|_| ApiError::Internal("publishing is closed".to_owned()))?;
    let received = body::receive(app, request, payload).await?;
    if received.tarball_file.is_none()
        && let Ok(fields) = Fields::parse(&received.document)
        && stars::is_star(&fields)
    {
        return stars::put_users(app, request, &fields, name).await;
    }
    let document = std::str::from_utf8(&received.document)
        .map_err(|_| ApiError::BadRequest("the body is not UTF-8".to_owned()))?;
    let sent = PublishBody::parse(document).map_err(refused)?;
    sent.check_name(&name).map_err(refused)?;
    match sent.deprecations().map_err(refused)? {
        Some(told) => deprecate(app, request, &user, name, told).await,
        None => {
            let file = received.tarball_file.as_deref();
            let arrived = Arrived { file, tarball: received.tarball };
            publish(app, request, &user, name, &sent, arrived).await
        }
    }
}

/// A star may be set by tokens and on mirrors that may not publish; everything else is refused, after
/// its body was read.
async fn refuse(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: &PackageName,
    error: ApiError,
) -> Result<HttpResponse, ApiError> {
    if error == ApiError::LoginFirst || matches!(error, ApiError::Unauthorized(_)) {
        drain(request, payload, app.settings.max_body_bytes).await?;
        return Err(error);
    }
    let received = body::receive(app, request, payload).await?;
    if received.tarball_file.is_none()
        && let Ok(fields) = Fields::parse(&received.document)
        && stars::is_star(&fields)
    {
        return stars::put_users(app, request, &fields, name.clone()).await;
    }
    Err(error)
}

fn refused(error: BodyError) -> ApiError {
    match error {
        BodyError::Json { .. } => ApiError::BadRequest(error.to_string()),
        BodyError::Parameter(text) => ApiError::Invalid(text),
        BodyError::Unprocessable(text) => ApiError::Unprocessable(text),
    }
}

async fn deprecate(
    app: &App,
    request: &HttpRequest,
    user: &User,
    name: PackageName,
    told: Vec<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let who = super::publisher(app, request, user, &name, &[]).await?;
    let of = name.clone();
    edit(app, &name, move |before| edits::deprecate(&of, &who, &told, before)).await?;
    Ok(json_answer(&Done { ok: true }))
}

struct Arrived<'a> {
    file: Option<&'a str>,
    tarball: Option<ReceivedTarball>,
}

async fn publish(
    app: &App,
    request: &HttpRequest,
    user: &User,
    name: PackageName,
    sent: &PublishBody<'_>,
    arrived: Arrived<'_>,
) -> Result<HttpResponse, ApiError> {
    let who = super::publisher(app, request, user, &name, &[]).await?;
    who.may_change(&name, &app.engine.before_edit(&name).await?)?;
    let facts = arrived.tarball.as_ref().map(|tarball| &tarball.facts);
    let published = sent.published(arrived.file, facts).map_err(refused)?;
    let Some(tarball) = arrived.tarball else {
        return Err(ApiError::Unprocessable("attachment.data format invalid".to_owned()));
    };
    strict::check(&name, &published, &tarball.package, app.settings.publish.strict)?;
    let read = |bundle: &String| Attestation::read(bundle, &tarball.facts.sha512);
    let attestations = published.bundles.iter().map(read).collect::<Result<Vec<_>, _>>();
    let attestations = attestations.map_err(|error| ApiError::Unprocessable(error.to_string()))?;
    let restricted = sent.access() == Some("restricted") && name.scope().is_some();
    let facts = tarball.facts.clone();
    let new = NewVersion { published, facts, attestations, restricted };
    let _lock = app.publishing.try_lock(&name)?;
    let version = new.published.version.clone();
    not_blocked(app, &name, &version).await?;
    // everything that can be refused is, before the bytes get a name
    let before = app.engine.before_edit(&name).await?;
    let is_unknown = who.asks_upstream(&before);
    if edits::publish(&name, &who, &new, None, before)?.is_some() {
        if is_unknown {
            nobody_has(app, &name).await?;
        }
        let held = app.engine.keep_tarball(tarball).await;
        let held = held.map_err(|error| ApiError::Internal(error.to_string()))?;
        commit(app, &name, who, new, held).await?;
    }
    let after = app.engine.before_edit(&name).await?;
    let id = after.row.map_or(0, |row| row.id);
    Ok(created(&Answer { ok: true, rev: format!("{id}-{version}") }))
}

async fn commit(
    app: &App,
    name: &PackageName,
    who: Publisher,
    new: NewVersion,
    held: actors::publishing::HeldTarball,
) -> Result<(), ApiError> {
    let of = name.clone();
    let is_restricted = new.restricted;
    let decide = move |before| edits::publish(&of, &who, &new, Some(held), before);
    let edited = edit(app, name, decide).await;
    if is_restricted {
        app.access.forget();
    }
    edited.map(|_| ())
}

/// A name that is new here must be new upstream, too, whatever readers' misses do: else two packages
/// would have it. A mirror that has no upstream is the only one who can have it.
async fn nobody_has(app: &App, name: &PackageName) -> Result<(), ApiError> {
    if !matches!(app.engine.registries().for_name(name, None), Ok(Some(_))) {
        return Ok(());
    }
    match app.engine.fetch_document(name).await {
        Ok(_) => Err(ApiError::Forbidden(format!("Can't modify npm public package \"{name}\""))),
        Err(MissError::NotFound | MissError::NotAsked(_) | MissError::Gone(_)) => Ok(()),
        Err(error) => Err(not_known(name, &error)),
    }
}

/// Whether an upstream has the name cannot be found out now.
fn not_known(name: &PackageName, error: &MissError) -> ApiError {
    let retry_after = match error {
        MissError::Unavailable { retry_after, .. } => *retry_after,
        _ => ASK_AGAIN,
    };
    ApiError::Unavailable {
        reason: format!(
            "{name} is new here, and its upstream cannot be asked whether it has a package of that \
             name: {error}"
        ),
        retry_after,
        hint: "publish it in a scope of publish.scopes, which no upstream is asked for, or try \
               again when the upstream answers",
    }
}

/// What is blocked is not published again under the same number; the block stays when the version
/// goes.
async fn not_blocked(app: &App, name: &PackageName, version: &str) -> Result<(), ApiError> {
    let (of, wanted) = (name.clone(), version.to_owned());
    let read = app.engine.store().read(move |rows| blocks::of_version(rows, &of, &wanted));
    match read.await? {
        Some(block) => Err(blocked(format!("{name}@{version}"), &block)),
        None => Ok(()),
    }
}
