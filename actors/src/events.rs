//! What the engine tells whoever listens: facts, past tense, losable.

use npm::PackageName;
use serde::{Deserialize, Serialize};
use store::{TaskFailure, TaskId, TaskState};

/// How many events a slow listener may fall behind before it misses some.
pub const EVENT_BUFFER: usize = 4096;

/// What one sync did.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct SyncSummary {
    /// Versions whose tarball was fetched or found by digest in this run.
    pub versions_new: u64,
    /// Versions that were here before.
    pub versions_here: u64,
    /// Versions that could not be had.
    pub versions_failed: u64,
    /// Bytes of tarballs that came over the wire.
    pub bytes: u64,
}

/// A fact about the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EngineEvent {
    /// A task was taken up.
    TaskStarted {
        /// The task.
        id: TaskId,
        /// Its package.
        name: PackageName,
    },
    /// Progress of a running task.
    Versions {
        /// The task.
        id: TaskId,
        /// Its package.
        name: PackageName,
        /// Tarballs settled so far in this run.
        done: u64,
        /// Tarballs this run has to settle.
        total: u64,
        /// Bytes that came over the wire so far.
        bytes: u64,
    },
    /// A task ended.
    TaskEnded {
        /// The task.
        id: TaskId,
        /// Its package.
        name: PackageName,
        /// `success` or `error`; `waiting` when it goes back to the queue.
        state: TaskState,
        /// Why it failed, or the last failure of a single version.
        error: Option<String>,
        /// What kind of failure that was; none when the task succeeded.
        failure: Option<TaskFailure>,
        /// What it did.
        summary: SyncSummary,
    },
    /// A change of this package became durable.
    Committed {
        /// Our own sequence number of the change.
        seq: i64,
        /// The package.
        name: PackageName,
    },
    /// What is withheld of a package changed.
    BlocksChanged {
        /// The package.
        name: PackageName,
    },
    /// What is withheld changed, or so much on other nodes that nobody names it: whatever was read
    /// before may be old.
    PolicyChanged,
    /// Who may read what changed.
    AccessChanged,
    /// Tokens or users changed on some node, or may have without this one hearing of it.
    AccountsChanged,
    /// Which registry names belong to changed: whatever was read before may be old.
    OwnershipChanged,
    /// Changes of these packages became durable, on this node or on another one.
    ChangedSomewhere {
        /// The packages.
        names: Vec<PackageName>,
    },
    /// Fetching stopped for now.
    Parked {
        /// Why.
        reason: String,
    },
    /// Fetching goes on.
    Resumed,
}
