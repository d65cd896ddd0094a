//! The large lane: bodies over 4 MiB are in memory two at a time, however many jobs run.

use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies up to this size are held freely, each on its job's own credit.
pub const FREE_BODY_BYTES: usize = 4 << 20;

/// Two bodies of 100 MB, with what is rendered from them, are what memory is planned for.
const PLACES: usize = 2;

/// Places for large bodies.
#[derive(Clone)]
pub struct LargeLane(Arc<Semaphore>);

impl LargeLane {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }

    /// A place; held until the body, and what is made from it, is gone.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        // the semaphore is never closed; were it, going on without a place is right
        Arc::clone(&self.0).acquire_owned().await.ok()
    }

    /// Free places.
    #[must_use]
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }
}

/// Runs CPU work on `bytes` bytes: in place when short, else after telling the runtime that
/// this thread is busy. Never moves the work to another thread.
pub fn in_place<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    let is_multi_thread = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes > FREE_BODY_BYTES && is_multi_thread {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
