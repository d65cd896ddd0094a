//! Syncs packages from one upstream registry.
//!
//! Pulls as many tasks as it has room for, runs each as one task on the engine's runtime and
//! never more than `workers` at once; what a job may hold in memory is bounded by byte credits.
//! Receives [`WakeUp`] and [`CancelJob`] from the task queue and [`JobEnded`] from its jobs.
//! After a restart running jobs go on and report as before; tasks that were only claimed come
//! back when their lease runs out.

mod deps;
mod job;
mod messages;
mod plan;
mod settle;
mod tarballs;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MailboxError, MessageResult, Recipient,
    ResponseFuture, SpawnHandle, Supervised, WrapFuture,
};
use store::TaskId;
use store::tasks::TaskRow;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

pub use self::deps::{JobDeps, JobLimits};
pub use self::messages::{
    DescribeRegistrySync, JobEnd, JobEnded, RegistrySyncStatus, StopClaiming,
};
use crate::committer::CommitError;
use crate::supervision::{RestartBackoff, guarded};
use crate::task_queue::{CancelJob, ClaimTasks, GiveBackTasks, LEASE_MS, RenewLeases, WakeUp};

/// Polling is the truth, wake-ups are hints: a lost one costs at most this.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// Tasks claimed ahead of the running ones, per worker, so that claims come in few writes.
const CLAIM_AHEAD: usize = 3;

/// Whom a registry sync asks.
pub struct QueueAddresses {
    /// Hands out tasks.
    pub claim: Recipient<ClaimTasks>,
    /// Prolongs leases.
    pub renew: Recipient<RenewLeases>,
    /// Takes tasks back.
    pub give_back: Recipient<GiveBackTasks>,
}

/// Syncs packages from one upstream registry; see the module.
pub struct RegistrySync {
    deps: JobDeps,
    queue: QueueAddresses,
    workers: usize,
    ready: VecDeque<TaskRow>,
    running: HashMap<TaskId, AbortHandle>,
    claiming: bool,
    claim_again: bool,
    giving_back: usize,
    stopping: Option<Vec<oneshot::Sender<()>>>,
    grace: Option<SpawnHandle>,
    status: RegistrySyncStatus,
    backoff: RestartBackoff,
}

impl RegistrySync {
    /// A sync of `deps.registry` that runs at most `workers` jobs at once.
    pub fn new(deps: JobDeps, queue: QueueAddresses, workers: usize) -> Self {
        Self {
            deps,
            queue,
            workers: workers.max(1),
            ready: VecDeque::new(),
            running: HashMap::new(),
            claiming: false,
            claim_again: false,
            giving_back: 0,
            stopping: None,
            grace: None,
            status: RegistrySyncStatus::default(),
            backoff: RestartBackoff::default(),
        }
    }

    /// Starts what is ready, then claims more if there is room.
    fn pull(&mut self, ctx: &mut Context<Self>) {
        self.start_ready(ctx);
        let room = (self.workers * CLAIM_AHEAD).saturating_sub(self.ready.len());
        // claims come in gulps: one write hands out many tasks
        let worthwhile = self.ready.len() <= self.workers;
        let idle = self.stopping.is_some() || self.deps.parking.is_parked();
        if idle || !worthwhile || room == 0 || !self.deps.has_upstream() {
            return;
        }
        if self.claiming {
            self.claim_again = true;
            return;
        }
        self.claim(room, ctx);
    }

    fn claim(&mut self, limit: usize, ctx: &mut Context<Self>) {
        self.claiming = true;
        self.claim_again = false;
        let registry = self.deps.registry.to_string();
        let claimed = self.queue.claim.send(ClaimTasks { registry, limit }).into_actor(self);
        ctx.spawn(claimed.map(move |answer, this, ctx| {
            guarded(this, ctx, |this, ctx| this.claimed(answer, limit, ctx));
        }));
    }

    fn claimed(
        &mut self,
        answer: Result<Result<Vec<TaskRow>, CommitError>, MailboxError>,
        limit: usize,
        ctx: &mut Context<Self>,
    ) {
        self.claiming = false;
        match answer {
            Ok(Ok(tasks)) if self.stopping.is_some() => {
                self.give_back(tasks.iter().map(|task| task.id).collect(), ctx);
            }
            Ok(Ok(tasks)) => {
                let more = tasks.len() >= limit || (self.claim_again && !tasks.is_empty());
                self.ready.extend(tasks);
                self.start_ready(ctx);
                if more || self.claim_again {
                    self.pull(ctx);
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "tasks could not be claimed; the next poll tries again");
            }
            Err(_) => {} // the queue restarts; the next poll asks again
        }
        self.stopped_if_empty();
    }

    fn start_ready(&mut self, ctx: &mut Context<Self>) {
        while self.running.len() < self.workers && self.stopping.is_none() {
            let Some(task) = self.ready.pop_front() else { return };
            let id = task.id;
            let ended = ctx.address().recipient();
            let abort = self.deps.spawn_job(task, ended);
            self.running.insert(id, abort);
        }
    }

    fn renew(&mut self) {
        let ids: Vec<_> =
            self.running.keys().copied().chain(self.ready.iter().map(|task| task.id)).collect();
        if !ids.is_empty() {
            let _ = self.queue.renew.try_send(RenewLeases { ids });
        }
    }

    fn give_back(&mut self, ids: Vec<TaskId>, ctx: &mut Context<Self>) {
        if ids.is_empty() {
            self.stopped_if_empty();
            return;
        }
        self.giving_back += 1;
        let back = self.queue.give_back.send(GiveBackTasks { ids }).into_actor(self);
        ctx.spawn(back.map(|_, this, _| {
            this.giving_back = this.giving_back.saturating_sub(1);
            this.stopped_if_empty();
        }));
    }

    /// Stopped means: no job runs, no claim is on its way, what was claimed is given back.
    fn stopped_if_empty(&mut self) {
        if self.running.is_empty() && !self.claiming && self.giving_back == 0 {
            for waiting in self.stopping.iter_mut().flat_map(|waiting| waiting.drain(..)) {
                let _ = waiting.send(());
            }
        }
    }

    fn stop_jobs(&mut self, ctx: &mut Context<Self>) {
        let ids: Vec<_> = self.running.keys().copied().collect();
        for (_, abort) in self.running.drain() {
            abort.abort();
        }
        self.give_back(ids, ctx);
    }
}

impl Actor for RegistrySync {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
        ctx.run_interval(POLL_EVERY, |this, ctx| {
            guarded(this, ctx, Self::pull);
        });
        let renew_every = Duration::from_millis(LEASE_MS.unsigned_abs() / 3);
        ctx.run_interval(renew_every, |this, ctx| {
            guarded(this, ctx, |this, _| this.renew());
        });
        let address = ctx.address();
        let _ = address.try_send(WakeUp);
    }
}

impl Supervised for RegistrySync {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.ready.clear(); // their leases run out and they are claimed again
        self.claiming = false;
        self.claim_again = false;
        self.giving_back = 0;
        self.backoff.note_restart();
        self.status.restarts = self.backoff.restarts();
    }
}

impl Handler<WakeUp> for RegistrySync {
    type Result = ();

    fn handle(&mut self, _: WakeUp, ctx: &mut Self::Context) {
        guarded(self, ctx, Self::pull);
    }
}

impl Handler<CancelJob> for RegistrySync {
    type Result = ();

    fn handle(&mut self, CancelJob(id): CancelJob, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, ctx| {
            this.ready.retain(|task| task.id != id);
            if let Some(abort) = this.running.remove(&id) {
                abort.abort();
                this.status.failed += 1;
            }
            this.pull(ctx);
        });
    }
}

impl Handler<JobEnded> for RegistrySync {
    type Result = ();

    fn handle(&mut self, ended: JobEnded, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, ctx| {
            this.running.remove(&ended.id);
            match ended.end {
                JobEnd::Success => this.status.success += 1,
                JobEnd::Failed => this.status.failed += 1,
                JobEnd::Later => this.status.later += 1,
            }
            this.pull(ctx);
            this.stopped_if_empty();
        });
    }
}

impl Handler<StopClaiming> for RegistrySync {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, stop: StopClaiming, ctx: &mut Self::Context) -> Self::Result {
        let (stopped, wait) = oneshot::channel();
        self.stopping.get_or_insert_default().push(stopped);
        let waiting: Vec<_> = self.ready.drain(..).map(|task| task.id).collect();
        self.give_back(waiting, ctx);
        if self.grace.is_none() {
            self.grace = Some(ctx.run_later(stop.grace, |this, ctx| {
                guarded(this, ctx, Self::stop_jobs);
            }));
        }
        Box::pin(async move {
            let _ = wait.await;
        })
    }
}

impl Handler<DescribeRegistrySync> for RegistrySync {
    type Result = MessageResult<DescribeRegistrySync>;

    fn handle(&mut self, _: DescribeRegistrySync, _: &mut Self::Context) -> Self::Result {
        MessageResult(RegistrySyncStatus {
            registry: self.deps.registry.to_string(),
            ready: self.ready.len(),
            running: self.running.len(),
            workers: self.workers,
            panics: self.deps.panics(),
            upstream: self.deps.upstream().map(|upstream| upstream.describe()),
            ..self.status.clone()
        })
    }
}
