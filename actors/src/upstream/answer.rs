//! Small JSON answers of an upstream's API: signing keys, attestations.

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use url::Url;

use super::body::Body;
use super::client::Client;
use super::decode::{self, Coding, Inflated};
use super::lane::FREE_BODY_BYTES;
use super::{Kind, UpstreamError, Urgency};

/// The body at `path` below the base address; `None` when the upstream has no such thing.
pub(super) async fn fetch(
    client: &Client,
    path: &str,
    urgency: Urgency,
) -> Result<Option<Bytes>, UpstreamError> {
    let url = address(client, path)?;
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let response = match client.get(Kind::Document, &url, &headers, urgency).await {
        Ok(response) => response,
        // registries that do not sign answer either; clients take both for "has none"
        Err(
            UpstreamError::NotFound
            | UpstreamError::Gone { .. }
            | UpstreamError::Refused { status: 400 },
        ) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let answer = read(client, response).await;
    if let Err(failure) = &answer {
        client.recent.failed(failure);
    }
    answer.map(Some)
}

/// What the API at `path` below the base address answers to a JSON body, asked once.
pub(super) async fn post(
    client: &Client,
    path: &str,
    body: Bytes,
    urgency: Urgency,
) -> Result<Bytes, UpstreamError> {
    let response = client.post(&address(client, path)?, body, urgency).await?;
    let answer = read(client, response).await;
    if let Err(failure) = &answer {
        client.recent.failed(failure);
    }
    answer
}

fn address(client: &Client, path: &str) -> Result<Url, UpstreamError> {
    let url = format!("{}{path}", client.base());
    Url::parse(&url).map_err(|error| UpstreamError::BadAddress(format!("{url}: {error}")))
}

async fn read(client: &Client, response: reqwest::Response) -> Result<Bytes, UpstreamError> {
    let coding = Coding::of(response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes))?;
    let limit = FREE_BODY_BYTES as u64;
    let too_large = |announced| UpstreamError::TooLarge { what: "answer", limit, announced };
    let mut body = Body::new(client, Kind::Document, response)?;
    if body.announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large(body.announced));
    }
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await? {
        if whole.len() + piece.len() > FREE_BODY_BYTES {
            return Err(too_large(None));
        }
        whole.extend_from_slice(&piece);
    }
    let whole = whole.freeze();
    let whole = match coding {
        Coding::Identity => whole,
        Coding::Gzip => match decode::inflate(&whole, limit)? {
            Inflated::Whole(plain) => Bytes::from(plain),
            Inflated::OverLimit => return Err(too_large(None)),
        },
    };
    decode::check_is_json(&whole)?;
    Ok(whole)
}
