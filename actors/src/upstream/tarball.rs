//! Tarballs: bytes exactly as they came, whatever the headers call them, continued where they
//! broke off when the upstream can.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use url::Url;

use super::body::Body;
use super::client::Client;
use super::resume::Validator;
use super::{Kind, Schedule, UpstreamError, redirect};

/// The body of one tarball, still arriving.
///
/// A `Content-Encoding` on a tarball labels the `.tgz` itself on some servers, so it is not
/// undone; the digest decides what the bytes are.
///
/// A body that breaks off after its first bytes is continued with a range request where the
/// upstream gave a strong validator, within the schedule of its caller. Where that cannot be,
/// the failure says so and the caller may begin again.
pub struct TarballBody<'s> {
    body: Body,
    client: Arc<Client>,
    is_own: bool,
    url: Url,
    validator: Option<Validator>,
    schedule: &'s mut Schedule,
}

/// What [`TarballBody::read_up_to`] got.
pub enum Buffered {
    /// The whole tarball.
    Whole(Bytes),
    /// The beginning; more follows.
    Beginning(Bytes),
}

pub(super) async fn fetch<'s>(
    client: &Arc<Client>,
    url: &Url,
    schedule: &'s mut Schedule,
) -> Result<TarballBody<'s>, UpstreamError> {
    let url = redirect::tarball_address(url, &client.settings.url)?;
    let response = client.get(Kind::Tarball, &url, &headers(), schedule.urgency()).await?;
    if response.status().as_u16() != 200 {
        let status = response.status();
        let failure = UpstreamError::BadBody(format!("{status} for an unconditional request"));
        client.recent.failed(&failure);
        return Err(failure);
    }
    let is_own = client.is_own(response.url());
    let validator = Validator::of(response.headers());
    let body = Body::new(client, Kind::Tarball, response)
        .inspect_err(|failure| client.recent.failed(failure))?;
    Ok(TarballBody { body, client: Arc::clone(client), is_own, url, validator, schedule })
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

impl TarballBody<'_> {
    /// Announced size; the body has exactly this many bytes or ends in an error.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.body.announced
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// Stalled, too slow or truncated and not to be continued, or larger than
    /// `max_tarball_bytes`.
    pub async fn next(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let failure = match self.body.next().await {
                Ok(piece) => return Ok(piece),
                Err(failure) => failure,
            };
            self.client.recent.failed(&failure);
            if self.is_own && failure.counts_against_breaker() {
                self.client.breaker.late_failure();
            }
            self.resume(failure).await?;
        }
    }

    /// Asks for the rest until there is an answer, or the schedule is used up.
    async fn resume(&mut self, mut failure: UpstreamError) -> Result<(), UpstreamError> {
        // without a byte there is nothing to continue, beginning again costs the same
        let Some(validator) = self.validator.clone().filter(|_| self.body.received > 0) else {
            return Err(failure);
        };
        loop {
            let Some(delay) = self.schedule.next_resume_delay(&failure) else {
                return Err(failure);
            };
            tokio::time::sleep(delay).await;
            match self.ask_for_rest(&validator).await {
                Ok(()) => return Ok(()),
                Err(next) => failure = next,
            }
            if self.validator.is_none() {
                return Err(failure);
            }
        }
    }

    async fn ask_for_rest(&mut self, validator: &Validator) -> Result<(), UpstreamError> {
        let mut headers = headers();
        let at = self.body.received;
        validator.ask(at, &mut headers);
        let urgency = self.schedule.urgency();
        let response = self.client.get(Kind::Tarball, &self.url, &headers, urgency).await?;
        let status = response.status().as_u16();
        let (announced, length) = (self.body.announced, response.content_length());
        match validator.judge(at, announced, status, response.headers(), length) {
            Ok(rest) => {
                self.is_own = self.client.is_own(response.url());
                self.body.go_on(response, &rest);
                Ok(())
            }
            Err(why) => {
                self.validator = None; // what is here fits nothing that is there now
                let failure = self.body.truncated(&format!("it cannot be continued: {why}"));
                self.client.recent.failed(&failure);
                Err(failure)
            }
        }
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
