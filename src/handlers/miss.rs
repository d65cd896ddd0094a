//! What is not here: fetched through, sent elsewhere, or not found (`sync.on_miss`).

use std::fmt::Display;
use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use actors::registries::NotAsked;
use actors::upstream::{LOOP_HEADER, behind, is_circle};
use actors::{MissDocument, MissError};
use npm::PackageName;
use store::{AnyConnection, StoreError, blocks, releases};

use super::document::{Document, from_memory};
use crate::app::{App, OnMiss};
use crate::base_url::Base;
use crate::cache::bodies::NoBody;
use crate::cache::damage::forget_blob;
use crate::cache::packages::Package;
use crate::cache::render::Wanted;
use crate::cache::tarballs::Place;
use crate::cache::withheld::{Hidden, HiddenVersions};
use crate::error::ApiError;

/// The document of a package that is not here, rendered as soon as it is.
///
/// # Errors
/// What upstream said, or what kept us from asking.
pub async fn document(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    wanted: Wanted,
    base: &Arc<Base>,
) -> Result<Document, ApiError> {
    match app.settings.on_miss {
        OnMiss::None => Ok(Document::NotHere),
        OnMiss::Redirect => redirect(app, request, name).await.map(Document::Found),
        OnMiss::Fetch => fetch(app, request, name, wanted, base).await,
    }
}

/// A package whose stored document is damaged: forgotten, and fetched again like a miss.
///
/// # Errors
/// As [`document`]; 503 when misses are not fetched.
pub async fn repair_document(
    app: &App,
    request: &HttpRequest,
    package: &Package,
    wanted: Wanted,
    base: &Arc<Base>,
    what: &str,
) -> Result<Document, ApiError> {
    forget_blob(&app.engine, &app.packages, &package.name, package.document.digest, what).await;
    match app.settings.on_miss {
        OnMiss::Fetch => fetch(app, request, &package.name, wanted, base).await,
        _ => Err(ApiError::damaged(&package.name)),
    }
}

async fn fetch(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    wanted: Wanted,
    base: &Arc<Base>,
) -> Result<Document, ApiError> {
    let chain = chain(app, request)?;
    let document = behind(chain, app.engine.fetch_document(name)).await;
    let document = document.map_err(|error| ApiError::from_miss(name, &error))?;
    let etag = document.validators.etag.as_deref();
    let hidden = hidden(app, name, &document).await?;
    let body =
        app.bodies.get_fresh(name, &document.body, etag, wanted.clone(), base, &hidden).await;
    keep_when_committed(app, name, &document, &wanted, base);
    match body {
        Ok(body) => from_memory(request, &wanted, &body)
            .map(Document::Found)
            .ok_or_else(|| ApiError::Internal("a fresh document is not in memory".to_owned())),
        Err(NoBody::NoVersion) => Ok(Document::NoVersion),
        Err(NoBody::Failed(error)) => Err(error),
        Err(NoBody::Damaged(what)) => {
            Err(ApiError::BadUpstream(format!("the document of {name} is none: {what}")))
        }
    }
}

/// What of a document that has just come is not shown. A block of the whole package was met
/// before upstream was asked.
async fn hidden(
    app: &App,
    name: &PackageName,
    document: &MissDocument,
) -> Result<Hidden, ApiError> {
    let of = name.clone();
    let read = move |rows: &mut AnyConnection| {
        Ok::<_, StoreError>((blocks::of_package(rows, &of)?, releases::of_package(rows, &of)?))
    };
    let (blocks, released) = app.engine.store().read(read).await?;
    let mut hidden = HiddenVersions::default();
    blocks.iter().for_each(|block| hidden.block(block));
    hidden.versions.extend(document.withheld.iter().cloned());
    for (version, denied) in document.denied.iter().filter(|(key, _)| !released.contains(*key)) {
        hidden.deny(version, denied);
    }
    let policy = app.engine.policy();
    for (version, until_ms) in document.held.iter().filter(|(key, _)| !released.contains(*key)) {
        hidden.hold(version, *until_ms, &policy.hold);
    }
    Ok(Arc::new(hidden))
}

/// The mirrors that the request came through.
///
/// # Errors
/// [`ApiError::Loop`] when this is one of them: it would wait for itself.
pub fn chain(app: &App, request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mirrors = request.headers().get_all(LOOP_HEADER).filter_map(|value| value.to_str().ok());
    let chain = mirrors.collect::<Vec<_>>().join(", ");
    let Some(upstream) = app.engine.upstream().filter(|_| !chain.is_empty()) else {
        return Ok(None);
    };
    let id = &upstream.settings().instance_id;
    if is_circle(chain.as_bytes(), id) {
        return Err(ApiError::Loop(id.clone()));
    }
    Ok(Some(chain))
}

/// What was rendered from the answer to a miss is kept as soon as its commit gave it a
/// revision, so that it is not made again after a restart.
fn keep_when_committed(
    app: &App,
    name: &PackageName,
    document: &Arc<MissDocument>,
    wanted: &Wanted,
    base: &Arc<Base>,
) {
    let (packages, bodies) = (app.packages.clone(), app.bodies.clone());
    let (name, document) = (name.clone(), Arc::clone(document));
    let (wanted, base) = (wanted.clone(), Arc::clone(base));
    app.runtime.spawn(async move {
        let kept = document.committed().await;
        drop(document);
        if !kept {
            return;
        }
        packages.forget(&name);
        if let Ok(Some(package)) = packages.find(&name).await {
            // Only for what it keeps; who asks next sees any error.
            let _ = bodies.get(&package, wanted, &base).await;
        }
    });
}

/// The 404 of something that is not here, with what was done to find it.
pub async fn missing(app: &App, name: &PackageName, what: impl Display) -> ApiError {
    match not_asked(app, name).await {
        Some(why) => ApiError::not_asked(what, &why),
        None if app.settings.on_miss == OnMiss::Fetch => ApiError::package_not_found(what),
        None => ApiError::not_mirrored(what),
    }
}

/// Why no upstream is asked for a name, if none is.
async fn not_asked(app: &App, name: &PackageName) -> Option<NotAsked> {
    if app.engine.registries().ownership().is_private(name) {
        return Some(NotAsked::Private(name.clone()));
    }
    // one that is blocked, or that cannot be read, was refused before
    let package = app.packages.find(name).await.ok().flatten()?;
    package.maintainers.is_some().then(|| NotAsked::Published(name.clone()))
}

/// 302 to the same path upstream.
///
/// # Errors
/// 404 for a name that no upstream is asked for, and when none is known.
pub async fn redirect(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
) -> Result<HttpResponse, ApiError> {
    if let Some(why) = not_asked(app, name).await {
        return Err(ApiError::not_asked(name, &why));
    }
    let upstream = app.settings.upstream_url.as_ref();
    let upstream = upstream.ok_or_else(|| ApiError::not_mirrored(name))?;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let target = format!("{}{path}", upstream.as_str().trim_end_matches('/'));
    let mut answer = HttpResponse::build(StatusCode::FOUND);
    Ok(answer.insert_header((header::LOCATION, target)).finish())
}

/// Whether it is worth looking once more for something our document does not list: upstream was
/// asked again, or the tables are to be read again. Asked
/// at most once per `sync.negative_for`, however many readers want it.
///
/// # Errors
/// None: an upstream that cannot be asked changes nothing.
pub async fn look_again(app: &App, name: &PackageName, what: &str) -> bool {
    if !app.engine.store().is_local() && not_asked(app, name).await.is_some() {
        // another node may have published it a moment ago
        app.packages.forget(name);
        return true;
    }
    if app.settings.on_miss != OnMiss::Fetch {
        return false;
    }
    let key = (name.clone(), what.to_owned());
    if app.missed.get(&key).await.is_some() {
        return false;
    }
    match app.packages.revalidate_now(name).await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(package.name = %name, %error, "upstream was not asked again");
            false
        }
    }
}

/// Notes that upstream does not have it either.
pub async fn remember_missed(app: &App, name: &PackageName, what: &str) {
    app.missed.insert((name.clone(), what.to_owned()), ()).await;
}

/// Why a document that came was not kept, so that its tarballs cannot be had either.
async fn not_kept(app: &App, name: &PackageName) -> ApiError {
    let parked = app.engine.describe().await.ok().and_then(|engine| engine.parked);
    let reason = parked.unwrap_or_else(|| "its document could not be stored".to_owned());
    ApiError::from_miss(name, &MissError::Parked(reason))
}

/// Where a tarball is that no row knows: after upstream was asked for the document.
///
/// # Errors
/// What upstream said about a package that is not here.
pub async fn learn_file(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    file: &str,
) -> Result<Place, ApiError> {
    if app.packages.find(name).await?.is_some() {
        if !look_again(app, name, file).await {
            return Ok(Place::Unknown);
        }
    } else {
        let chain = chain(app, request)?;
        let fetched = behind(chain, app.engine.fetch_document(name)).await;
        let document = fetched.map_err(|error| ApiError::from_miss(name, &error))?;
        if !document.committed().await {
            return Err(not_kept(app, name).await);
        }
        app.packages.forget(name);
    }
    let place = app.tarballs.find(name, file).await?;
    if matches!(place, Place::Unknown) {
        remember_missed(app, name, file).await;
    }
    Ok(place)
}
