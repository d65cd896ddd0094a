//! One picture of the whole engine, for status pages, metrics and tests.

use serde::{Deserialize, Serialize};
use store::tasks::TaskCounts;

use crate::audit::AuditStatus;
use crate::changes_follower::FollowerStatus;
use crate::committer::CommitterStatus;
use crate::hook_dispatcher::HookDispatcherStatus;
use crate::janitor::JanitorStatus;
use crate::log_writer::LogWriterStatus;
use crate::node_watch::NodeWatchStatus;
use crate::registry_sync::RegistrySyncStatus;
use crate::task_queue::TaskQueueStatus;

/// What every actor says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Tasks by state, from the database.
    pub tasks: TaskCounts,
    /// The task queue.
    pub queue: TaskQueueStatus,
    /// One entry per upstream registry.
    pub syncs: Vec<RegistrySyncStatus>,
    /// One entry per followed changes feed.
    pub followers: Vec<FollowerStatus>,
    /// What is missing, one entry per upstream registry.
    pub audits: Vec<AuditStatus>,
    /// The committer.
    pub committer: CommitterStatus,
    /// The log writer.
    pub logs: LogWriterStatus,
    /// What is told to hooks.
    pub hooks: HookDispatcherStatus,
    /// The janitor.
    pub janitor: JanitorStatus,
    /// Hearing from other nodes.
    pub node_watch: NodeWatchStatus,
    /// Sentences for the operator so far: contradictions of upstream, wrong signatures.
    pub alarms: i64,
    /// Why fetching is parked, when it is.
    pub parked: Option<String>,
}
