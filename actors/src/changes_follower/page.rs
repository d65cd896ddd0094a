//! A page of the feed: asked for, folded, taken in.

use std::time::Duration;

use npm::{Folded, Seq};
use store::feeds::{FeedPage, Seen, Taken};
use store::tasks;
use tokio::time::Instant;

use super::job::{Failure, Step, StepResult};
use super::machine::Event;
use super::place::Place;
use crate::clock::now_ms;
use crate::committer::CommitError;
use crate::task_queue::{RecheckPackages, TakeFeedPage};
use crate::upstream::{FeedAddress, Upstream};

/// How old the feed's head may be, as far as we know it: it costs a request.
const HEAD_EVERY: Duration = Duration::from_secs(60);
/// A first row this far behind our place is no gap but another numbering: the largest gap that
/// publishing makes is some hundreds, the smallest jump seen was 21 million.
const JUMP: i64 = 1_000_000;
/// Packages asked again per look, so that the recheck of a large mirror stays in the background.
const RECHECK_STEP: i64 = 2_000;

impl Step<'_> {
    /// Asks for a page and takes it in.
    pub(super) async fn page(&mut self) -> StepResult {
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
}
