//! Counters of the HTTP side, one set per worker so that workers share no cache line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Counters of one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerCounters {
    requests: AtomicU64,
    server_errors: AtomicU64,
}

impl WorkerCounters {
    /// Counts one answer.
    pub fn answered(&self, is_server_error: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if is_server_error {
            self.server_errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The counters of all workers.
#[derive(Debug, Default)]
pub struct Counters {
    workers: Mutex<Vec<Arc<WorkerCounters>>>,
}

impl Counters {
    /// A set for one more worker.
    pub fn of_worker(&self) -> Arc<WorkerCounters> {
        let counters = Arc::<WorkerCounters>::default();
        self.workers.lock().push(Arc::clone(&counters));
        counters
    }

    /// Requests answered since start.
    pub fn requests(&self) -> u64 {
        self.sum(|counters| &counters.requests)
    }

    /// Answers of 500 and above since start.
    pub fn server_errors(&self) -> u64 {
        self.sum(|counters| &counters.server_errors)
    }

    fn sum(&self, of: impl Fn(&WorkerCounters) -> &AtomicU64) -> u64 {
        self.workers.lock().iter().map(|counters| of(counters).load(Ordering::Relaxed)).sum()
    }
}
