//! [`StoreWriter`]: the connection that writes. It belongs to one thread.
//!
//! SQLite: commits go to the write-ahead log with a flush each; moving the log into the file waits
//! for idle time, or for the log to pass a ceiling.

use std::path::PathBuf;
use std::sync::Arc;

use diesel::connection::SimpleConnection;

use crate::blobs::BlobStore;
use crate::change::{BatchOutcome, CommitBatch};
use crate::connection::Opener;
use crate::hooks::watch::HookWatch;
use crate::{AnyConnection, StoreError, commit, dialect, migrations};

/// Above this the log is moved into the file between two commits, because readers look through all
/// of it.
const WAL_CEILING_BYTES: u64 = 64 << 20;
/// Below this, idle time is not worth two flushes.
const WAL_WORTH_BYTES: u64 = 256 << 10;

/// The one that writes. Not shared: the metadata writer's thread owns it.
pub struct StoreWriter {
    opener: Opener,
    /// Gone after an error that leaves the connection in doubt; opened again when needed.
    connection: Option<AnyConnection>,
    blobs: Arc<dyn BlobStore>,
    hooks: Arc<HookWatch>,
    wal: Option<PathBuf>,
    wrote: bool,
}

impl StoreWriter {
    pub(crate) fn open(
        opener: Opener,
        blobs: Arc<dyn BlobStore>,
        hooks: Arc<HookWatch>,
    ) -> Result<Self, StoreError> {
        let connection = Some(opener.open_writer()?);
        let wal = match &opener {
            Opener::Sqlite { path } => Some(migrations::with_suffix(path, "-wal")),
            Opener::Postgres { .. } => None,
        };
        Ok(Self { opener, connection, blobs, hooks, wal, wrote: false })
    }

    /// Makes blobs durable, then writes the batch in one transaction.
    ///
    /// The writes are used up; the changes stay with the caller, who may repeat them in smaller
    /// batches after an error.
    ///
    /// # Errors
    /// The whole batch was rolled back. Errors that concern one part stand in the outcome instead.
    pub fn commit_blocking(&mut self, batch: &mut CommitBatch) -> Result<BatchOutcome, StoreError> {
        let writes = std::mem::take(&mut batch.writes);
        let changes = batch.changes.as_slice();
        self.blobs.flush_blocking()?;
        if writes.is_empty() && changes.is_empty() {
            return Ok(BatchOutcome { writes: Vec::new(), changes: Vec::new(), deliveries: 0 });
        }
        let blobs = Arc::clone(&self.blobs);
        let states = blobs.segments();
        let interests = self.hooks.current();
        let outcome = self.write_blocking(|connection| {
            commit::run(connection, writes, changes, &states, blobs.as_ref(), &interests)
        })?;
        self.blobs.segments_recorded(&states);
        if outcome.deliveries > 0 {
            self.hooks.ring();
        }
        Ok(outcome)
    }

    /// Runs one write transaction that is no part of a sync.
    ///
    /// # Errors
    /// Those of `work`; then nothing was written.
    pub fn write_blocking<T>(
        &mut self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.opener.open_writer()?,
        };
        let answer = dialect::write_transaction(&mut connection, work);
        // After a panic in `work`, or when the server went away, the next call opens a new one.
        if !dialect::is_open(&mut connection) && !is_lost(&answer) {
            self.connection = Some(connection);
        }
        self.wrote = true;
        self.limit_wal_blocking();
        answer
    }

    /// Uses the time when nothing waits: moves SQLite's log into the file.
    ///
    /// # Errors
    /// Those of the database.
    pub fn idle_blocking(&mut self) -> Result<(), StoreError> {
        if self.wrote && self.wal_bytes() > WAL_WORTH_BYTES {
            self.checkpoint_blocking()?;
        }
        self.wrote = false;
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().unwrap()
    }

    fn wal_bytes(&self) -> u64 {
        let size = |path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.wal.as_ref().map_or(0, size)
    }

    /// A failed checkpoint loses nothing, so the commit before it stays a success.
    fn limit_wal_blocking(&mut self) {
        if self.wal_bytes() > WAL_CEILING_BYTES
            && let Err(error) = self.checkpoint_blocking()
        {
            tracing::warn!(%error, "the write-ahead log of the database could not be emptied");
        }
    }

    /// Passive: it never waits for a reader. The log is cut when the next commit starts it over.
    fn checkpoint_blocking(&mut self) -> Result<(), StoreError> {
        match &mut self.connection {
            Some(AnyConnection::Sqlite(sqlite)) => {
                Ok(sqlite.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")?)
            }
            _ => Ok(()),
        }
    }
}

/// A server's connection is not used again after an error that may come from it.
fn is_lost<T>(answer: &Result<T, StoreError>) -> bool {
    answer.as_ref().is_err_and(StoreError::is_retryable)
}
