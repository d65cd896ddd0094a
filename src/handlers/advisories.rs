//! `POST /-/npm/v1/security/…`: what `npm audit` and its kin ask.
//!
//! Today's clients send names with versions to `advisories/bulk`. Older ones (npm 6, yarn 1, pnpm
//! up to 10) send a tree to `audits` or `audits/quick`, which upstream registries gave up; here it
//! is translated both ways.

use actix_web::http::header::HeaderValue;
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use npm::PackageName;
use serde::de::DeserializeOwned;

use crate::advisories::report::Report;
use crate::advisories::tree::{SentTree, Tree};
use crate::advisories::{self, Asked, Found};
use crate::app::App;
use crate::error::{ApiError, NPM_NOTICE};
use crate::extract::body::read;
use crate::extract::packed::unpack;
use crate::handlers::unserved;
use crate::views::json_answer;

/// Largest request when unpacked: about a hundred thousand packages.
const LARGEST: u64 = 32 << 20;

/// Answers all of them.
///
/// # Errors
/// 400 for a body that is no JSON, 413 for a large one, 422 for one of another shape, 404 and 405
/// for other paths and methods.
pub async fn security_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let path = request.path().trim_end_matches('/');
    let Some(kind) = path.strip_prefix("/-/npm/v1/security/").and_then(Kind::of) else {
        return unserved::unknown(app, request, payload).await;
    };
    if request.method() != actix_web::http::Method::POST {
        return unserved::only(&app, &request, payload, "POST, OPTIONS").await;
    }
    let body = read(&request, payload, app.settings.max_body_bytes).await?;
    let is_packed = is_packed(&request)?;
    match kind {
        Kind::Bulk => {
            let asked = off_thread(body, is_packed, parse_bulk).await?;
            let found = advisories::find(&app, asked).await?;
            Ok(with_notice(json_answer(&found.told), &found))
        }
        Kind::Tree => {
            let tree = off_thread(body, is_packed, |body| parse::<SentTree>(body).map(Tree::new));
            let tree = tree.await?;
            let found = advisories::find(&app, tree.asked()).await?;
            Ok(with_notice(json_answer(&Report::new(&tree, &found.told)), &found))
        }
    }
}

enum Kind {
    Bulk,
    Tree,
}

impl Kind {
    fn of(rest: &str) -> Option<Self> {
        match rest {
            "advisories/bulk" => Some(Self::Bulk),
            "audits" | "audits/quick" => Some(Self::Tree),
            _ => None,
        }
    }
}

fn is_packed(request: &HttpRequest) -> Result<bool, ApiError> {
    let Some(coding) = request.headers().get("content-encoding") else { return Ok(false) };
    match coding.as_bytes().trim_ascii() {
        b"" | b"identity" => Ok(false),
        b"gzip" | b"x-gzip" => Ok(true),
        _ => Err(ApiError::BadRequest("only gzip is undone here".to_owned())),
    }
}

/// Unpacks and reads a body, which takes long for a large one.
async fn off_thread<T: Send + 'static>(
    body: Bytes,
    is_packed: bool,
    parse: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let work =
        web::block(move || if is_packed { parse(&unpack(&body, LARGEST)?) } else { parse(&body) });
    work.await.map_err(|error| ApiError::Internal(format!("an audit: {error}")))?
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("the request body cannot be read: {error}");
        if error.is_data() { ApiError::Invalid(text) } else { ApiError::BadRequest(text) }
    })
}

/// Names that no package has have no advisories either.
fn parse_bulk(body: &[u8]) -> Result<Asked, ApiError> {
    let sent: std::collections::BTreeMap<String, Vec<String>> = parse(body)?;
    let known = sent.into_iter().filter_map(|(name, versions)| {
        let name = PackageName::parse(&name).ok()?;
        Some((name, versions.into_iter().collect()))
    });
    Ok(known.collect())
}

fn with_notice(mut answer: HttpResponse, found: &Found) -> HttpResponse {
    if let Some(notice) = found.notice {
        answer.headers_mut().insert(NPM_NOTICE, HeaderValue::from_static(notice));
    }
    answer
}
