//! Downloads of tarballs: counted in memory, written down every minute.
//!
//! A download is one addition to an atomic number beside the tarball's place; only the first one
//! since the last write takes a lock, to put the tarball on the list of what has to be written.
//! Counts that could not be written are kept for the next time; a crash loses those of a minute.

pub mod calendar;
pub mod range;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use actors::EngineHandle;
use actors::clock::now_ms;
use npm::PackageName;
use parking_lot::Mutex;
use store::WriteFn;
use store::downloads::{self, day_of, start_of};

use crate::app::App;
use crate::cache::tarballs::Held;

/// How many times something was fetched since that was written down last.
#[derive(Debug, Default)]
pub struct Unwritten(AtomicI64);

/// What is to be written down.
enum Counted {
    /// A tarball that is here.
    Held(PackageName, Arc<Held>),
    /// One that went out while it came in.
    Passing(PackageName, String),
}

/// The downloads that are not written down yet.
pub struct Downloads {
    waiting: Mutex<Vec<Counted>>,
    /// Taken from `waiting` and not written, because the database could not be written.
    kept: Mutex<Vec<downloads::Downloads>>,
    engine: EngineHandle,
}

impl Downloads {
    /// Nothing was fetched yet.
    #[must_use]
    pub fn new(engine: EngineHandle) -> Self {
        Self { waiting: Mutex::default(), kept: Mutex::default(), engine }
    }

    /// A tarball that is here goes out.
    pub fn count(&self, name: &PackageName, held: &Arc<Held>) {
        if held.downloads.0.fetch_add(1, Ordering::Relaxed) == 0 {
            self.waiting.lock().push(Counted::Held(name.clone(), Arc::clone(held)));
        }
    }

    /// A tarball goes out while it comes in.
    pub fn count_passing(&self, name: &PackageName, version: &str) {
        self.waiting.lock().push(Counted::Passing(name.clone(), version.to_owned()));
    }

    /// Writes down what was counted.
    pub async fn write(&self) {
        let day = day_of(now_ms());
        let counts = self.take(day);
        if counts.is_empty() {
            return;
        }
        let counts = Arc::new(counts);
        let written = Arc::clone(&counts);
        let write: WriteFn = Box::new(move |rows| downloads::add(rows, &written));
        if let Err(error) = self.engine.write(write).await {
            tracing::warn!(%error, "downloads could not be written down, they wait");
            self.kept.lock().extend(counts.iter().cloned());
        }
    }

    /// Everything that waits, as counts of today.
    fn take(&self, day: i64) -> Vec<downloads::Downloads> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let mut sums = HashMap::<(PackageName, String), i64>::new();
        for counted in waiting {
            let (key, count) = match counted {
                // what is counted from here on puts it on the list again
                Counted::Held(name, held) => {
                    ((name, held.version.clone()), held.downloads.0.swap(0, Ordering::Relaxed))
                }
                Counted::Passing(name, version) => ((name, version), 1),
            };
            *sums.entry(key).or_default() += count;
        }
        let mut counts = std::mem::take(&mut *self.kept.lock());
        let new = sums.into_iter().map(|((name, version), count)| downloads::Downloads {
            name,
            version,
            day,
            count,
        });
        counts.extend(new);
        counts
    }

    /// Writes every `every`, and at the end of each day, for as long as anybody else holds this.
    pub async fn keep_writing(app: Weak<App>, every: Duration) {
        loop {
            tokio::time::sleep(every.min(until_midnight(now_ms()))).await;
            let Some(app) = app.upgrade() else { return };
            app.downloads.write().await;
        }
    }
}

/// Time left of the UTC day, and a moment of the next one where none is left.
fn until_midnight(now_ms: i64) -> Duration {
    let left = start_of(day_of(now_ms).saturating_add(1)).saturating_sub(now_ms);
    Duration::from_millis(left.saturating_sub(LAST_MOMENT_MS).unsigned_abs().max(LEAST_WAIT_MS))
}

/// The last write of a day begins so long before its end.
const LAST_MOMENT_MS: i64 = 100;
/// No two writes follow each other faster.
const LEAST_WAIT_MS: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_write_of_a_day_is_just_before_its_end() {
        assert_eq!(until_midnight(0), Duration::from_millis(86_399_900));
        assert_eq!(until_midnight(86_399_000), Duration::from_millis(900));
        assert_eq!(until_midnight(86_399_950), Duration::from_millis(LEAST_WAIT_MS));
    }
}
