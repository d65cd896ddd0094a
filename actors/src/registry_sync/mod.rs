//! Syncs packages from one upstream registry.
//!
//! Pulls as many tasks as it has room for, runs each as one task on the engine's runtime and
//! never more than `workers` at once; what a job may hold in memory is bounded by byte credits.
//! Receives [`WakeUp`], [`CancelJob`] and [`ReleaseUnstarted`] from the task queue and [`JobEnded`]
//! from its jobs.
//! After a restart running jobs go on and report as before; tasks that were only claimed come
//! back when their lease runs out.

mod asked;
mod dependencies;
mod deps;
mod fetching;
mod job;
mod lines;
mod messages;
mod plan;
mod queue_length;
mod settle;
mod staleness;
mod sync;
mod tags;
mod tarballs;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MailboxError, MessageResult, Recipient,
    ResponseFuture, SpawnHandle, Supervised, WrapFuture,
};
use npm::PackageName;
use store::TaskId;
use store::tasks::{PRIORITY_FORCED, TaskRow};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

pub use self::deps::{JobDeps, JobLimits};
pub use self::messages::{
    DescribeRegistrySync, JobEnd, JobEnded, RegistrySyncStatus, StopClaiming,
};
pub use self::queue_length::QueueLength;
pub use self::staleness::Staleness;
use crate::committer::CommitError;
use crate::supervision::{RestartBackoff, guarded};
use crate::task_queue::{
    CancelJob, ClaimTasks, ClaimThese, GiveBackTasks, LEASE_MS, ReleaseUnstarted, RenewLeases,
    RunSoon, WakeUp,
};

/// Polling is the truth, wake-ups are hints: a lost one costs at most this.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// Tasks claimed ahead of the running ones, per worker, so that claims come in few writes.
const CLAIM_AHEAD: usize = 3;

/// Forced tasks that run beside the workers; more of them wait for one of these.
const FORCED_BESIDE: usize = 8;
/// A job whose lease is gone has this long to report its own end before it is stopped.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Whom a registry sync asks.
pub struct QueueAddresses {
    /// Hands out tasks.
    pub claim: Recipient<ClaimTasks>,
    /// Hands out tasks by their ids.
    pub claim_these: Recipient<ClaimThese>,
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
    next: Vec<TaskId>,
    claiming_soon: usize,
    giving_back: usize,
    /// Asked while a claim was on its way: what it brings decides the answer.
    releases: Vec<(ReleaseUnstarted, oneshot::Sender<Vec<TaskId>>)>,
    /// Let go since the last renewal was asked for: that they have no lease means nothing.
    released: HashSet<TaskId>,
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
            next: Vec::new(),
            claiming_soon: 0,
            giving_back: 0,
            releases: Vec::new(),
            released: HashSet::new(),
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
                self.add_ready(tasks);
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
        self.answer_releases();
        self.stopped_if_empty();
    }

    /// The most urgent first, also before what was claimed earlier.
    fn add_ready(&mut self, tasks: Vec<TaskRow>) {
        self.ready.extend(tasks);
        self.ready.make_contiguous().sort_unstable_by_key(|task| (task.priority, task.id));
    }

    fn start_ready(&mut self, ctx: &mut Context<Self>) {
        while self.stopping.is_none() {
            if self.running.len() < self.workers && !self.next.is_empty() {
                return self.claim_next(ctx);
            }
            let forced = self.ready.front().is_some_and(|task| task.priority <= PRIORITY_FORCED);
            let beside = if forced { FORCED_BESIDE } else { 0 };
            if self.running.len() >= self.workers + beside {
                return;
            }
            let Some(task) = self.ready.pop_front() else { return };
            let id = task.id;
            let ended = ctx.address().recipient();
            let abort = self.deps.spawn_job(task, ended);
            self.running.insert(id, abort);
        }
    }

    /// Answers once no claim is on its way that could bring what is asked for.
    fn answer_releases(&mut self) {
        if self.claiming || self.claiming_soon > 0 {
            return;
        }
        for (names, answer) in std::mem::take(&mut self.releases) {
            let _ = answer.send(self.release(&names));
        }
    }

    /// Forgets what is ready of these packages.
    fn release(&mut self, ReleaseUnstarted(names): &ReleaseUnstarted) -> Vec<TaskId> {
        if self.ready.is_empty() {
            return Vec::new();
        }
        let names: HashSet<&PackageName> = names.iter().collect();
        let (released, kept) = std::mem::take(&mut self.ready)
            .into_iter()
            .partition(|task| names.contains(&task.name));
        self.ready = kept;
        let released: Vec<_> = VecDeque::into_iter(released).map(|task| task.id).collect();
        self.released.extend(&released);
        released
    }

    fn renew(&mut self, ctx: &mut Context<Self>) {
        self.released.clear();
        let ids: Vec<_> =
            self.running.keys().copied().chain(self.ready.iter().map(|task| task.id)).collect();
        if ids.is_empty() {
            return;
        }
        let renewed = self.queue.renew.send(RenewLeases { ids: ids.clone() }).into_actor(self);
        ctx.spawn(renewed.map(move |answer, this, ctx| {
            if let Ok(Ok(kept)) = answer {
                guarded(this, ctx, |this, ctx| this.drop_lost(ids, &kept, ctx));
            }
        }));
    }

    /// What another process cancelled or took over is not ours any more.
    fn drop_lost(&mut self, asked: Vec<TaskId>, kept: &[TaskId], ctx: &mut Context<Self>) {
        let kept: HashSet<TaskId> = kept.iter().copied().collect();
        let is_lost = |id: &TaskId| !kept.contains(id) && !self.released.contains(id);
        let lost: HashSet<TaskId> = asked.into_iter().filter(is_lost).collect();
        if lost.is_empty() {
            return;
        }
        self.ready.retain(|task| !lost.contains(&task.id));
        // a job that just ended has no lease either; its report is on the way
        ctx.run_later(END_WITHIN, move |this, ctx| {
            guarded(this, ctx, |this, ctx| {
                lost.into_iter().for_each(|id| this.stop_job(id));
                this.pull(ctx);
            });
        });
    }

    fn stop_job(&mut self, id: TaskId) {
        self.ready.retain(|task| task.id != id);
        if let Some(abort) = self.running.remove(&id) {
            abort.abort();
            self.status.failed += 1;
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
        let claiming = self.claiming || self.claiming_soon > 0;
        if self.running.is_empty() && !claiming && self.giving_back == 0 {
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
            guarded(this, ctx, Self::renew);
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
        self.next.clear(); // the queue knows that they come first
        self.claiming_soon = 0;
        self.giving_back = 0;
        self.releases.clear();
        self.released.clear();
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

impl Handler<RunSoon> for RegistrySync {
    type Result = ();

    fn handle(&mut self, soon: RunSoon, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, ctx| {
            let idle = this.stopping.is_some() || this.deps.parking.is_parked();
            if idle || !this.deps.has_upstream() {
                return; // they stay first in the queue
            }
            let room = this.workers.saturating_sub(this.next.len());
            this.next.extend(soon.next.into_iter().take(room));
            if !soon.forced.is_empty() {
                this.claim_these(soon.forced, ctx);
            }
            this.start_ready(ctx);
        });
    }
}

impl RegistrySync {
    /// Takes what people wait for; nothing less urgent starts before the answer.
    fn claim_next(&mut self, ctx: &mut Context<Self>) {
        if self.claiming_soon == 0 {
            let free = self.workers.saturating_sub(self.running.len());
            let ids = self.next.drain(..free.min(self.next.len())).collect();
            self.claim_these(ids, ctx);
        }
    }

    fn claim_these(&mut self, ids: Vec<TaskId>, ctx: &mut Context<Self>) {
        self.claiming_soon += 1;
        let claimed = self.queue.claim_these.send(ClaimThese { ids }).into_actor(self);
        ctx.spawn(claimed.map(|answer, this, ctx| {
            guarded(this, ctx, |this, ctx| this.claimed_soon(answer, ctx));
        }));
    }

    fn claimed_soon(
        &mut self,
        answer: Result<Result<Vec<TaskRow>, CommitError>, MailboxError>,
        ctx: &mut Context<Self>,
    ) {
        self.claiming_soon = self.claiming_soon.saturating_sub(1);
        let tasks = answer.ok().and_then(Result::ok).unwrap_or_default(); // else the poll claims them
        if self.stopping.is_some() {
            self.answer_releases();
            return self.give_back(tasks.iter().map(|task| task.id).collect(), ctx);
        }
        self.add_ready(tasks);
        self.start_ready(ctx);
        self.answer_releases();
    }
}

impl Handler<CancelJob> for RegistrySync {
    type Result = ();

    fn handle(&mut self, CancelJob(id): CancelJob, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, ctx| {
            this.stop_job(id);
            this.pull(ctx);
            this.stopped_if_empty();
        });
    }
}

impl Handler<ReleaseUnstarted> for RegistrySync {
    type Result = ResponseFuture<Vec<TaskId>>;

    fn handle(&mut self, names: ReleaseUnstarted, ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        guarded(self, ctx, |this, _| {
            this.releases.push((names, answer));
            this.answer_releases();
        });
        Box::pin(async move { answered.await.unwrap_or_default() })
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
            asked_again: self.deps.staleness.asked_again(),
            panics: self.deps.panics(),
            upstream: self.deps.upstream().map(|upstream| upstream.describe()),
            ..self.status.clone()
        })
    }
}
