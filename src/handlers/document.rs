//! The way of every document, whole or in part: known package, ETag, body.

use std::sync::Arc;

use actix_web::body::{self, BoxBody};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use npm::{PackageName, PackumentForm};

use super::miss;
use crate::access::gate::{self, LetIn};
use crate::app::App;
use crate::base_url::Base;
use crate::cache::bodies::{Body, BodyPlace, NoBody, OpenBody};
use crate::cache::damage::forget_later;
use crate::cache::packages::Package;
use crate::cache::render::Wanted;
use crate::error::{ApiError, JSON};
use crate::extract::conditional::not_modified;
use crate::views::body::{blob_body, head_body, memory_body};

const NPM_COMMAND: HeaderName = HeaderName::from_static("npm-command");
const VARY: HeaderValue = HeaderValue::from_static("Accept, Accept-Encoding");

/// What came of looking for a document.
pub enum Document {
    /// The answer: 200, 304 or a redirect to upstream.
    Found(HttpResponse),
    /// The package is here, what was wanted of it is not.
    NoVersion,
    /// The package is not here, and misses are not fetched.
    NotHere,
}

impl Document {
    fn marked(self, let_in: LetIn) -> Self {
        match self {
            Self::Found(answer) => Self::Found(let_in.mark(answer)),
            other => other,
        }
    }
}

/// Serves what is wanted of a package from cache or store, or from upstream.
///
/// # Errors
/// What the store, the rendering or the way upstream said.
pub async fn find(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    wanted: Wanted,
) -> Result<Document, ApiError> {
    let base = app.base_of(request)?;
    let found = app.packages.find_fresh(name, waits_for_check(request)).await;
    let found = match found {
        Ok(found) => found,
        Err(refused) => return gate::before_telling(app, request, name, refused).await,
    };
    match found {
        Some(package) => {
            let let_in = gate::of_package(app, request, &package).await?;
            Ok(known(app, request, &package, wanted, &base).await?.marked(let_in))
        }
        None => miss::document(app, request, name, wanted, &base).await,
    }
}

/// Serves a package that is here. A damaged document is fetched again once.
///
/// # Errors
/// As [`find`].
pub async fn known(
    app: &App,
    request: &HttpRequest,
    package: &Arc<Package>,
    wanted: Wanted,
    base: &Arc<Base>,
) -> Result<Document, ApiError> {
    match answer(app, request, package, &wanted, base).await {
        Ok(answer) => Ok(Document::Found(answer)),
        Err(NoBody::NoVersion) => Ok(Document::NoVersion),
        Err(NoBody::Failed(error)) => Err(error),
        Err(NoBody::Damaged(what)) => {
            miss::repair_document(app, request, package, wanted, base, &what).await
        }
    }
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    package: &Arc<Package>,
    wanted: &Wanted,
    base: &Arc<Base>,
) -> Result<HttpResponse, NoBody> {
    let body = app.bodies.get(package, wanted.clone(), base).await?;
    if not_modified(request.headers(), body.etag.as_bytes()) {
        return Ok(unmodified(&body));
    }
    match app.bodies.open(&body).await {
        Ok(open) => Ok(respond(app, request, &package.name, wanted, &body, open)),
        // Compaction moves blobs, and a lost one is made again: look once more.
        Err(_) => {
            app.bodies.forget(package, wanted, base).await;
            let body = app.bodies.get(package, wanted.clone(), base).await?;
            let open = app.bodies.open(&body).await.map_err(|error| {
                NoBody::Failed(ApiError::Internal(format!("rendered document: {error}")))
            })?;
            Ok(respond(app, request, &package.name, wanted, &body, open))
        }
    }
}

/// 304: the client holds these very bytes.
#[must_use]
pub fn unmodified(body: &Body) -> HttpResponse {
    let mut answer =
        HttpResponse::with_body(StatusCode::NOT_MODIFIED, BoxBody::new(body::None::new()));
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, body.etag.clone());
    headers.insert(header::VARY, VARY);
    answer
}

/// 200 with a body from memory; used for documents that are not stored yet.
#[must_use]
pub fn from_memory(request: &HttpRequest, wanted: &Wanted, body: &Body) -> Option<HttpResponse> {
    let BodyPlace::Memory(bytes) = &body.place else { return None };
    if not_modified(request.headers(), body.etag.as_bytes()) {
        return Some(unmodified(body));
    }
    let sent = match *request.method() {
        Method::HEAD => head_body(bytes.len() as u64),
        _ => memory_body(bytes.clone(), None),
    };
    Some(whole(wanted, body, sent))
}

fn respond(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    wanted: &Wanted,
    body: &Body,
    open: OpenBody,
) -> HttpResponse {
    let is_head = *request.method() == Method::HEAD;
    let sent = match open {
        OpenBody::Memory(bytes) if is_head => head_body(bytes.len() as u64),
        OpenBody::Memory(bytes) => memory_body(bytes, None),
        OpenBody::Blob(reader, _) if is_head => head_body(reader.len()),
        OpenBody::Blob(reader, digest) => {
            let length = reader.len();
            let failed = forget_later(app, name, digest);
            blob_body(reader, 0, length, failed)
        }
    };
    whole(wanted, body, sent)
}

fn whole(wanted: &Wanted, body: &Body, sent: BoxBody) -> HttpResponse {
    let mut answer = HttpResponse::with_body(StatusCode::OK, sent);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type(wanted));
    headers.insert(header::ETAG, body.etag.clone());
    headers.insert(header::VARY, VARY);
    if let Some(encoding) = wanted.encoding().header() {
        headers.insert(header::CONTENT_ENCODING, encoding);
    }
    answer
}

/// The vendor type for abbreviated documents, without which pnpm takes them for full ones.
fn content_type(wanted: &Wanted) -> HeaderValue {
    match wanted.form() {
        PackumentForm::Full => JSON,
        PackumentForm::Abbreviated => {
            HeaderValue::from_static(PackumentForm::Abbreviated.content_type())
        }
    }
}

/// `npm view`, `npm outdated` and npm's read before a write want the newest there is.
fn waits_for_check(request: &HttpRequest) -> bool {
    let command = request.headers().get(NPM_COMMAND).map(HeaderValue::as_bytes);
    if matches!(command, Some(b"view" | b"outdated")) {
        return true;
    }
    let query = request.query_string();
    !query.is_empty() && query.split('&').any(|pair| pair == "write=true")
}
