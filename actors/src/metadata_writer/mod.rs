//! The writing database connection, on its own thread.
//!
//! Owns the only [`StoreWriter`]. Receives [`WriteBatch`] from the committer, one at a time
//! (the queue of a `SyncArbiter` has no bound, so the bound is the committer's discipline), and
//! [`Idle`] when nothing waits. A panic drops the connection; the arbiter starts a fresh writer.

mod messages;

use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::{Actor, ActorContext, Addr, Handler, MessageResult, SyncArbiter, SyncContext};
use store::{BatchOutcome, CommitBatch, Store, StoreError, StoreWriter};

pub use self::messages::{FailedBatch, Idle, WriteBatch};
use crate::supervision::panic_text;

/// Writes batches; see the module.
pub struct MetadataWriter {
    store: Store,
    writer: Option<StoreWriter>,
}

impl MetadataWriter {
    /// Starts the writer on a thread of its own.
    pub fn start(store: Store) -> Addr<Self> {
        let threads = || std::thread::Builder::new().name("metadata-writer".into());
        SyncArbiter::start_with_thread_builder(1, threads, move || Self {
            store: store.clone(),
            writer: None,
        })
    }

    fn writer(&mut self) -> Result<&mut StoreWriter, StoreError> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            empty => Ok(empty.insert(self.store.writer_blocking()?)),
        }
    }

    fn write(&mut self, batch: &mut CommitBatch) -> Result<BatchOutcome, StoreError> {
        self.writer()?.commit_blocking(batch)
    }
}

impl Actor for MetadataWriter {
    type Context = SyncContext<Self>;
}

impl Handler<WriteBatch> for MetadataWriter {
    type Result = MessageResult<WriteBatch>;

    fn handle(&mut self, mut message: WriteBatch, ctx: &mut Self::Context) -> Self::Result {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.write(&mut message.batch)));
        MessageResult(match outcome {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(error)) => Err(FailedBatch { changes: message.batch.changes, error }),
            Err(panic) => {
                let text = panic_text(&*panic).to_owned();
                tracing::error!(panic = text, "the metadata writer panicked and is restarted");
                ctx.stop();
                let error = StoreError::Other(format!("the metadata writer panicked: {text}"));
                Err(FailedBatch { changes: message.batch.changes, error })
            }
        })
    }
}

impl Handler<Idle> for MetadataWriter {
    type Result = ();

    fn handle(&mut self, _: Idle, _: &mut Self::Context) {
        let tidied = self.writer.as_mut().map_or(Ok(()), StoreWriter::idle_blocking);
        if let Err(error) = tidied {
            tracing::warn!(%error, "the database could not be tidied; the next idle time tries again");
        }
    }
}
