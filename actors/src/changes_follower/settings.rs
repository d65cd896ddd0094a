//! How feeds are followed.

use std::time::Duration;

use npm::change::MAX_PAGE_ROWS;
use store::feeds::Takes;

/// Where a follower begins in a feed that was never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedStart {
    /// At the head; at the first row where every name is taken.
    #[default]
    Auto,
    /// At the head: what was published before comes by other ways.
    Head,
    /// At this number; 0 = at the first row.
    At(i64),
}

/// Settings of all followers of an engine.
#[derive(Clone, Debug)]
pub struct FollowSettings {
    /// Which names become tasks; `None` = no feed is followed.
    pub takes: Option<Takes>,
    /// Where a new follower begins.
    pub start: FeedStart,
    /// Wait between two looks at a feed that had nothing new (`upstream.feed_every`).
    pub poll_every: Duration,
    /// Rows asked for at once.
    pub page_rows: u32,
    /// With so many tasks waiting no page is asked for.
    pub queue_limit: i64,
    /// Silence that is worth an alarm (`upstream.feed_alarm`); zero = never.
    pub alarm_after: Duration,
    /// How long the feed's numbers must look like others before that is believed.
    pub confirm_for: Duration,
    /// Wait before the next look when too many tasks wait.
    pub room_every: Duration,
    /// First wait after a failure; doubled with each in a row.
    pub first_retry: Duration,
    /// Longest such wait, unless the upstream asks for more; also the wait where a feed is none.
    pub longest_retry: Duration,
    /// First wait before a document older than the feed's row is asked for again.
    pub older_wait: Duration,
    /// Until a row is so old: then the document is taken as it is.
    pub older_until: Duration,
    /// How long a follower that died keeps others of its cluster waiting.
    pub lease: Duration,
}

impl Default for FollowSettings {
    fn default() -> Self {
        Self {
            takes: None,
            start: FeedStart::Auto,
            // 260,000 requests a month; the upstream's caches are up to five minutes old anyway
            poll_every: Duration::from_secs(10),
            page_rows: MAX_PAGE_ROWS,
            queue_limit: 10_000,
            alarm_after: Duration::from_secs(30 * 60),
            confirm_for: Duration::from_secs(3 * 60),
            room_every: Duration::from_secs(1),
            first_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(5 * 60),
            older_wait: Duration::from_secs(30),
            // lags of an hour and a half were seen
            older_until: Duration::from_secs(2 * 3600),
            lease: Duration::from_secs(60),
        }
    }
}
