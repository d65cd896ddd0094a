//! HTTP to one upstream registry: documents and tarballs, and everything that can go wrong.
//!
//! No actors here. [`Upstream`] is cheap to clone; all clones share connections, limits,
//! breaker and the large lane. Requests run on the runtime they are called from, which is
//! the engine's. Nothing survives a restart.
//!
//! `client` sends one request and follows redirects, `packument` and `tarball` read the two
//! kinds of body (`resume` continues one that broke off), `decode` turns a received document into
//! JSON text, `redirect` and `address` decide where a request may go, `limiter`, `breaker`,
//! `budget` and `retry` when.

pub(crate) mod address;
mod answer;
mod body;
mod breaker;
mod budget;
mod changes;
pub mod check;
mod client;
mod decode;
mod error;
mod lane;
mod limiter;
mod names;
mod packument;
mod redirect;
pub(crate) mod resolver;
mod resume;
mod retry;
mod settings;
mod status;
mod tarball;
pub(crate) mod tls;
pub(crate) mod via;

#[cfg(test)]
pub(crate) mod raw_server;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use npm::{ChangesPage, PackageName, Seq};
use tokio::time::Instant;
use url::Url;

pub use breaker::{BreakerSettings, BreakerState};
pub use budget::{BudgetStatus, ByRank, Month, NowFn, RequestBudget, Reservation, ReserveFn};
pub use changes::FeedAddress;
pub use client::Probe;
pub(crate) use decode::inflate_stored as inflate;
pub use error::UpstreamError;
pub use lane::{FREE_BODY_BYTES, LargeLane, in_place};
pub use names::list_address;
pub use packument::{FetchedDocument, PackumentAnswer};
pub(crate) use retry::parse_retry_after;
pub use retry::{RetryPolicy, Schedule};
pub use settings::{
    FeedChoice, MAX_DOCUMENT_BYTES, MAX_TARBALL_BYTES, MinimumPace, UpstreamSettings,
};
pub use status::{AnswerCounts, UpstreamStatus};
pub use tarball::{Buffered, TarballBody};
pub use via::{LOOP_HEADER, behind, is_circle};

use client::Client;
use store::Validators;

/// Who waits for a request, the first rank first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A reader or an operator: only the limit of all requests applies, retries are few.
    Person,
    /// Nobody waits, but somebody just read what it keeps fresh: a revalidation.
    Popular,
    /// The feed or a round named it, and people here read it: the background limit applies, and
    /// it has the rank of what was just read.
    PopularLater,
    /// The changes feed named it: the background limit applies too.
    Feed,
    /// Nobody named it: the background limit applies too, and the feed goes first.
    Sweep,
}

impl Urgency {
    /// In messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Person => "people",
            Self::Popular | Self::PopularLater => "popular",
            Self::Feed => "feed",
            Self::Sweep => "sweep",
        }
    }
}

/// What a request is for; decides client, cap and background limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Document,
    Tarball,
}

/// One upstream registry.
#[derive(Clone)]
pub struct Upstream {
    client: Arc<Client>,
}

impl Upstream {
    /// Prepares the client; nothing is sent and no certificate is read yet.
    ///
    /// # Errors
    /// [`UpstreamError::Misconfigured`] when an address, token or certificate cannot work.
    pub fn new(settings: UpstreamSettings) -> Result<Self, UpstreamError> {
        Ok(Self { client: Arc::new(Client::new(settings, None)?) })
    }

    /// The same with a budget, from which every request is taken.
    ///
    /// # Errors
    /// As [`Upstream::new`].
    pub fn with_budget(
        settings: UpstreamSettings,
        budget: Arc<RequestBudget>,
    ) -> Result<Self, UpstreamError> {
        Ok(Self { client: Arc::new(Client::new(settings, Some(budget))?) })
    }

    /// The settings it was made from.
    #[must_use]
    pub fn settings(&self) -> &UpstreamSettings {
        &self.client.settings
    }

    /// Base address without a trailing slash, for logs.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.client.base()
    }

    /// When and how often failures are repeated.
    #[must_use]
    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.client.settings.retry
    }

    /// The full document of a package, repeated on passing failures.
    ///
    /// With validators the request is conditional. Documents over 4 MiB come with a place in
    /// the large lane, see [`FetchedDocument::lane`].
    ///
    /// # Errors
    /// The last failure, see [`UpstreamError`].
    pub async fn packument(
        &self,
        name: &PackageName,
        validators: &Validators,
        urgency: Urgency,
    ) -> Result<PackumentAnswer, UpstreamError> {
        let url = self.client.document_url(name)?;
        self.retrying(urgency, || packument::fetch(&self.client, &url, validators, urgency)).await
    }

    /// A small JSON answer of the API at `path` below the base address, asked for once;
    /// `None` when the upstream has no such thing.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn answer(
        &self,
        path: &str,
        urgency: Urgency,
    ) -> Result<Option<Bytes>, UpstreamError> {
        answer::fetch(&self.client, path, urgency).await
    }

    /// What the API at `path` below the base address answers to a JSON body, asked for once.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn post(
        &self,
        path: &str,
        body: Bytes,
        urgency: Urgency,
    ) -> Result<Bytes, UpstreamError> {
        answer::post(&self.client, path, body, urgency).await
    }

    /// One request for a tarball; the answer's head is checked, its body is still to come.
    ///
    /// Not repeated here: the body can fail too, so the caller repeats both. A body that breaks
    /// off is continued within the same `schedule`, so that all attempts are counted together.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub async fn tarball<'s>(
        &self,
        url: &Url,
        schedule: &'s mut Schedule,
    ) -> Result<TarballBody<'s>, UpstreamError> {
        tarball::fetch(&self.client, url, schedule).await
    }

    /// Runs `attempt` until it succeeds, fails for good, or the retry policy is used up.
    ///
    /// # Errors
    /// The last failure.
    pub async fn retrying<T, Attempt>(
        &self,
        urgency: Urgency,
        mut attempt: impl FnMut() -> Attempt,
    ) -> Result<T, UpstreamError>
    where
        Attempt: Future<Output = Result<T, UpstreamError>>,
    {
        let mut schedule = self.retry_policy().schedule(urgency);
        loop {
            let failure = match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            match schedule.next_delay(&failure) {
                Some(delay) => tokio::time::sleep_until(Instant::now() + delay).await,
                None => return Err(failure),
            }
        }
    }

    /// Asks for the upstream's ping address once, whatever limits and breaker say.
    ///
    /// # Errors
    /// When there is no answer; a status is one.
    pub async fn probe(&self) -> Result<Probe, UpstreamError> {
        self.client.probe().await
    }

    /// The newest number of a changes feed; `None` when nobody tells.
    ///
    /// # Errors
    /// See [`UpstreamError`]; nothing is repeated.
    pub async fn feed_head(&self, feed: &FeedAddress) -> Result<Option<Seq>, UpstreamError> {
        changes::head(&self.client, feed).await
    }

    /// The rows of a changes feed behind `since`, at most `limit`.
    ///
    /// # Errors
    /// See [`UpstreamError`]; nothing is repeated.
    pub async fn changes(
        &self,
        feed: &FeedAddress,
        since: Seq,
        limit: u32,
    ) -> Result<ChangesPage, UpstreamError> {
        changes::page(&self.client, feed, since, limit).await
    }

    /// The names behind `after` in an upstream's list of names, a page of them.
    ///
    /// # Errors
    /// See [`UpstreamError`]; passing failures are repeated.
    pub async fn names(&self, list: &Url, after: &str) -> Result<Vec<String>, UpstreamError> {
        self.retrying(Urgency::Sweep, || names::page(&self.client, list, after)).await
    }

    /// The lane bodies over [`FREE_BODY_BYTES`] take, two at a time.
    #[must_use]
    pub fn large_lane(&self) -> &LargeLane {
        &self.client.lane
    }

    /// State, limits and counters of this moment.
    #[must_use]
    pub fn describe(&self) -> UpstreamStatus {
        self.client.describe()
    }
}
