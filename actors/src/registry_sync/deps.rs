//! What a job may use, and how one is started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::Recipient;
use futures_util::FutureExt;
use store::tasks::TaskRow;
use store::{Store, TaskFailure, TaskId};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::AbortHandle;

use super::{JobEnd, JobEnded, QueueLength, Staleness, settle};
use crate::committer::Commit;
use crate::credit::ByteCredits;
use crate::events::EngineEvent;
use crate::log_writer::TaskLogs;
use crate::parking::Parking;
use crate::recent_reads::RecentReads;
use crate::registries::Registries;
use crate::rules::Rules;
use crate::supervision::panic_text;
use crate::task_queue::{EnqueueTasks, SettleTask};
use crate::upstream::Upstream;
use crate::upstream_slot::UpstreamSlot;

/// Bounds of one job.
#[derive(Clone, Debug)]
pub struct JobLimits {
    /// Tries of one task before it fails for good.
    pub max_attempts: i32,
    /// With so many tasks waiting dependencies are left out; 0 = never.
    pub high_water: i64,
}

/// Everything a job may use; cheap to clone.
#[derive(Clone)]
pub struct JobDeps {
    /// Name of the upstream registry.
    pub registry: Arc<str>,
    /// `host/pid` of this process, for logs.
    pub worker: Arc<str>,
    /// How many tasks of the registry wait.
    pub queue_length: Arc<QueueLength>,
    /// The client of that registry, once one is known.
    pub upstream: UpstreamSlot,
    /// All registries, and who owns which name.
    pub registries: Registries,
    /// What people here asked for lately.
    pub recent_reads: Arc<RecentReads>,
    /// Database and blobs, for reading and putting bytes.
    pub store: Store,
    /// Makes changes durable.
    pub commit: Recipient<Commit>,
    /// Ends tasks that no change ends.
    pub settle: Recipient<SettleTask>,
    /// Takes the tasks of dependencies.
    pub enqueue: Recipient<EnqueueTasks>,
    /// Logs of running tasks.
    pub logs: TaskLogs,
    /// Whether fetching is parked.
    pub parking: Parking,
    /// Tarballs in flight at once.
    pub tarballs: Arc<Semaphore>,
    /// Bytes of collected tarballs in memory.
    pub bytes: ByteCredits,
    /// Who listens.
    pub events: broadcast::Sender<EngineEvent>,
    /// Bounds of one job.
    pub limits: JobLimits,
    /// How long caches in front of the upstream are waited for.
    pub staleness: Arc<Staleness>,
    /// What is accepted of a document.
    pub rules: Rules,
    /// The engine's own runtime.
    pub runtime: Handle,
    /// Jobs that panicked.
    pub panicked: Arc<AtomicU64>,
}

impl JobDeps {
    /// The client of this registry, once one is known.
    pub fn upstream(&self) -> Option<Upstream> {
        self.upstream.get()
    }

    /// Whether there is somebody to ask.
    pub fn has_upstream(&self) -> bool {
        self.upstream.get().is_some()
    }

    /// Jobs that panicked since the start.
    pub fn panics(&self) -> u64 {
        self.panicked.load(Ordering::Relaxed)
    }

    /// Tells whoever listens.
    pub fn tell(&self, event: EngineEvent) {
        let _ = self.events.send(event);
    }

    /// Starts the job of a claimed task; it reports to `ended` exactly once, unless aborted.
    pub fn spawn_job(&self, task: TaskRow, ended: Recipient<JobEnded>) -> AbortHandle {
        let deps = self.clone();
        let id = task.id;
        let job = async move {
            let run = settle::run_and_settle(deps.clone(), task);
            let end = match std::panic::AssertUnwindSafe(run).catch_unwind().await {
                Ok(end) => end,
                Err(panic) => deps.job_panicked(id, panic_text(&*panic)).await,
            };
            let _ = ended.send(JobEnded { id, end }).await;
        };
        self.runtime.spawn(job).abort_handle()
    }

    async fn job_panicked(&self, id: TaskId, text: &str) -> JobEnd {
        tracing::error!(task.id = %id, panic = text, "a sync job panicked");
        self.panicked.fetch_add(1, Ordering::Relaxed);
        let failed = (format!("the sync job panicked: {text}"), TaskFailure::Other);
        settle::fail(self, id, failed, String::new()).await;
        JobEnd::Failed
    }
}
