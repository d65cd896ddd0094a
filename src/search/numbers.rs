//! What the search says of itself in the metrics.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Counted from the start of the server on.
#[derive(Debug, Default)]
pub struct Numbers {
    questions: AtomicU64,
    micros: AtomicU64,
    behind: AtomicI64,
}

impl Numbers {
    /// A question was answered, well or not.
    pub fn answered(&self, took: Duration) {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Numbers of our change log that were not looked at yet; those of other names count as well.
    pub fn is_behind(&self, changes: i64) {
        self.behind.store(changes, Ordering::Relaxed);
    }

    /// Questions that were answered.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// Time that answers took in the index, all together.
    pub fn took(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// See [`Numbers::is_behind`].
    pub fn behind(&self) -> i64 {
        self.behind.load(Ordering::Relaxed)
    }
}
