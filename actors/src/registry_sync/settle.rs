//! How a job ends: what is final, what waits for a later try, what goes back untouched.

use std::time::Duration;

use store::tasks::{self, TaskRow};
use store::{StoreError, TaskEnd, TaskFailure, TaskId, TaskState};

use super::job::{self, Synced};
use super::{JobDeps, JobEnd};
use crate::clock::now_ms;
use crate::committer::CommitError;
use crate::events::{EngineEvent, SyncSummary};
use crate::known::UnusableDocument;
use crate::log_writer::TaskLog;
use crate::registries::NotAsked;
use crate::rules::Unaccepted;
use crate::task_queue::SettleTask;
use crate::upstream::UpstreamError;

/// First wait before a failed task is tried again; doubled with every attempt.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// Longest such wait, unless the upstream itself asks for more.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// Why a package could not be synced.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No upstream is known.
    #[error("no upstream is known")]
    NoUpstream,
    /// This registry is not asked for that name.
    #[error("{0}")]
    NotAsked(#[from] NotAsked),
    /// The upstream said no, or said nothing.
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    /// The document cannot be accepted.
    #[error("{0}")]
    Refused(#[from] UnusableDocument),
    /// Upstream does not have it any more; what is here stays until a second answer.
    #[error("{error}; what is here stays unless an answer in {} s or later says the same", .wait.as_secs())]
    Absent {
        /// What upstream said.
        error: UpstreamError,
        /// Time until an answer decides.
        wait: Duration,
    },
    /// Its signatures are required and cannot be verified now.
    #[error("signatures are required (sync.signatures), and the keys cannot be had: {0}")]
    NoKeys(UpstreamError),
    /// The change could not be made durable.
    #[error("{0}")]
    Commit(#[from] CommitError),
    /// The store could not be read or written.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A cache gave a document from before the change that the feed told of.
    #[error(
        "the document is older than the feed says (revision {found}, not {wanted}); asked again \
         in {} s",
        .wait.as_secs()
    )]
    Older {
        /// Its revision.
        found: u64,
        /// That of the feed's row.
        wanted: u64,
        /// When to ask again.
        wait: Duration,
    },
    /// 404 for a name that the feed just told of.
    #[error("upstream answered 404 for a name its feed just told of; asked again in {} s", .wait.as_secs())]
    NotYet {
        /// When to ask again.
        wait: Duration,
    },
    /// There is no room.
    #[error("fetching is parked: {0}")]
    Parked(String),
}

impl JobError {
    fn no_room(&self) -> Option<&str> {
        match self {
            Self::Parked(reason)
            | Self::Commit(CommitError::DiskFull(reason))
            | Self::Store(StoreError::DiskFull(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Nothing was tried: what nobody waits for waits without losing an attempt, and a person
    /// is told instead of waiting for the next month.
    fn waits_its_turn(&self) -> bool {
        matches!(self, Self::Upstream(UpstreamError::OverBudget { .. }))
    }

    fn is_retryable(&self) -> bool {
        match self {
            Self::Upstream(error) | Self::NoKeys(error) => error.is_retryable(),
            Self::Commit(error) => error.is_retryable(),
            Self::Store(error) => error.is_retryable(),
            Self::NoUpstream => true,
            Self::Refused(_)
            | Self::Parked(_)
            | Self::NotAsked(_)
            | Self::Absent { .. }
            | Self::Older { .. }
            | Self::NotYet { .. } => false,
        }
    }

    fn failure(&self) -> TaskFailure {
        match self {
            Self::Upstream(error) | Self::Absent { error, .. } => error.failure(),
            Self::NoUpstream => TaskFailure::Unreachable,
            _ => TaskFailure::Other,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Upstream(error) | Self::NoKeys(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl From<Unaccepted> for JobError {
    fn from(error: Unaccepted) -> Self {
        match error {
            Unaccepted::Unusable(refused) => Self::Refused(refused),
            Unaccepted::NoKeys(error) => Self::NoKeys(error),
            Unaccepted::Commit(error) => Self::Commit(error),
        }
    }
}

/// Runs the job of one task and settles the task.
pub async fn run_and_settle(deps: JobDeps, task: TaskRow) -> JobEnd {
    let log = deps.logs.open(task.id);
    deps.tell(EngineEvent::TaskStarted { id: task.id, name: task.name.clone() });
    match Box::pin(job::sync_package(&deps, &task, &log)).await {
        Ok(synced) => {
            let good = synced.state == TaskState::Success;
            let failed = synced.error.map(|error| (error, TaskFailure::Other));
            ended(&deps, &task, synced.state, failed, synced.summary);
            if good { JobEnd::Success } else { JobEnd::Failed }
        }
        Err(failed) => settle(&deps, &task, &log, &failed.error, failed.summary).await,
    }
}

/// A failure with what was done before it.
#[derive(Debug)]
pub struct JobFailure {
    /// Why.
    pub error: JobError,
    /// What was done all the same.
    pub summary: SyncSummary,
}

impl<E: Into<JobError>> From<E> for JobFailure {
    fn from(error: E) -> Self {
        Self { error: error.into(), summary: SyncSummary::default() }
    }
}

/// What a finished job says.
pub type JobResult = Result<Synced, JobFailure>;

async fn settle(
    deps: &JobDeps,
    task: &TaskRow,
    log: &TaskLog,
    error: &JobError,
    summary: SyncSummary,
) -> JobEnd {
    let text = error.to_string();
    if let Some(reason) = error.no_room() {
        if deps.parking.park(reason) {
            deps.tell(EngineEvent::Parked { reason: reason.to_owned() });
        }
        log.line("🚮", format_args!("put back: {text}"));
        return later(deps, task, log, now_ms(), error, summary).await;
    }
    if let JobError::Older { wait, .. } | JobError::NotYet { wait } = error {
        log.line("🚮", &text);
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        return later(deps, task, log, now_ms().saturating_add(wait_ms), error, summary).await;
    }
    // a person is told at once; what nobody waits for comes back when the answer decides
    if let JobError::Absent { wait, .. } = error
        && task.priority != tasks::PRIORITY_PEOPLE
    {
        log.line("🚮", format_args!("{text}; asked again in {} s", wait.as_secs()));
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        return later(deps, task, log, now_ms().saturating_add(wait_ms), error, summary).await;
    }
    let again = match error.waits_its_turn() {
        true => job::is_background(task),
        false => task.attempts < deps.limits.max_attempts || is_news(task),
    };
    if again && error.is_retryable() {
        let wait = wait_before_retry(task.attempts, error.retry_after());
        log.line("🚮", format_args!("{text}; tried again in {} s", wait.as_secs()));
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        return later(deps, task, log, now_ms().saturating_add(wait_ms), error, summary).await;
    }
    log.line("❌", format_args!("❌❌❌❌❌ {}: {text} ❌❌❌❌❌", task.name));
    let failed = (text, error.failure());
    fail(deps, task.id, failed.clone(), log.take()).await;
    ended(deps, task, TaskState::Error, Some(failed), summary);
    JobEnd::Failed
}

async fn later(
    deps: &JobDeps,
    task: &TaskRow,
    log: &TaskLog,
    not_before_ms: i64,
    error: &JobError,
    summary: SyncSummary,
) -> JobEnd {
    let text = error.to_string();
    let retry =
        SettleTask::RetryLater { id: task.id, not_before_ms, error: text.clone(), log: log.take() };
    // if this cannot be written either, the lease runs out and the task is claimed again
    let _ = deps.settle.send(retry).await;
    ended(deps, task, TaskState::Waiting, Some((text, error.failure())), summary);
    JobEnd::Later
}

/// Ends a task as failed.
pub async fn fail(
    deps: &JobDeps,
    id: TaskId,
    (error, failure): (String, TaskFailure),
    log: String,
) {
    let state = TaskState::Error;
    let end = TaskEnd { id, state, error: Some(error), failure: Some(failure), log };
    let _ = deps.settle.send(SettleTask::End(end)).await;
}

fn ended(
    deps: &JobDeps,
    task: &TaskRow,
    state: TaskState,
    failed: Option<(String, TaskFailure)>,
    summary: SyncSummary,
) {
    let name = task.name.clone();
    let (error, failure) = failed.unzip();
    deps.tell(EngineEvent::TaskEnded { id: task.id, name, state, error, failure, summary });
    deps.logs.tell_readers();
}

/// What the feed told within the last day is not given up: nobody will tell of it again.
fn is_news(task: &TaskRow) -> bool {
    let day_ms = 24 * 3600 * 1000;
    task.options.target.is_some_and(|target| now_ms() - target.read_at_ms < day_ms)
}

fn wait_before_retry(attempts: i32, asked_for: Option<Duration>) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(16);
    let ours = FIRST_RETRY.saturating_mul(1 << doublings).min(LONGEST_RETRY);
    asked_for.map_or(ours, |asked| asked.max(ours))
}
