//! Follows the changes feed of one upstream registry.
//!
//! Asks for a page behind its place, lets the queue write the tasks of its rows and the new place
//! in one transaction, and goes on from there; one step at a time, each a future on the engine's
//! runtime (`job`). What comes after a step is a table (`machine`). Receives [`WakeUp`] when the
//! upstream changed and [`StopFollowing`]; sends [`TakeFeedPage`] and [`RecheckPackages`] to the
//! task queue. The place survives in the `feeds` table; everything else is learned again. In a
//! cluster the holder of the row's lease follows and the others wait for it.
//!
//! [`TakeFeedPage`]: crate::task_queue::TakeFeedPage
//! [`RecheckPackages`]: crate::task_queue::RecheckPackages

mod alarms;
mod epochs;
mod job;
mod machine;
mod messages;
mod page;
mod place;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, ResponseFuture,
    SpawnHandle, Supervised, WrapFuture,
};
use store::feeds;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinError};

use self::job::Done;
pub use self::job::FollowDeps;
pub use self::machine::FollowState;
use self::machine::{Ask, Event, Pause, step};
pub use self::messages::{DescribeFollower, FollowerStatus, StopFollowing};
use self::place::Place;
pub use self::settings::{FeedStart, FollowSettings};
use crate::clock::now_ms;
use crate::committer::write_returning;
use crate::supervision::{RestartBackoff, guarded};
use crate::task_queue::WakeUp;

/// Follows one feed; see the module.
pub struct ChangesFollower {
    deps: FollowDeps,
    runtime: Handle,
    state: FollowState,
    place: Place,
    running: Option<AbortHandle>,
    timer: Option<SpawnHandle>,
    /// Something changed while a step ran: what it found may be old.
    woken: bool,
    stopping: bool,
    failures_in_a_row: u32,
    status: FollowerStatus,
    backoff: RestartBackoff,
}

impl ChangesFollower {
    /// A follower of the feed of `deps.registry`, whose steps run on `runtime`.
    pub fn new(deps: FollowDeps, runtime: Handle) -> Self {
        Self {
            deps,
            runtime,
            state: FollowState::Starting,
            place: Place::default(),
            running: None,
            timer: None,
            woken: false,
            stopping: false,
            failures_in_a_row: 0,
            status: FollowerStatus::default(),
            backoff: RestartBackoff::default(),
        }
    }

    fn ask(&mut self, ask: Ask, ctx: &mut Context<Self>) {
        if self.stopping || self.running.is_some() {
            return;
        }
        let step = self.runtime.spawn(job::run(self.deps.clone(), ask, self.place.clone()));
        self.running = Some(step.abort_handle());
        ctx.spawn(step.into_actor(self).map(|done, this, ctx| {
            guarded(this, ctx, |this, ctx| this.done(done, ctx));
        }));
    }

    fn done(&mut self, done: Result<Done, JoinError>, ctx: &mut Context<Self>) {
        self.running = None;
        let done = match done {
            Ok(done) => done,
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                tracing::error!(%error, "a step of the changes follower panicked");
                self.failed(format!("a step panicked: {error}"))
            }
        };
        self.count(&done);
        self.place = done.place;
        let (state, ask, pause) = step(self.state, done.event);
        if state != self.state {
            tracing::debug!(registry = %self.deps.registry, ?state, event = ?done.event, "feed");
        }
        if done.event == Event::NoFeed && self.state != FollowState::Off {
            tracing::info!(
                registry = %self.deps.registry,
                "the upstream has no changes feed of its own, so freshness goes by age \
                 (sync.fresh_for); if its feed is elsewhere, name it with upstream.feed"
            );
        }
        self.state = state;
        if std::mem::take(&mut self.woken) {
            self.ask(Ask::Lease, ctx);
            return;
        }
        match self.wait(pause, done.retry_after) {
            Duration::ZERO => self.ask(ask, ctx),
            wait => self.ask_later(ask, wait, ctx),
        }
    }

    /// The end of a step that never came.
    fn failed(&self, problem: String) -> Done {
        Done {
            place: Place::default(),
            event: Event::NotWritten,
            retry_after: None,
            problem: Some(problem),
            counts: job::Counts::default(),
        }
    }

    fn count(&mut self, done: &Done) {
        let status = &mut self.status;
        status.pages += done.counts.pages;
        status.rows += done.counts.rows;
        status.unreadable += done.counts.unreadable;
        status.tasks += done.counts.tasks;
        if let Some(problem) = &done.problem {
            status.failures += 1;
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            if status.problem.as_ref() != Some(problem) {
                tracing::warn!(registry = %self.deps.registry, problem, "the changes feed");
            }
            status.problem = Some(problem.clone());
        } else if done.event == Event::NoProgress {
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        } else if !matches!(done.event, Event::Leased | Event::LeasedNew) {
            // a lease alone does not make a feed well that just failed
            self.failures_in_a_row = 0;
            status.problem = None;
        }
    }

    fn wait(&self, pause: Pause, retry_after: Option<Duration>) -> Duration {
        let settings = &self.deps.settings;
        match pause {
            Pause::None => Duration::ZERO,
            Pause::Poll => settings.poll_every,
            Pause::Room => settings.room_every,
            Pause::Lease => settings.lease / 3,
            Pause::Long => settings.longest_retry,
            Pause::Failure => {
                let doublings = self.failures_in_a_row.saturating_sub(1).min(16);
                let ours = settings.first_retry.saturating_mul(1 << doublings);
                ours.min(settings.longest_retry).max(retry_after.unwrap_or_default())
            }
        }
    }

    fn ask_later(&mut self, ask: Ask, wait: Duration, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        self.timer = Some(ctx.run_later(wait, move |this, ctx| {
            this.timer = None;
            guarded(this, ctx, |this, ctx| this.ask(ask, ctx));
        }));
    }

    /// Starts over from the table, now.
    fn start_over(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        match self.running {
            Some(_) => self.woken = true,
            None => self.ask(Ask::Lease, ctx),
        }
    }

    fn describe(&self) -> FollowerStatus {
        let row = self.place.row.as_ref();
        let started = row.filter(|row| row.seq.is_some());
        let behind = started.and_then(|row| Some(row.head?.saturating_sub(row.seq?).max(0)));
        let at_head = matches!(self.state, FollowState::Following | FollowState::Stalled);
        let since = |row: &feeds::FeedRow| now_ms().saturating_sub(row.caught_up_at_ms).max(0);
        FollowerStatus {
            registry: self.deps.registry.to_string(),
            url: self.place.address.as_ref().map(|address| address.url().to_string()),
            state: self.state,
            epoch: row.map_or(0, |row| row.epoch),
            seq: row.and_then(|row| row.seq),
            head: row.and_then(|row| row.head),
            behind,
            behind_ms: started.map(|row| if at_head { 0 } else { since(row) }),
            last_row_at_ms: started.map(|row| row.row_at_ms),
            rechecking: row.is_some_and(|row| row.recheck_after.is_some()),
            alarm: row.and_then(|row| row.alarm.clone()),
            paused_by: row.and_then(|row| row.paused_by.clone()),
            paused_at_ms: row.and_then(|row| row.paused_at_ms),
            restarts: self.backoff.restarts(),
            ..self.status.clone()
        }
    }
}

impl Actor for ChangesFollower {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
        let _ = ctx.address().try_send(WakeUp);
    }
}

impl Supervised for ChangesFollower {
    fn restarting(&mut self, _: &mut Self::Context) {
        // A step that still runs writes from the place it read, or nothing.
        if let Some(running) = self.running.take() {
            running.abort();
        }
        self.timer = None;
        self.woken = false;
        self.state = FollowState::Starting;
        self.place = Place::default();
        self.backoff.note_restart();
    }
}

impl Handler<WakeUp> for ChangesFollower {
    type Result = ();

    fn handle(&mut self, _: WakeUp, ctx: &mut Self::Context) {
        guarded(self, ctx, Self::start_over);
    }
}

impl Handler<StopFollowing> for ChangesFollower {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopFollowing, ctx: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(running) = self.running.take() {
            running.abort();
        }
        let (registry, worker) = (self.deps.registry.to_string(), self.deps.worker.to_string());
        let released = write_returning(self.deps.write.clone(), move |connection| {
            feeds::release(connection, &registry, &worker)
        });
        // if it is not written, the lease runs out
        Box::pin(async move { drop(released.await) })
    }
}

impl Handler<DescribeFollower> for ChangesFollower {
    type Result = MessageResult<DescribeFollower>;

    fn handle(&mut self, _: DescribeFollower, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.describe())
    }
}
