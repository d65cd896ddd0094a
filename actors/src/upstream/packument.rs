//! Documents: conditional GET, the byte budget, and both forms of the body.
//!
//! A document that came as gzip is kept as the bytes received and inflated once.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use store::{DocumentEncoding, Validators};
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::body::Body;
use super::client::Client;
use super::decode::{self, Coding, Inflated};
use super::lane::{FREE_BODY_BYTES, in_place};
use super::{Kind, UpstreamError, Urgency};

/// Longer validators are not kept; no registry sends them.
const MAX_VALIDATOR_BYTES: usize = 1 << 10;

/// The answer to a request for a document.
pub enum PackumentAnswer {
    /// 304: what is held is still right.
    NotModified {
        /// What to send the next time.
        validators: Validators,
    },
    /// 200.
    Found(FetchedDocument),
}

/// A document that looks like JSON; whether it is a packument is for the scan to say.
#[derive(Clone)]
pub struct FetchedDocument {
    /// Decoded text.
    pub body: Bytes,
    /// The bytes to keep: gzip as received, or compressed here when it came plain.
    pub stored: Bytes,
    /// Coding of `stored`.
    pub encoding: DocumentEncoding,
    /// For the next conditional request.
    pub validators: Validators,
    /// The place in the large lane of a body over 4 MiB; keep it as long as the body and
    /// what is made from it are in memory.
    pub lane: Option<Arc<OwnedSemaphorePermit>>,
}

impl FetchedDocument {
    /// Another text in place of the one that came; the validators stay upstream's.
    pub(crate) fn replace_body(&mut self, body: Vec<u8>) {
        let body = Bytes::from(body);
        (self.stored, self.encoding) = pack(&body);
        self.body = body;
    }
}

/// The form in which a plain body is kept.
fn pack(body: &Bytes) -> (Bytes, DocumentEncoding) {
    match in_place(body.len(), || decode::compress(body)) {
        Some(gzip) => (gzip, DocumentEncoding::Gzip),
        None => (body.clone(), DocumentEncoding::Identity),
    }
}

pub(super) async fn fetch(
    client: &Client,
    url: &Url,
    validators: &Validators,
    urgency: Urgency,
) -> Result<PackumentAnswer, UpstreamError> {
    let headers = headers(validators);
    let response = client.get(Kind::Document, url, &headers, urgency).await?;
    let answer = read(client, response, validators).await;
    if let Err(failure) = &answer {
        client.recent.failed(failure);
        if failure.counts_against_breaker() {
            client.breaker.late_failure();
        }
    }
    answer
}

fn headers(validators: &Validators) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    // never the abbreviated form: it lacks what the full one is rendered from
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let conditions =
        [(IF_NONE_MATCH, &validators.etag), (IF_MODIFIED_SINCE, &validators.last_modified)];
    for (header, value) in conditions {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(header, value);
        }
    }
    headers
}

async fn read(
    client: &Client,
    response: reqwest::Response,
    sent: &Validators,
) -> Result<PackumentAnswer, UpstreamError> {
    let received = validators(response.headers());
    if response.status().as_u16() == 304 {
        return not_modified(received, sent);
    }
    let coding = Coding::of(response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes))?;
    let mut body = Body::new(client, Kind::Document, response)?;
    let (raw, mut lane) = collect(client, &mut body).await?;
    let (body, stored, encoding) = match coding {
        Coding::Gzip => {
            let body = inflate(client, &raw, &mut lane).await?;
            decode::check_is_json(&body)?;
            (body, raw, DocumentEncoding::Gzip)
        }
        Coding::Identity => {
            decode::check_is_json(&raw)?;
            let (stored, encoding) = pack(&raw);
            (raw, stored, encoding)
        }
    };
    let lane = lane.map(Arc::new);
    Ok(PackumentAnswer::Found(FetchedDocument {
        body,
        stored,
        encoding,
        validators: received,
        lane,
    }))
}

fn not_modified(received: Validators, sent: &Validators) -> Result<PackumentAnswer, UpstreamError> {
    if sent.etag.is_none() && sent.last_modified.is_none() {
        let why = "304 (not modified), but nothing is held and nothing was said to be";
        return Err(UpstreamError::BadBody(String::from(why)));
    }
    // a 304 may leave out what has not changed
    let validators = Validators {
        etag: received.etag.or_else(|| sent.etag.clone()),
        last_modified: received.last_modified.or_else(|| sent.last_modified.clone()),
    };
    Ok(PackumentAnswer::NotModified { validators })
}

fn validators(headers: &HeaderMap) -> Validators {
    let text = |header: HeaderName| {
        let value = headers.get(header)?.to_str().ok()?;
        (!value.is_empty() && value.len() <= MAX_VALIDATOR_BYTES).then(|| value.to_owned())
    };
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

pub(super) type Place = Option<OwnedSemaphorePermit>;

/// The body as received. Up to 4 MiB are read freely; beyond that a place in the large lane
/// is taken first, and what waits for one holds those 4 MiB and nothing more.
pub(super) async fn collect(
    client: &Client,
    body: &mut Body,
) -> Result<(Bytes, Place), UpstreamError> {
    let announced = body.announced.and_then(|bytes| usize::try_from(bytes).ok());
    let mut lane = None;
    if announced.is_some_and(|bytes| bytes > FREE_BODY_BYTES) {
        lane = client.lane.enter().await;
    }
    let Some(first) = body.next().await? else { return Ok((Bytes::new(), lane)) };
    if announced == Some(first.len()) {
        body.next().await?; // sees the end, which gives the connection back to the pool
        return Ok((first, lane));
    }
    let mut whole = Vec::with_capacity(announced.unwrap_or(first.len() * 4));
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(piece) = body.next().await? {
        if lane.is_none() && whole.len() + piece.len() > FREE_BODY_BYTES {
            lane = client.lane.enter().await;
        }
        whole.extend_from_slice(&piece);
    }
    Ok((Bytes::from(whole), lane))
}

/// Inflates once; a body that turns out large enters the lane before it is held whole.
pub(super) async fn inflate(
    client: &Client,
    raw: &Bytes,
    lane: &mut Place,
) -> Result<Bytes, UpstreamError> {
    let limit = client.settings.max_document_bytes;
    let too_large = || UpstreamError::TooLarge { what: "document", limit, announced: None };
    let free = FREE_BODY_BYTES as u64;
    if lane.is_none() && decode::size_hint(raw) <= free {
        match decode::inflate(raw, free.min(limit))? {
            Inflated::Whole(body) => return Ok(Bytes::from(body)),
            Inflated::OverLimit if limit <= free => return Err(too_large()),
            Inflated::OverLimit => {} // the trailer understated it
        }
    }
    if lane.is_none() {
        *lane = client.lane.enter().await;
    }
    match in_place(usize::MAX, || decode::inflate(raw, limit))? {
        Inflated::Whole(body) => Ok(Bytes::from(body)),
        Inflated::OverLimit => Err(too_large()),
    }
}
