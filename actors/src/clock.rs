//! The one place where the engine looks at the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now in unix milliseconds.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Now as ISO-8601 UTC with milliseconds, the form of log lines.
pub fn now_text() -> impl std::fmt::Display {
    humantime::format_rfc3339_millis(SystemTime::now())
}
