//! One step of a follower, on the engine's runtime: ask, understand, write.

use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use store::feeds::{self, Mover, Takes};
use store::{AnyConnection, Store, StoreError};
use tokio::time::Instant;

use super::machine::{Ask, Event};
use super::place::Place;
use super::settings::FollowSettings;
use crate::committer::{CommitError, Write, write_returning};
use crate::registries::Registries;
use crate::task_queue::{RecheckPackages, TakeFeedPage};
use crate::upstream::{FeedAddress, FeedChoice, Upstream, UpstreamError};
use crate::upstream_slot::UpstreamSlot;

/// The lease of the only process that can work on its store, 10 years: it needs no renewal.
const LEASE_ALONE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a step needs; cheap to clone.
#[derive(Clone)]
pub struct FollowDeps {
    /// Name of the registry.
    pub registry: Arc<str>,
    /// Where its client is found.
    pub upstream: UpstreamSlot,
    /// Who is asked for which name.
    pub registries: Registries,
    /// For reading.
    pub store: Store,
    /// Rare writes.
    pub write: Recipient<Write>,
    /// Writes pages.
    pub take: Recipient<TakeFeedPage>,
    /// Queues packages that are here.
    pub recheck: Recipient<RecheckPackages>,
    /// How.
    pub settings: FollowSettings,
    /// Which names become tasks.
    pub takes: Takes,
    /// Name of this process in leases.
    pub worker: Arc<str>,
}

/// The end of a step.
pub(super) struct Done {
    pub(super) place: Place,
    pub(super) event: Event,
    /// How long the upstream wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    /// Why it failed.
    pub(super) problem: Option<String>,
    pub(super) counts: Counts,
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) pages: u64,
    pub(super) rows: u64,
    pub(super) unreadable: u64,
    pub(super) tasks: u64,
}

/// Why a step ended early.
pub(super) enum Failure {
    Event(Event),
    Upstream(UpstreamError),
    Store(String),
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

pub(super) type StepResult = Result<Event, Failure>;

/// Runs one step from `place`.
pub(super) async fn run(deps: FollowDeps, ask: Ask, place: Place) -> Done {
    let mut step = Step { deps: &deps, place, counts: Counts::default() };
    let outcome = match ask {
        Ask::Lease => step.lease().await,
        Ask::Discover => step.discover().await,
        Ask::Page => Box::pin(step.page()).await,
        Ask::Probe => step.probe().await,
        Ask::Renumber => step.renumber().await,
    };
    let (event, retry_after, problem) = match outcome {
        Ok(event) | Err(Failure::Event(event)) => (event, None, None),
        Err(Failure::Store(text)) => (Event::NotWritten, None, Some(text)),
        Err(Failure::Upstream(error)) => {
            step.alarm_about(&error).await;
            (event_of(&error), error.retry_after(), Some(error.to_string()))
        }
    };
    Done { place: step.place, event, retry_after, problem, counts: step.counts }
}

/// What a failed request means for the follower.
pub(super) fn event_of(error: &UpstreamError) -> Event {
    match error {
        UpstreamError::Offline => Event::NotAsked,
        UpstreamError::RateLimited { .. } => Event::Throttled,
        error if error.is_retryable() => Event::Unavailable,
        _ => Event::Refused,
    }
}

/// A step on its way.
pub(super) struct Step<'a> {
    pub(super) deps: &'a FollowDeps,
    pub(super) place: Place,
    pub(super) counts: Counts,
}

impl Step<'_> {
    pub(super) fn lease_time(&self) -> Duration {
        if self.deps.store.is_local() { LEASE_ALONE } else { self.deps.settings.lease }
    }

    pub(super) fn upstream(&self) -> Result<Upstream, Failure> {
        self.deps.upstream.get().ok_or(Failure::Event(Event::NotAsked))
    }

    pub(super) fn address(&self) -> Result<FeedAddress, Failure> {
        self.place.address.clone().ok_or(Failure::Event(Event::NotAsked))
    }

    pub(super) fn mover(&self) -> Result<Mover, Failure> {
        let mover = self.place.mover(&self.deps.worker, self.lease_time());
        mover.ok_or(Failure::Event(Event::Moved))
    }

    pub(super) async fn write<T: Send + 'static>(
        &mut self,
        write: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let answer = write_returning(self.deps.write.clone(), write).await?;
        self.place.written = Some(Instant::now());
        Ok(answer)
    }

    /// Takes the lease and reads the place.
    async fn lease(&mut self) -> StepResult {
        let upstream = self.upstream()?;
        let settings = upstream.settings();
        if settings.offline {
            return Ok(Event::NotAsked);
        }
        let address = match &settings.feed {
            FeedChoice::Off => None,
            FeedChoice::Auto => FeedAddress::at(&settings.url),
            FeedChoice::At(url) => FeedAddress::at(url),
        };
        let Some(address) = address else { return Ok(Event::NotAsked) };
        let looked_for = settings.feed == FeedChoice::Auto;
        let (registry, worker) = (self.deps.registry.to_string(), self.deps.worker.to_string());
        let (lease, alone) = (self.lease_time(), self.deps.store.is_local());
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let row = self
            .write(move |connection| feeds::lease(connection, &registry, &worker, lease_ms, alone))
            .await?;
        let Some(row) = row else { return Ok(Event::Taken) };
        if row.paused_by.is_some() {
            self.place.address = Some(address);
            self.place.row = Some(row);
            return Ok(Event::Paused);
        }
        let is_known = row.seq.is_some() && row.url == address.url().as_str();
        self.place.address = Some(address);
        self.place.looked_for = looked_for;
        self.place.row = Some(row);
        Ok(if is_known { Event::Leased } else { Event::LeasedNew })
    }
}
