//! Messages of the registry sync.

use std::time::Duration;

use actix::Message;
use serde::{Deserialize, Serialize};
use store::TaskId;

use crate::upstream::UpstreamStatus;

/// A job ended, in whatever way; its task is settled.
#[derive(Message)]
#[rtype(result = "()")]
pub struct JobEnded {
    /// The task of the job.
    pub id: TaskId,
    /// How it ended.
    pub end: JobEnd,
}

/// How a job ended, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Its package is up to date.
    Success,
    /// It failed for good.
    Failed,
    /// It waits again for a later try.
    Later,
}

/// Stops claiming, gives waiting tasks back and answers when no job runs any more; jobs that
/// still run after `grace` are stopped and their tasks given back too.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopClaiming {
    /// How long running jobs may go on.
    pub grace: Duration,
}

/// Asks for [`RegistrySyncStatus`].
#[derive(Message)]
#[rtype(result = "RegistrySyncStatus")]
pub struct DescribeRegistrySync;

/// What one registry sync does now and did since it started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RegistrySyncStatus {
    /// Name of the upstream registry.
    pub registry: String,
    /// Tasks claimed and not started.
    pub ready: usize,
    /// Jobs running.
    pub running: usize,
    /// Most jobs at once.
    pub workers: usize,
    /// Jobs that ended well.
    pub success: u64,
    /// Jobs that failed for good.
    pub failed: u64,
    /// Jobs that were put back for later.
    pub later: u64,
    /// Jobs that panicked.
    pub panics: u64,
    /// Documents asked for again because the feed told of a newer one.
    pub asked_again: u64,
    /// Restarts of the actor.
    pub restarts: u32,
    /// The client of this registry; absent while no upstream is known.
    pub upstream: Option<UpstreamStatus>,
}
