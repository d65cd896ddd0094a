//! The one place where the engine looks at the wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The clock that ages of versions are measured by; tests move theirs.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// One that can be moved.
    #[must_use]
    pub fn movable() -> Self {
        Self { ahead_ms: Some(Arc::default()) }
    }

    /// Now in unix milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let ahead_ms = self.ahead_ms.as_ref().map_or(0, |ahead| ahead.load(Ordering::Relaxed));
        now_ms().saturating_add(ahead_ms)
    }

    /// Moves it, for everybody who has it; the clock of the system stays.
    pub fn advance(&self, time: Duration) {
        if let Some(ahead_ms) = &self.ahead_ms {
            let time_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
            ahead_ms.fetch_add(time_ms, Ordering::Relaxed);
        }
    }
}

/// Now in unix milliseconds.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Now as ISO-8601 UTC with milliseconds, the form of log lines.
pub fn now_text() -> impl std::fmt::Display {
    humantime::format_rfc3339_millis(SystemTime::now())
}
