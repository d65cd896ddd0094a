//! The durable queue of sync tasks.
//!
//! Only owner of the tasks table: everybody else asks it. Its rows are the truth and survive a
//! restart; what it keeps in memory are the addresses of those who pull. Receives the messages
//! of `messages`, writes through the committer, sends [`WakeUp`] and [`CancelJob`] to the
//! registry syncs.

mod feed;
mod make;
mod messages;

use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, Context, Handler, MessageResult, Recipient, ResponseActFuture,
    ResponseFuture, Supervised, WrapFuture,
};
use futures_util::future::join_all;
use npm::PackageName;
use store::{AnyConnection, StoreError, TaskId, tasks};

pub use self::feed::{RecheckPackages, TakeFeedPage};
pub use self::make::{MakeFn, MakeTasks};
pub use self::messages::{
    CancelJob, CancelTask, ClaimTasks, ClaimThese, DescribeTaskQueue, EnqueueTasks, GiveBackTasks,
    RegisterPuller, ReleaseUnstarted, RenewLeases, RetryTask, RunSoon, SettleTask, TaskQueueStatus,
    WakeUp,
};
use crate::committer::{CommitError, Write, write_returning};
use crate::log_writer::{TaskLogs, format_line};
use crate::supervision::{RestartBackoff, guarded};

/// How long a claimed task belongs to its worker without a renewal. Renewed three times within,
/// and short enough that the tasks of a killed worker go on within a minute.
pub const LEASE_MS: i64 = 60_000;

/// Requests of a person for up to this many packages overtake what was claimed ahead.
const FEW: usize = 16;

/// The task queue; see the module.
pub struct TaskQueue {
    committer: Recipient<Write>,
    worker: String,
    logs: TaskLogs,
    pullers: Vec<RegisterPuller>,
    status: TaskQueueStatus,
    backoff: RestartBackoff,
}

impl TaskQueue {
    /// A queue that writes through `committer` and claims as `worker`; `logs` are those of the
    /// tasks that run here.
    pub fn new(committer: Recipient<Write>, worker: String, logs: TaskLogs) -> Self {
        Self {
            committer,
            worker,
            logs,
            pullers: Vec::new(),
            status: TaskQueueStatus::default(),
            backoff: RestartBackoff::default(),
        }
    }

    fn wake_pullers(&self) {
        for puller in &self.pullers {
            let _ = puller.wake_up.try_send(WakeUp);
        }
    }

    /// Tells of single tasks that somebody waits for; what comes in bulk goes by its priority.
    fn hurry(&self, rows: &[tasks::TaskRow]) {
        let few = rows.len() <= FEW;
        for puller in &self.pullers {
            let of_registry = rows.iter().filter(|row| row.registry == puller.registry);
            let urgent = of_registry.filter(|row| row.priority <= tasks::PRIORITY_PEOPLE);
            let (forced, next): (Vec<_>, Vec<_>) =
                urgent.partition(|row| row.priority <= tasks::PRIORITY_FORCED);
            let next = next.into_iter().filter(|_| few).map(|row| row.id).collect::<Vec<_>>();
            let forced = forced.into_iter().map(|row| row.id).collect::<Vec<_>>();
            if !next.is_empty() || !forced.is_empty() {
                let _ = puller.run_soon.try_send(RunSoon { next, forced });
            }
        }
    }

    /// Takes back what pullers have claimed of these packages and not started, so that the new
    /// requests find it waiting and merge into it.
    fn release_unstarted(
        &self,
        tasks: &[tasks::NewTask],
    ) -> impl Future<Output = Vec<TaskId>> + 'static {
        let names: Arc<[PackageName]> = tasks.iter().map(|task| task.name.clone()).collect();
        let asked: Vec<_> = self
            .pullers
            .iter()
            .map(|puller| puller.release.send(ReleaseUnstarted(Arc::clone(&names))))
            .collect();
        // a puller that restarts has let go of everything already
        async move { join_all(asked).await.into_iter().flatten().flatten().collect() }
    }

    fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, CommitError>> + 'static {
        write_returning(self.committer.clone(), write)
    }
}

impl Actor for TaskQueue {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
    }
}

impl Supervised for TaskQueue {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.backoff.note_restart();
        self.status.restarts = self.backoff.restarts();
    }
}

impl Handler<RegisterPuller> for TaskQueue {
    type Result = ();

    fn handle(&mut self, puller: RegisterPuller, _: &mut Self::Context) {
        self.pullers.push(puller);
    }
}

impl Handler<EnqueueTasks> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<Vec<tasks::TaskRow>, CommitError>>;

    fn handle(&mut self, message: EnqueueTasks, _: &mut Self::Context) -> Self::Result {
        let count = u64::try_from(message.tasks.len()).unwrap_or(u64::MAX);
        let released = self.release_unstarted(&message.tasks);
        let committer = self.committer.clone();
        let written = async move {
            let released = released.await;
            let write = move |connection: &mut AnyConnection| {
                tasks::give_back(connection, &released)?;
                tasks::enqueue(connection, message.tasks)
            };
            write_returning(committer, write).await
        };
        Box::pin(written.into_actor(self).map(move |rows, this, ctx| {
            if let Ok(rows) = &rows {
                guarded(this, ctx, |this, _| {
                    this.status.enqueued += count;
                    this.hurry(rows);
                    this.wake_pullers();
                });
            }
            rows
        }))
    }
}

impl Handler<ClaimTasks> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<Vec<tasks::TaskRow>, CommitError>>;

    fn handle(&mut self, claim: ClaimTasks, _: &mut Self::Context) -> Self::Result {
        let worker = self.worker.clone();
        let limit = i64::try_from(claim.limit).unwrap_or(i64::MAX);
        let claimed = self.write(move |connection| {
            tasks::claim(connection, &claim.registry, &worker, limit, LEASE_MS)
        });
        Box::pin(claimed.into_actor(self).map(|rows, this, _| {
            this.count_claimed(&rows);
            rows
        }))
    }
}

impl Handler<ClaimThese> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<Vec<tasks::TaskRow>, CommitError>>;

    fn handle(&mut self, claim: ClaimThese, _: &mut Self::Context) -> Self::Result {
        let worker = self.worker.clone();
        let claimed = self
            .write(move |connection| tasks::claim_these(connection, &claim.ids, &worker, LEASE_MS));
        Box::pin(claimed.into_actor(self).map(|rows, this, _| {
            this.count_claimed(&rows);
            rows
        }))
    }
}

impl TaskQueue {
    fn count_claimed(&mut self, rows: &Result<Vec<tasks::TaskRow>, CommitError>) {
        if let Ok(rows) = rows {
            self.status.claimed += u64::try_from(rows.len()).unwrap_or(0);
        }
    }
}

impl Handler<RenewLeases> for TaskQueue {
    type Result = ResponseFuture<Result<Vec<TaskId>, CommitError>>;

    fn handle(&mut self, renew: RenewLeases, _: &mut Self::Context) -> Self::Result {
        let worker = self.worker.clone();
        Box::pin(
            self.write(move |connection| tasks::renew(connection, &worker, &renew.ids, LEASE_MS)),
        )
    }
}

impl Handler<GiveBackTasks> for TaskQueue {
    type Result = ResponseFuture<Result<(), CommitError>>;

    fn handle(&mut self, back: GiveBackTasks, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.write(move |connection| tasks::give_back(connection, &back.ids).map(drop)))
    }
}

impl Handler<SettleTask> for TaskQueue {
    type Result = ResponseFuture<Result<(), CommitError>>;

    fn handle(&mut self, settle: SettleTask, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.write(move |connection| settle_blocking(connection, &settle)))
    }
}

fn settle_blocking(connection: &mut AnyConnection, settle: &SettleTask) -> Result<(), StoreError> {
    match settle {
        SettleTask::End(end) => tasks::finish(connection, end).map(drop),
        SettleTask::RetryLater { id, not_before_ms, error, log } => {
            tasks::append_log(connection, *id, log)?;
            tasks::retry_later(connection, *id, *not_before_ms, error).map(drop)
        }
    }
}

impl Handler<CancelTask> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<bool, CommitError>>;

    fn handle(&mut self, cancel: CancelTask, _: &mut Self::Context) -> Self::Result {
        let CancelTask(id) = cancel;
        let said = self.logs.take(id);
        let cancelled = self.write(move |connection| {
            tasks::append_log(connection, id, &said)?;
            let done = tasks::cancel(connection, id)?;
            if done {
                let line = format_line("❌", "❌❌❌❌❌ cancelled ❌❌❌❌❌");
                tasks::append_log(connection, id, &line)?;
            }
            Ok(done)
        });
        Box::pin(cancelled.into_actor(self).map(move |done, this, _| {
            if matches!(done, Ok(true)) {
                this.stop_job(id);
                this.logs.tell_readers();
            }
            done
        }))
    }
}

impl TaskQueue {
    fn stop_job(&self, id: TaskId) {
        for puller in &self.pullers {
            let _ = puller.cancel.try_send(CancelJob(id));
        }
    }
}

impl Handler<RetryTask> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<bool, CommitError>>;

    fn handle(&mut self, retry: RetryTask, _: &mut Self::Context) -> Self::Result {
        let RetryTask(id) = retry;
        let retried = self.write(move |connection| tasks::retry(connection, id));
        Box::pin(retried.into_actor(self).map(|done, this, _| {
            if matches!(done, Ok(true)) {
                this.wake_pullers();
            }
            done
        }))
    }
}

impl Handler<DescribeTaskQueue> for TaskQueue {
    type Result = MessageResult<DescribeTaskQueue>;

    fn handle(&mut self, _: DescribeTaskQueue, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.status.clone())
    }
}
