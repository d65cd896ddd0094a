//! Messages of the task queue.

use std::sync::Arc;

use actix::Message;
use npm::PackageName;
use serde::{Deserialize, Serialize};
use store::tasks::{NewTask, TaskRow};
use store::{TaskEnd, TaskId};

use crate::committer::CommitError;

/// Adds tasks; each answer is the row that stands for the request, which may be an older
/// waiting one it was merged into.
#[derive(Message)]
#[rtype(result = "Result<Vec<TaskRow>, CommitError>")]
pub struct EnqueueTasks {
    /// The requests.
    pub tasks: Vec<NewTask>,
}

/// Takes up to `limit` due tasks of one registry under a lease.
#[derive(Message)]
#[rtype(result = "Result<Vec<TaskRow>, CommitError>")]
pub struct ClaimTasks {
    /// Name of the upstream registry.
    pub registry: String,
    /// Most tasks to take.
    pub limit: usize,
}

/// Takes these tasks of one registry under a lease at once, as far as they wait.
#[derive(Message)]
#[rtype(result = "Result<Vec<TaskRow>, CommitError>")]
pub struct ClaimThese {
    /// The tasks.
    pub ids: Vec<TaskId>,
}

/// Prolongs the leases of running tasks; answers with those that this process still has.
#[derive(Message)]
#[rtype(result = "Result<Vec<TaskId>, CommitError>")]
pub struct RenewLeases {
    /// The tasks still running here.
    pub ids: Vec<TaskId>,
}

/// Puts claimed tasks back as if they had never been claimed.
#[derive(Message)]
#[rtype(result = "Result<(), CommitError>")]
pub struct GiveBackTasks {
    /// The tasks.
    pub ids: Vec<TaskId>,
}

/// How a task ends when no package change carries its end.
#[derive(Message)]
#[rtype(result = "Result<(), CommitError>")]
pub enum SettleTask {
    /// It is over.
    End(TaskEnd),
    /// It waits again until a time.
    RetryLater {
        /// The task.
        id: TaskId,
        /// Unix milliseconds before which it is not claimed.
        not_before_ms: i64,
        /// What went wrong this time.
        error: String,
        /// Log text of this attempt.
        log: String,
    },
}

/// Ends a waiting or running task as cancelled; answers whether there was one to end.
#[derive(Message)]
#[rtype(result = "Result<bool, CommitError>")]
pub struct CancelTask(pub TaskId);

/// Puts a failed task back into the queue; answers whether there was one.
#[derive(Message)]
#[rtype(result = "Result<bool, CommitError>")]
pub struct RetryTask(pub TaskId);

/// There may be tasks to claim. Losable: polling finds them too.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct WakeUp;

/// Somebody waits for these tasks: they are to run before what was claimed ahead. Losable: their
/// priority says the same.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct RunSoon {
    /// Run when the next worker is free; until then they can still be merged into.
    pub next: Vec<TaskId>,
    /// Run at once, beside what runs already.
    pub forced: Vec<TaskId>,
}

/// A running task is to be stopped.
#[derive(Message, Clone)]
#[rtype(result = "()")]
pub struct CancelJob(pub TaskId);

/// Tasks of these packages that were claimed and not started are put back by the asker; answers
/// with their ids.
///
/// A new request then merges into the task that already stands for it.
#[derive(Message, Clone)]
#[rtype(result = "Vec<TaskId>")]
pub struct ReleaseUnstarted(pub Arc<[PackageName]>);

/// Registers who pulls from the queue.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RegisterPuller {
    /// Name of its upstream registry.
    pub registry: String,
    /// Gets hints that there is work.
    pub wake_up: actix::Recipient<WakeUp>,
    /// Gets told of tasks that somebody waits for.
    pub run_soon: actix::Recipient<RunSoon>,
    /// Gets told of cancelled tasks.
    pub cancel: actix::Recipient<CancelJob>,
    /// Lets go of what it has claimed and not started.
    pub release: actix::Recipient<ReleaseUnstarted>,
}

/// Asks for [`TaskQueueStatus`].
#[derive(Message)]
#[rtype(result = "TaskQueueStatus")]
pub struct DescribeTaskQueue;

/// What the task queue did since it started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TaskQueueStatus {
    /// Requests taken, merged ones included.
    pub enqueued: u64,
    /// Tasks handed out.
    pub claimed: u64,
    /// Restarts of the actor.
    pub restarts: u32,
}
