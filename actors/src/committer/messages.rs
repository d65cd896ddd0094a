//! Messages of the committer.

use actix::{Message, Recipient};
use npm::Sha512Digest;
use serde::Serialize;
use store::{AnyConnection, Committed, PackageChange, StoreError, WriteFn};
use tokio::sync::oneshot;

/// Makes one package change durable; answers when the transaction holding it is.
///
/// Whoever sends it holds the credit of its job until the answer, which bounds what waits here.
/// Safe to repeat: a change that was written after all meets its own new revision and answers
/// [`CommitError::Conflict`].
#[derive(Message)]
#[rtype(result = "Result<Committed, CommitError>")]
pub struct Commit {
    /// The change.
    pub change: PackageChange,
}

/// Runs a rare write in the next transaction, in a savepoint of its own.
#[derive(Message)]
#[rtype(result = "Result<(), CommitError>")]
pub struct Write {
    /// What to run.
    pub write: WriteFn,
}

/// Asks for [`CommitterStatus`].
#[derive(Message)]
#[rtype(result = "CommitterStatus")]
pub struct DescribeCommitter;

/// Answers when nothing waits and nothing is being written.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

/// What the committer does now and did since it started.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize)]
pub struct CommitterStatus {
    /// Changes and writes waiting for the next batch.
    pub waiting: usize,
    /// Whether a batch is being written.
    pub writing: bool,
    /// Transactions since the start.
    pub batches: u64,
    /// Package changes written.
    pub changes: u64,
    /// Other writes.
    pub writes: u64,
    /// Items that failed.
    pub failed: u64,
    /// Restarts of the actor.
    pub restarts: u32,
}

/// Why a change or write is not durable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The package changed since the change was computed: compute it again.
    #[error("the package changed meanwhile (revision {found:?})")]
    Conflict {
        /// The revision found, if the package exists.
        found: Option<i64>,
    },
    /// A blob that was to be reused is gone: fetch it again.
    #[error("blob {0} is gone")]
    MissingBlob(Sha512Digest),
    /// No room on the disk: fetching must park.
    #[error("no room: {0}")]
    DiskFull(String),
    /// The committer or writer was restarted; whether it was written is not known.
    #[error("the engine restarted a part of itself; try again")]
    Restarted,
    /// Any other failure of the store.
    #[error("{message}")]
    Store {
        /// What the store said.
        message: String,
        /// Whether trying again later can help.
        retryable: bool,
    },
}

impl CommitError {
    /// Whether the same change may succeed when it is computed or sent again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::MissingBlob(_) | Self::Restarted => true,
            Self::DiskFull(_) => false,
            Self::Store { retryable, .. } => *retryable,
        }
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { found, .. } => Self::Conflict { found },
            StoreError::MissingBlob(digest) => Self::MissingBlob(digest),
            StoreError::DiskFull(text) => Self::DiskFull(text),
            other => Self::Store { retryable: other.is_retryable(), message: other.to_string() },
        }
    }
}

/// Runs a write in the committer's next transaction and brings back what it answered.
///
/// # Errors
/// Those of the write itself; [`CommitError::Restarted`] when its fate is unknown.
pub fn write_returning<T: Send + 'static>(
    committer: Recipient<Write>,
    write: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
) -> impl Future<Output = Result<T, CommitError>> + Send + 'static {
    let (value, answered) = oneshot::channel();
    let write = Box::new(move |connection: &mut AnyConnection| {
        let outcome = write(connection)?;
        let _ = value.send(outcome);
        Ok(())
    });
    async move {
        committer.send(Write { write }).await.map_err(|_| CommitError::Restarted)??;
        answered.await.map_err(|_| CommitError::Restarted)
    }
}
