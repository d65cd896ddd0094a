//! How many tasks of a registry wait, for the first line of every log.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store::{Store, tasks};

/// Counted this far and no further: the number only says whether much waits.
const COUNTED: i64 = 1_000;
/// A log may be this much behind: counting for each of thousands of jobs a second would cost more
/// than it says.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The number, read again when it is old.
#[derive(Debug, Default)]
pub struct QueueLength {
    last: Mutex<Option<(Instant, i64)>>,
}

impl QueueLength {
    /// How many wait, as text; `1000+` when they are too many to be counted.
    pub async fn look(&self, store: &Store, registry: &str) -> String {
        let known = *self.last.lock();
        let waiting = match known.filter(|(at, _)| at.elapsed() < GOOD_FOR) {
            Some((_, waiting)) => waiting,
            None => self.count(store, registry).await,
        };
        if waiting < COUNTED { waiting.to_string() } else { format!("{COUNTED}+") }
    }

    async fn count(&self, store: &Store, registry: &str) -> i64 {
        let registry = registry.to_owned();
        let read = store.read_here(move |rows| tasks::count_waiting(rows, &registry, COUNTED));
        let waiting = read.await.unwrap_or(0); // only a number in a log
        *self.last.lock() = Some((Instant::now(), waiting));
        waiting
    }
}
