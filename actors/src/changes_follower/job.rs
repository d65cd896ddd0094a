//! One step of a follower, on the engine's runtime: ask, understand, write.

use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use npm::{ChangesPage, Folded, Seq};
use store::feeds::{self, FeedPage, FeedRow, Mover, NewEpoch, Seen, Taken, Takes};
use store::{AnyConnection, Store, StoreError, tasks};
use tokio::time::Instant;

use super::machine::{Ask, Event};
use super::place::Place;
use super::settings::{FeedStart, FollowSettings};
use crate::clock::now_ms;
use crate::committer::{CommitError, Write};
use crate::registries::Registries;
use crate::task_queue::{RecheckPackages, TakeFeedPage, write_returning};
use crate::upstream::{FeedAddress, FeedChoice, Upstream, UpstreamError};
use crate::upstream_slot::UpstreamSlot;

/// How old the feed's head may be, as far as we know it: it costs a request.
const HEAD_EVERY: Duration = Duration::from_secs(60);
/// A row may become visible a little after the head that counts it; the reference starts so far
/// behind as well.
const HEAD_MARGIN: i64 = 10;
/// A first row this far behind our place is no gap but another numbering: the largest gap that
/// publishing makes is some hundreds, the smallest jump seen was 21 million.
const JUMP: i64 = 1_000_000;
/// A feed of so few numbers is read anew from its start when its numbering changes: no row of it
/// can be missed then.
const SHORT_FEED: i64 = 100_000;
/// Packages asked again per look, so that the recheck of a large mirror stays in the background.
const RECHECK_STEP: i64 = 2_000;
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
enum Failure {
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

type StepResult = Result<Event, Failure>;

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

struct Step<'a> {
    deps: &'a FollowDeps,
    place: Place,
    counts: Counts,
}

impl Step<'_> {
    fn lease_time(&self) -> Duration {
        if self.deps.store.is_local() { LEASE_ALONE } else { self.deps.settings.lease }
    }

    fn upstream(&self) -> Result<Upstream, Failure> {
        self.deps.upstream.get().ok_or(Failure::Event(Event::NotAsked))
    }

    fn address(&self) -> Result<FeedAddress, Failure> {
        self.place.address.clone().ok_or(Failure::Event(Event::NotAsked))
    }

    fn mover(&self) -> Result<Mover, Failure> {
        let mover = self.place.mover(&self.deps.worker, self.lease_time());
        mover.ok_or(Failure::Event(Event::Moved))
    }

    async fn write<T: Send + 'static>(
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
        let is_known = row.seq.is_some() && row.url == address.url().as_str();
        self.place.address = Some(address);
        self.place.looked_for = looked_for;
        self.place.row = Some(row);
        Ok(if is_known { Event::Leased } else { Event::LeasedNew })
    }

    /// Looks whether the feed is one, and stores a first place in it.
    async fn discover(&mut self) -> StepResult {
        let (upstream, address) = (self.upstream()?, self.address()?);
        let head = match upstream.feed_head(&address).await {
            Err(error) if self.is_none(&error) => None,
            head => head?,
        };
        let since = head.unwrap_or(Seq::START);
        let page = match upstream.changes(&address, since, 1).await {
            Err(error) if self.is_none(&error) => return Ok(Event::NoFeed),
            page => page?,
        };
        let head = head.or_else(|| page.by_time.then(|| Seq::new(now_ms())));
        let at_head = head.map_or(Seq::START, |head| head.back(HEAD_MARGIN));
        let seq = match self.deps.settings.start {
            FeedStart::At(seq) => Seq::new(seq),
            FeedStart::Auto if self.deps.takes == Takes::All => Seq::START,
            FeedStart::Auto | FeedStart::Head => at_head,
        };
        self.start_epoch(address, seq, head, None).await?;
        tracing::info!(registry = %self.deps.registry, seq = seq.number(), "following the feed");
        Ok(Event::Found)
    }

    /// "Not there" of an upstream that never said it has a feed.
    fn is_none(&self, error: &UpstreamError) -> bool {
        self.place.looked_for && event_of(error) == Event::Refused
    }

    async fn start_epoch(
        &mut self,
        address: FeedAddress,
        seq: Seq,
        head: Option<Seq>,
        alarm: Option<String>,
    ) -> Result<(), Failure> {
        let mover = self.mover()?;
        let new = NewEpoch {
            url: address.url().to_string(),
            seq: seq.number(),
            head: head.map(Seq::number),
            // what changed before this place is told by no row behind it
            recheck: seq > Seq::START,
            alarm,
        };
        let row = self
            .write(move |connection| match feeds::start_epoch(connection, &mover, &new)? {
                true => feeds::find(connection, &mover.registry),
                false => Ok(None),
            })
            .await?;
        self.place.row = Some(row.ok_or(Failure::Event(Event::Moved))?);
        self.place.head_asked = Some(Instant::now());
        self.place.trust();
        Ok(())
    }

    /// Asks for a page and takes it in.
    async fn page(&mut self) -> StepResult {
        let (upstream, address) = (self.upstream()?, self.address()?);
        if self.is_waiting(tasks::PRIORITY_FEED).await? {
            self.keep_lease().await?;
            return Ok(Event::QueueFull);
        }
        self.recheck_some().await?;
        let since = self.place.seq();
        let limit = self.deps.settings.page_rows;
        let page = upstream.changes(&address, since, limit).await?;
        self.look_at_head(&upstream, &address).await;
        self.counts.rows += u64::try_from(page.rows).unwrap_or(0);
        self.counts.unreadable += u64::try_from(page.unreadable).unwrap_or(0);
        if page.repeats(since) {
            return self.nothing_new(since).await;
        }
        let by_time = page.by_time;
        match page.fold(since, limit, self.place.head()) {
            Some(folded) => self.take(folded, since, by_time).await,
            None => {
                let text = format!("the feed answers rows, but none leads on from {since}");
                self.note(Some(text), false).await?;
                Ok(Event::NoProgress)
            }
        }
    }

    /// Whether so many tasks of this priority or a more urgent one wait that no more are wanted.
    async fn is_waiting(&self, priority: i32) -> Result<bool, Failure> {
        let (registry, limit) = (self.deps.registry.to_string(), self.deps.settings.queue_limit);
        let full = self
            .deps
            .store
            .read(move |connection| tasks::has_waiting(connection, &registry, priority, limit));
        Ok(full.await?)
    }

    /// Asks for what is here again, a few packages at a time.
    async fn recheck_some(&mut self) -> Result<(), Failure> {
        let due = self.place.row.as_ref().is_some_and(|row| row.recheck_after.is_some());
        if !due || self.is_waiting(tasks::PRIORITY_SWEEP).await? {
            return Ok(());
        }
        let ownership = self.deps.registries.ownership();
        let again = RecheckPackages { mover: self.mover()?, limit: RECHECK_STEP, ownership };
        let answer = self.deps.recheck.send(again).await.unwrap_or(Err(CommitError::Restarted))?;
        let (Taken::Written { tasks }, Some(row)) = answer else {
            return Err(Failure::Event(Event::Moved));
        };
        self.counts.tasks += u64::try_from(tasks).unwrap_or(0);
        self.place.row = Some(row);
        self.place.written = Some(Instant::now());
        Ok(())
    }

    /// A feed that does not tell its head, or not now, is followed by its rows alone.
    async fn look_at_head(&mut self, upstream: &Upstream, address: &FeedAddress) {
        if !Place::is_due(self.place.head_asked, HEAD_EVERY.min(self.deps.settings.confirm_for)) {
            return;
        }
        self.place.head_asked = Some(Instant::now());
        match upstream.feed_head(address).await {
            Ok(Some(head)) => {
                if let Some(row) = &mut self.place.row {
                    row.head = Some(head.number());
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the head of the feed is not told"),
        }
    }

    async fn nothing_new(&mut self, since: Seq) -> StepResult {
        if self.place.head().is_some_and(|head| head < since) {
            return Ok(Event::Below);
        }
        let alarm_after = self.deps.settings.alarm_after;
        let silence = self.silence();
        if !alarm_after.is_zero() && silence >= alarm_after {
            if !Place::is_due(self.place.silence_told, alarm_after) {
                self.note(self.alarm(), true).await?;
                return Ok(Event::EmptyPage);
            }
            self.place.silence_told = Some(Instant::now());
            self.note(Some(self.silence_text()), true).await?;
            return Ok(Event::Silent);
        }
        self.note(None, true).await?;
        Ok(Event::EmptyPage)
    }

    fn alarm(&self) -> Option<String> {
        self.place.row.as_ref()?.alarm.clone()
    }

    fn silence(&self) -> Duration {
        let last = self.place.row.as_ref().map_or(0, |row| row.row_at_ms);
        Duration::from_millis(now_ms().saturating_sub(last).try_into().unwrap_or(0))
    }

    /// The same text for as long as the silence lasts, so that it is one alarm.
    fn silence_text(&self) -> String {
        let row = self.place.row.as_ref();
        let (seq, at_ms) = row.map_or((0, 0), |row| (self.place.seq().number(), row.row_at_ms));
        let at = std::time::UNIX_EPOCH + Duration::from_millis(at_ms.try_into().unwrap_or(0));
        let at = humantime::format_rfc3339_seconds(at);
        format!("the feed of {} told nothing since {at} (number {seq})", self.deps.registry)
    }

    /// Writes down what a look without rows showed, where that is new or the lease wants it.
    async fn note(&mut self, alarm: Option<String>, caught_up: bool) -> Result<(), Failure> {
        let lease_is_due = Place::is_due(self.place.written, self.lease_time() / 3);
        let Some(row) = &mut self.place.row else { return Ok(()) };
        if caught_up {
            row.caught_up_at_ms = now_ms();
        }
        if row.alarm == alarm && !lease_is_due {
            return Ok(());
        }
        let seen = Seen { head: row.head, caught_up, alarm: alarm.clone() };
        let mover = self.mover()?;
        if !self.write(move |connection| feeds::note(connection, &mover, &seen)).await? {
            return Err(Failure::Event(Event::Moved));
        }
        if let Some(row) = &mut self.place.row {
            if let Some(alarm) = alarm.as_ref().filter(|_| row.alarm != alarm) {
                tracing::warn!(registry = %self.deps.registry, "{alarm}");
            }
            row.alarm = alarm;
        }
        Ok(())
    }

    async fn keep_lease(&mut self) -> Result<(), Failure> {
        let alarm = self.alarm();
        self.note(alarm, false).await
    }

    async fn take(&mut self, folded: Folded, since: Seq, by_time: bool) -> StepResult {
        let jumped = !by_time && since > Seq::START && folded.gap > JUMP;
        let jumped = jumped.then(|| {
            let to = since.number().saturating_add(folded.gap);
            format!("the numbers of the feed jumped from {since} to {to}: a new epoch")
        });
        let more = folded.full || self.place.head().is_some_and(|head| head > folded.next);
        let seen = Seen { head: self.place.head().map(Seq::number), caught_up: !more, alarm: None };
        let page = FeedPage {
            mover: self.mover()?,
            changes: folded.changes,
            next: folded.next.number(),
            takes: self.deps.takes,
            ownership: self.deps.registries.ownership(),
            seen,
            jumped: jumped.clone(),
        };
        let taken = self.deps.take.send(TakeFeedPage { page }).await;
        let taken = taken.unwrap_or(Err(CommitError::Restarted))?;
        let Taken::Written { tasks } = taken else { return Ok(Event::Moved) };
        self.counts.pages += 1;
        self.counts.tasks += u64::try_from(tasks).unwrap_or(0);
        self.moved_to(folded.next, jumped.is_some(), !more);
        if let Some(why) = jumped {
            tracing::warn!(registry = %self.deps.registry, "{why}");
        }
        Ok(if more { Event::FullPage } else { Event::PartPage })
    }

    /// Follows the table after a page was written.
    fn moved_to(&mut self, next: Seq, jumped: bool, caught_up: bool) {
        self.place.trust();
        self.place.silence_told = None;
        self.place.written = Some(Instant::now());
        let Some(row) = &mut self.place.row else { return };
        row.seq = Some(next.number());
        row.head = row.head.map(|head| head.max(next.number()));
        row.row_at_ms = now_ms();
        row.alarm = None;
        if caught_up {
            row.caught_up_at_ms = row.row_at_ms;
        }
        if jumped {
            row.epoch += 1;
            row.recheck_after = Some(String::new());
        }
    }

    /// Looks for the row at our place. In one numbering it is there, or its name has a higher
    /// number by now: either way something answers. Nothing at all means other numbers.
    async fn probe(&mut self) -> StepResult {
        let (upstream, address) = (self.upstream()?, self.address()?);
        let seq = self.place.seq();
        let page: ChangesPage = upstream.changes(&address, seq.back(1), 1).await?;
        if seq == Seq::START || page.reaches(seq) {
            self.place.trust();
            return Ok(Event::SameNumbers);
        }
        let proven = self.place.doubt(self.deps.settings.confirm_for);
        Ok(if proven { Event::Proven } else { Event::OtherNumbers })
    }

    /// Another numbering: go on at its head, and ask for everything that is here again.
    async fn renumber(&mut self) -> StepResult {
        let (upstream, address) = (self.upstream()?, self.address()?);
        let before = self.place.seq();
        let head = upstream.feed_head(&address).await?;
        let seq = match head {
            Some(head) if head.number() > SHORT_FEED => head.back(HEAD_MARGIN),
            _ => Seq::START,
        };
        let now = head.map_or_else(|| "unknown".to_owned(), |head| head.to_string());
        let why = format!(
            "the numbers of the feed fell back: it was read to {before}, its head is {now}; \
             a new epoch starts at {seq}"
        );
        tracing::warn!(registry = %self.deps.registry, "{why}");
        self.start_epoch(address, seq, head, Some(why)).await?;
        Ok(Event::Renumbered)
    }

    /// A feed that answers no feed is an alarm at once, one that is out of reach after a while.
    async fn alarm_about(&mut self, error: &UpstreamError) {
        let started = self.place.row.as_ref().is_some_and(|row: &FeedRow| row.seq.is_some());
        let alarm_after = self.deps.settings.alarm_after;
        let is_due = match event_of(error) {
            Event::Refused => true,
            Event::NotAsked => false,
            _ => !alarm_after.is_zero() && self.silence() >= alarm_after,
        };
        if started && is_due {
            let registry = &self.deps.registry;
            let text = format!("the feed of {registry} cannot be read: {error}");
            // if this cannot be written, the next failure tries again
            let _ = self.note(Some(text), false).await;
        }
    }
}
