//! Messages of the metadata writer.

use actix::Message;
use store::{BatchOutcome, CommitBatch, StoreError};

/// Makes one batch durable in one transaction.
///
/// The batch comes back with the answer when it failed as a whole, so that the committer can
/// look for the guilty change; its `writes` are used up then.
#[derive(Message)]
#[rtype(result = "Result<BatchOutcome, FailedBatch>")]
pub struct WriteBatch {
    /// What to write.
    pub batch: CommitBatch,
}

/// A batch that was rolled back as a whole.
#[derive(Debug)]
pub struct FailedBatch {
    /// The changes of the batch, untouched.
    pub changes: Vec<store::PackageChange>,
    /// Why.
    pub error: StoreError,
}

/// Nothing waits: the writer may tidy up (checkpoint its log).
#[derive(Message)]
#[rtype(result = "()")]
pub struct Idle;
