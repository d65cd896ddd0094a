//! Looking after what is stored: checking it ([`verify`]), freeing space ([`gc`],
//! [`compaction`]), taking a copy of it ([`backup`]).
//!
//! All of it may run while the mirror works. Rows are written through whoever writes them
//! anyway ([`Writes`]); files go only after the rows that named them. Nothing here keeps
//! state: a run that is interrupted anywhere leaves dead space, and the next run finds it.

pub mod backup;
mod bundle;
pub mod compaction;
mod database;
pub mod gc;
mod rows;
#[cfg(test)]
mod tests;
pub mod verify;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{AnyConnection, CommitBatch, StoreError, StoreWriter, WriteFn};

pub use backup::{BackupReport, backup_blocking, restore_blocking};
pub use compaction::{CompactionReport, compact_blocking};
pub use database::check_database_blocking;
pub use gc::{GcOptions, GcReport, gc_blocking};
pub use rows::forget_damaged;
pub use verify::{
    Damage, DamageKind, VerifyOptions, VerifyProgress, VerifyReport, verify_blocking,
};

/// Whoever runs writes: a [`StoreWriter`], or a closure that sends them to the committer.
pub trait Writes {
    /// Runs one write in a transaction; returns after the commit.
    ///
    /// # Errors
    /// Those of the write or of the commit; then nothing was written.
    fn write_blocking(&mut self, write: WriteFn) -> Result<(), StoreError>;
}

impl Writes for StoreWriter {
    fn write_blocking(&mut self, write: WriteFn) -> Result<(), StoreError> {
        let mut batch = CommitBatch { writes: vec![write], changes: Vec::new() };
        self.commit_blocking(&mut batch)?.writes.into_iter().collect()
    }
}

impl<F: FnMut(WriteFn) -> Result<(), StoreError>> Writes for F {
    fn write_blocking(&mut self, write: WriteFn) -> Result<(), StoreError> {
        self(write)
    }
}

/// Runs a write that answers something.
fn answer_blocking<T: Send + 'static>(
    writes: &mut dyn Writes,
    write: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let answer = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&answer);
    writes.write_blocking(Box::new(move |connection| {
        *slot.lock() = Some(write(connection)?);
        Ok(())
    }))?;
    let answer = answer.lock().take();
    answer.ok_or_else(|| StoreError::Other("a write was committed without being run".into()))
}
