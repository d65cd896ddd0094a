//! Looks for what is missing, so that nothing is missed however the feed behaves.
//!
//! One for each upstream registry. Compares the upstream's list of names with what is here
//! (`names`), makes tasks for names that are missing and asks for everything here anew in rounds
//! (`rounds`), and counts what is not here and why ([`store::completeness`]). Each of these is a
//! short step on the engine's runtime, one of a kind at a time; where it is stands in the database,
//! so a restart, of the actor or the machine, goes on from there. Sends [`MakeTasks`] to the task
//! queue; the tasks have the lowest priority and their requests the background rate.

mod messages;
mod names;
mod rounds;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, Recipient, Supervised,
    WrapFuture,
};
use store::Store;
use store::completeness::{self, Gaps};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

pub use self::messages::{AuditStatus, DescribeAudit, LookNow, NamesStatus, StopAuditing};
pub use self::settings::AuditSettings;
use crate::clock::now_ms;
use crate::committer::Write;
use crate::parking::Parking;
use crate::registries::Registries;
use crate::supervision::{RestartBackoff, guarded};
use crate::task_queue::MakeTasks;
use crate::upstream_slot::UpstreamSlot;

/// Counting may take this share of the time.
const COUNTING_SHARE: u32 = 50;

/// What the steps need; cheap to clone.
#[derive(Clone)]
pub struct AuditDeps {
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
    /// Writes that make tasks.
    pub make: Recipient<MakeTasks>,
    /// Whether fetching is parked.
    pub parking: Parking,
    /// How thoroughly.
    pub settings: AuditSettings,
}

impl AuditDeps {
    /// Whether there is an upstream, and it is to be asked.
    fn may_ask(&self) -> bool {
        self.upstream.get().is_some_and(|upstream| !upstream.settings().offline)
    }
}

/// The steps that run now, one of a kind.
#[derive(Debug, Default)]
struct Running {
    names: Option<AbortHandle>,
    rounds: Option<AbortHandle>,
    count: Option<AbortHandle>,
}

/// The audit of one registry; see the module.
pub struct Audit {
    deps: AuditDeps,
    runtime: Handle,
    running: Running,
    count_again: Option<Instant>,
    stopping: bool,
    status: AuditStatus,
    backoff: RestartBackoff,
}

impl Audit {
    /// An audit whose steps run on `runtime`.
    pub fn new(deps: AuditDeps, runtime: Handle) -> Self {
        let status = AuditStatus { registry: deps.registry.to_string(), ..AuditStatus::default() };
        Self {
            deps,
            runtime,
            running: Running::default(),
            count_again: None,
            stopping: false,
            status,
            backoff: RestartBackoff::default(),
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        self.compare_names(ctx);
        self.make_tasks(ctx);
        self.count(ctx);
    }

    /// Runs a step on the engine's runtime, then `done` here; a step that panicked counts as one
    /// that did nothing.
    fn run<T: Default + Send + 'static>(
        &self,
        ctx: &mut Context<Self>,
        step: impl Future<Output = T> + Send + 'static,
        done: impl FnOnce(&mut Self, T, &mut Context<Self>) + 'static,
    ) -> Option<AbortHandle> {
        let step = self.runtime.spawn(step);
        let running = step.abort_handle();
        ctx.spawn(step.into_actor(self).map(move |ended, this, ctx| {
            let ended = ended.unwrap_or_else(|error| {
                if error.is_panic() {
                    tracing::error!(%error, "a step of the audit panicked");
                }
                T::default()
            });
            guarded(this, ctx, |this, ctx| done(this, ended, ctx));
        }));
        Some(running)
    }

    fn compare_names(&mut self, ctx: &mut Context<Self>) {
        if self.stopping || self.running.names.is_some() {
            return;
        }
        let deps = self.deps.clone();
        self.running.names =
            self.run(ctx, async move { names::step(&deps).await }, |this, compared, ctx| {
                this.running.names = None;
                let before = std::mem::replace(&mut this.status.names, compared.status);
                if compared.idle {
                    this.status.names.problem = before.problem;
                }
                if compared.more {
                    this.compare_names(ctx);
                }
            });
    }

    fn make_tasks(&mut self, ctx: &mut Context<Self>) {
        if self.stopping || self.running.rounds.is_some() {
            return;
        }
        let deps = self.deps.clone();
        self.running.rounds =
            self.run(ctx, async move { rounds::step(&deps).await }, |this, made, ctx| {
                this.running.rounds = None;
                this.status.missing_queued += made.missing;
                this.status.swept += made.swept;
                if made.is_full(&this.deps) {
                    this.make_tasks(ctx);
                }
            });
    }

    fn count(&mut self, ctx: &mut Context<Self>) {
        let early = self.count_again.is_some_and(|due| Instant::now() < due);
        if early || self.stopping || self.running.count.is_some() {
            return;
        }
        let store = self.deps.store.clone();
        let counting = async move {
            let began = Instant::now();
            let gaps = store.read(completeness::count).await;
            let gaps = gaps.inspect_err(|error| {
                tracing::warn!(%error, "what is missing was not counted");
            });
            (gaps.ok(), began.elapsed())
        };
        self.running.count =
            self.run(ctx, counting, |this, (gaps, took): (Option<Gaps>, Duration), _| {
                this.running.count = None;
                let wait = this.deps.settings.count_every.max(took * COUNTING_SHARE);
                this.count_again = Instant::now().checked_add(wait);
                if let Some(gaps) = gaps {
                    this.status.gaps = gaps;
                    this.status.counted_at_ms = now_ms();
                }
            });
    }
}

impl Actor for Audit {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
        self.look(ctx);
        ctx.run_interval(self.deps.settings.look_every, |this, ctx| {
            guarded(this, ctx, Self::look);
        });
    }
}

impl Supervised for Audit {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.backoff.note_restart();
        self.status.restarts = self.backoff.restarts();
        // what was waited for is forgotten with the context; the steps themselves end by themselves
        self.running = Running::default();
    }
}

impl Handler<LookNow> for Audit {
    type Result = ();

    fn handle(&mut self, _: LookNow, ctx: &mut Self::Context) {
        self.count_again = None;
        guarded(self, ctx, Self::look);
    }
}

impl Handler<StopAuditing> for Audit {
    type Result = ();

    fn handle(&mut self, _: StopAuditing, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, _| {
            this.stopping = true;
            let Running { names, rounds, count } = &this.running;
            // what a step wrote is whole, and what it did not write is done again
            for step in [names, rounds, count].into_iter().flatten() {
                step.abort();
            }
        });
    }
}

impl Handler<DescribeAudit> for Audit {
    type Result = MessageResult<DescribeAudit>;

    fn handle(&mut self, _: DescribeAudit, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.status.clone())
    }
}
