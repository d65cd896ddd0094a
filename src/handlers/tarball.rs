//! Tarballs: from their blob, or streamed from upstream while they are being checked.

use std::sync::Arc;

use actix_web::body::{self, BoxBody, SizedStream};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use actors::upstream::behind;
use actors::{MissError, TarballFetch};
use bytes::Bytes;
use npm::PackageName;
use store::blobs::{BlobError, BlobReader, SMALL_BLOB_BYTES};
use tokio::sync::OwnedSemaphorePermit;

use super::miss;
use crate::access::gate;
use crate::app::{App, OnMiss};
use crate::cache::damage::{forget_blob, forget_later, is_damage};
use crate::cache::tarballs::{Held, Place};
use crate::error::ApiError;
use crate::extract::conditional::{not_modified, range_applies};
use crate::extract::range::{RangeAnswer, asked_range};
use crate::views::body::{SLICE_BYTES, blob_body, head_body, memory_body};

/// What a tarball never changes to: name and version stand for one content for ever.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// Serves a tarball by the file name in its URL.
///
/// # Errors
/// 404, 416, or what the way upstream said.
pub async fn get_tarball(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
    file: String,
) -> Result<HttpResponse, ApiError> {
    let place = match app.tarballs.find(&name, &file).await {
        Ok(place) => place,
        Err(refused) => return gate::before_telling(app, request, &name, refused).await,
    };
    match &place {
        Place::Held(held) if !held.is_ours => return serve(app, request, &name, held).await,
        // of a package that somebody may not read, nothing is told, not even what it lacks
        _ => {
            let let_in = gate::of_name(app, request, &name).await?;
            let answer = elsewhere(app, request, name, file, place).await?;
            Ok(let_in.mark(answer))
        }
    }
}

/// What is not simply here for everybody.
async fn elsewhere(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
    file: String,
    place: Place,
) -> Result<HttpResponse, ApiError> {
    match place {
        Place::Held(held) => return serve(app, request, &name, &held).await,
        Place::Remote { version, etag } if app.settings.on_miss == OnMiss::Fetch => {
            return fetch(app, request, &name, &version, etag).await;
        }
        Place::Remote { .. } | Place::Unknown => {}
    }
    match app.settings.on_miss {
        OnMiss::None => Err(miss::missing(app, &name, what(&name, &file)).await),
        OnMiss::Redirect => miss::redirect(app, request, &name).await,
        OnMiss::Fetch => match miss::learn_file(app, request, &name, &file).await? {
            Place::Held(held) => serve(app, request, &name, &held).await,
            Place::Remote { version, etag } => fetch(app, request, &name, &version, etag).await,
            Place::Unknown => Err(miss::missing(app, &name, what(&name, &file)).await),
        },
    }
}

/// How people call the file: by its version when it has one.
fn what(name: &PackageName, file: &str) -> String {
    match npm::version_of_tarball_file(name, file) {
        Some(version) => format!("{name}@{version}"),
        None => format!("{name}: {file}"),
    }
}

/// Serves bytes that are here; damaged ones are forgotten and fetched again, never sent.
async fn serve(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    held: &Arc<Held>,
) -> Result<HttpResponse, ApiError> {
    if not_modified(request.headers(), held.etag.as_bytes()) {
        return Ok(unmodified(held));
    }
    match send(app, request, name, held).await? {
        Ok(answer) => Ok(answer),
        Err(error) => recover(app, request, name, held, &error).await,
    }
}

/// Compaction may have moved the blob since its place was read: look it up once more. What is
/// really damaged is fetched again.
async fn recover(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    held: &Arc<Held>,
    error: &BlobError,
) -> Result<HttpResponse, ApiError> {
    if !is_damage(error) {
        return Err(ApiError::Internal(error.to_string()));
    }
    app.packages.forget(name);
    let digest = held.digest;
    let moved = app.engine.store().read(move |rows| store::blob_rows::find(rows, &digest)).await?;
    if let Some(location) = moved.filter(|location| *location != held.location) {
        let again = app.tarballs.stored(name, &held.version, digest, location);
        if let Ok(answer) = send(app, request, name, &again).await? {
            return Ok(answer);
        }
    }
    forget_blob(&app.engine, &app.packages, name, digest, &error.to_string()).await;
    let what = format!("{name}@{}", held.version);
    if app.settings.on_miss != OnMiss::Fetch {
        return Err(ApiError::damaged(what));
    }
    let etag = Some(held.etag.clone());
    fetch(app, request, name, &held.version, etag).await.map_err(|error| {
        tracing::warn!(package.name = %name, %error, "a damaged tarball was not fetched again");
        ApiError::damaged(what)
    })
}

async fn fetch(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    version: &str,
    etag: Option<HeaderValue>,
) -> Result<HttpResponse, ApiError> {
    let chain = miss::chain(app, request)?;
    let what = format!("{name}@{version}");
    let missed = |error: MissError| ApiError::from_miss(&what, &error);
    // A part of it, or its length alone, waits until the whole is stored.
    let waits = *request.method() == Method::HEAD || request.headers().contains_key(header::RANGE);
    let (digest, location) = if waits {
        behind(chain, app.engine.fetch_tarball_stored(name, version)).await.map_err(missed)?
    } else {
        match behind(chain, app.engine.fetch_tarball(name, version)).await.map_err(missed)? {
            TarballFetch::Stored { digest, location } => (digest, location),
            TarballFetch::Streaming { length, body } => {
                app.downloads.count_passing(name, version);
                let body = BoxBody::new(SizedStream::new(length, body));
                let mut answer = HttpResponse::with_body(StatusCode::OK, body);
                describe(answer.headers_mut(), etag);
                return Ok(answer);
            }
        }
    };
    let held = app.tarballs.stored(name, version, digest, location);
    send(app, request, name, &held).await?.map_err(|_| ApiError::damaged(&what))
}

fn unmodified(held: &Held) -> HttpResponse {
    let none = BoxBody::new(body::None::new());
    let mut answer = HttpResponse::with_body(StatusCode::NOT_MODIFIED, none);
    answer.headers_mut().insert(header::ETAG, held.etag.clone());
    answer.headers_mut().insert(header::CACHE_CONTROL, FOREVER);
    answer
}

/// The outer error is the client's, the inner one the blob's.
async fn send(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    held: &Arc<Held>,
) -> Result<Result<HttpResponse, BlobError>, ApiError> {
    let headers = request.headers();
    let is_head = *request.method() == Method::HEAD;
    let asked = if is_head || !range_applies(headers, held.etag.as_bytes()) {
        RangeAnswer::Whole
    } else {
        asked_range(headers, held.length)
    };
    let (start, length) = match asked {
        RangeAnswer::Whole => (0, held.length),
        RangeAnswer::Part { start, length } => (start, length),
        RangeAnswer::Unsatisfiable => return Err(ApiError::RangeNotSatisfiable(held.length)),
    };
    let sent = match is_head {
        true => open(app, held).await.map(|_| head_body(length)),
        false => read(app, name, held, start, length).await,
    };
    Ok(sent.map(|sent| match asked {
        RangeAnswer::Part { .. } => partial(held, sent, start, length),
        _ => {
            if !is_head {
                app.downloads.count(name, held);
            }
            let mut answer = HttpResponse::with_body(StatusCode::OK, sent);
            describe(answer.headers_mut(), Some(held.etag.clone()));
            answer
        }
    }))
}

fn partial(held: &Held, sent: BoxBody, start: u64, length: u64) -> HttpResponse {
    let mut answer = HttpResponse::with_body(StatusCode::PARTIAL_CONTENT, sent);
    describe(answer.headers_mut(), Some(held.etag.clone()));
    let last = start.saturating_add(length).saturating_sub(1);
    let range = format!("bytes {start}-{last}/{}", held.length);
    if let Ok(range) = HeaderValue::from_str(&range) {
        answer.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    answer
}

fn describe(headers: &mut HeaderMap, etag: Option<HeaderValue>) {
    headers.insert(header::CONTENT_TYPE, OCTETS);
    headers.insert(header::CACHE_CONTROL, FOREVER);
    headers.insert(header::ACCEPT_RANGES, BYTES);
    if let Some(etag) = etag {
        headers.insert(header::ETAG, etag);
    }
}

/// Opens the blob; one of another length than the row says is not it.
async fn open(app: &App, held: &Held) -> Result<BlobReader, BlobError> {
    let reader = app.engine.store().blobs().reader(&held.digest, held.location).await?;
    if reader.len() != held.length {
        let what = format!("{} bytes instead of {}", reader.len(), held.length);
        return Err(BlobError::Damaged { digest: held.digest, what });
    }
    Ok(reader)
}

/// A small tarball is read whole, which compares its checksum, and then cut; a large one, or
/// any when many wait for slow clients, is hashed first and then read piece by piece.
async fn read(
    app: &App,
    name: &PackageName,
    held: &Held,
    start: u64,
    length: u64,
) -> Result<BoxBody, BlobError> {
    if let Some(bytes) = app.hot.get(&held.digest) {
        return Ok(memory_body(cut(&bytes, start, length), None));
    }
    let reader = open(app, held).await?;
    if let Some(permit) = whole_read(app, held.length) {
        let bytes = reader.read_all().await?;
        if bytes.len() as u64 != held.length {
            let what = format!("{} bytes instead of {}", bytes.len(), held.length);
            return Err(BlobError::Damaged { digest: held.digest, what });
        }
        app.hot.keep(held.digest, &bytes);
        return Ok(memory_body(cut(&bytes, start, length), permit));
    }
    app.verified.check(&held.digest, &reader).await?;
    let failed = forget_later(app, name, held.digest);
    Ok(blob_body(reader, start, length, failed))
}

/// `length` bytes from `start`, fewer where the bytes end.
fn cut(bytes: &Bytes, start: u64, length: u64) -> Bytes {
    let end = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
    bytes.slice(end(start)..end(start.saturating_add(length)))
}

/// The permit to hold `length` bytes; few bytes need none.
fn whole_read(app: &App, length: u64) -> Option<Option<OwnedSemaphorePermit>> {
    let length = usize::try_from(length).ok().filter(|length| *length <= SMALL_BLOB_BYTES)?;
    if length <= SLICE_BYTES {
        return Some(None);
    }
    let kib = u32::try_from(length.div_ceil(1024)).ok()?;
    Arc::clone(&app.whole_reads).try_acquire_many_owned(kib).ok().map(Some)
}
