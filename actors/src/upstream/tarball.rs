//! Tarballs: bytes exactly as they came, whatever the headers call them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use url::Url;

use super::body::Body;
use super::client::{Client, Kind};
use super::{UpstreamError, Urgency, redirect};

/// The body of one tarball, still arriving.
///
/// A `Content-Encoding` on a tarball labels the `.tgz` itself on some servers, so it is not
/// undone; the digest decides what the bytes are.
pub struct TarballBody {
    body: Body,
    client: Arc<Client>,
    is_own: bool,
}

/// What [`TarballBody::read_up_to`] got.
pub enum Buffered {
    /// The whole tarball.
    Whole(Bytes),
    /// The beginning; more follows.
    Beginning(Bytes),
}

pub(super) async fn fetch(
    client: &Arc<Client>,
    url: &Url,
    urgency: Urgency,
) -> Result<TarballBody, UpstreamError> {
    let url = redirect::tarball_address(url, &client.settings.url)?;
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let response = client.get(Kind::Tarball, &url, &headers, urgency).await?;
    if response.status().as_u16() != 200 {
        let status = response.status();
        let failure = UpstreamError::BadBody(format!("{status} for an unconditional request"));
        client.recent.failed(&failure);
        return Err(failure);
    }
    let is_own = client.is_own(response.url());
    let body = Body::new(client, Kind::Tarball, response)
        .inspect_err(|failure| client.recent.failed(failure))?;
    Ok(TarballBody { body, client: Arc::clone(client), is_own })
}

impl TarballBody {
    /// Announced size; the body has exactly this many bytes or ends in an error.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.body.announced
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// Stalled, truncated, or larger than `max_tarball_bytes`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let piece = self.body.next().await;
        if let Err(failure) = &piece {
            self.client.recent.failed(failure);
            if self.is_own && failure.counts_against_breaker() {
                self.client.breaker.late_failure();
            }
        }
        piece
    }

    /// Reads until the end or until more than `limit` bytes are here. A body that came in one
    /// piece is handed on without a copy.
    ///
    /// # Errors
    /// As [`TarballBody::next`].
    pub async fn read_up_to(&mut self, limit: usize) -> Result<Buffered, UpstreamError> {
        let Some(first) = self.next().await? else { return Ok(Buffered::Whole(Bytes::new())) };
        if first.len() > limit {
            return Ok(Buffered::Beginning(first));
        }
        let Some(second) = self.next().await? else { return Ok(Buffered::Whole(first)) };
        let expected = self.content_length().and_then(|bytes| usize::try_from(bytes).ok());
        let mut whole =
            BytesMut::with_capacity(expected.unwrap_or(0).min(limit).max(first.len() * 2));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while whole.len() <= limit {
            match self.next().await? {
                Some(piece) => whole.extend_from_slice(&piece),
                None => return Ok(Buffered::Whole(whole.freeze())),
            }
        }
        Ok(Buffered::Beginning(whole.freeze()))
    }
}
