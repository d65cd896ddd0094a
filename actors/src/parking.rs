//! Whether fetching is parked, and why.
//!
//! Parked means: nothing new is fetched or written to the blob store, serving goes on. The
//! janitor parks when free space falls below `storage.keep_free`, a job parks when a write met
//! a full disk, and only the janitor lifts it again, when there is room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// Shared switch; cheap to clone and to read.
#[derive(Clone, Debug, Default)]
pub struct Parking {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    parked: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Parking {
    /// Parks fetching; answers whether that is new.
    pub fn park(&self, reason: impl Into<String>) -> bool {
        *self.inner.reason.lock() = Some(reason.into());
        !self.inner.parked.swap(true, Ordering::AcqRel)
    }

    /// Lets fetching go on; answers whether it was parked.
    pub fn resume(&self) -> bool {
        let was = self.inner.parked.swap(false, Ordering::AcqRel);
        *self.inner.reason.lock() = None;
        was
    }

    /// The reason while parked.
    pub fn reason(&self) -> Option<String> {
        if !self.is_parked() {
            return None;
        }
        self.inner.reason.lock().clone()
    }

    /// Whether fetching is parked.
    pub fn is_parked(&self) -> bool {
        self.inner.parked.load(Ordering::Acquire)
    }
}
