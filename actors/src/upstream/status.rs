//! What `describe()` tells about an upstream, and the counters behind it.

use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::UpstreamError;
use super::breaker::BreakerState;
use super::budget::BudgetStatus;

/// Latencies kept for the percentile.
const KEPT_LATENCIES: usize = 256;

/// One upstream as the admin API, metrics and tests see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Name of the registry row.
    pub name: String,
    /// Base address, without credentials.
    pub url: String,
    /// Nobody is asked.
    pub offline: bool,
    /// What the breaker does.
    pub breaker: BreakerState,
    /// Time until the next probe of an open breaker.
    pub breaker_opens_in_ms: Option<u64>,
    /// Requests sent in the last full second.
    pub requests_last_second: u32,
    /// Configured limit of all requests per second, 0 = none.
    pub rate_per_second: u32,
    /// Configured limit of background requests per second, of documents and of tarballs each,
    /// 0 = none.
    pub background_rate_per_second: u32,
    /// Time to the response head, 95th percentile of the last 256 requests.
    pub p95_ms: Option<f64>,
    /// The requests of this month, where they are limited.
    #[serde(default)]
    pub budget: Option<BudgetStatus>,
    /// Free places in the large lane.
    pub large_lane_free: usize,
    /// Answers since start, by outcome.
    pub answers: AnswerCounts,
}

/// Answers since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerCounts {
    /// 200.
    pub found: u64,
    /// 304.
    pub not_modified: u64,
    /// Followed redirects.
    pub redirected: u64,
    /// 404, 410, 451.
    pub missing: u64,
    /// Other 4xx, bad redirects and addresses, bodies that are no answer or too large.
    pub refused: u64,
    /// 429.
    pub rate_limited: u64,
    /// No connection, 5xx, silence, cut bodies.
    pub failed: u64,
    /// Not asked because the breaker was open.
    pub resting: u64,
}

impl AnswerCounts {
    fn counter(&mut self, failure: &UpstreamError) -> Option<&mut u64> {
        Some(match failure {
            UpstreamError::NotFound | UpstreamError::Gone { .. } => &mut self.missing,
            UpstreamError::RateLimited { .. } => &mut self.rate_limited,
            UpstreamError::Resting { .. } => &mut self.resting,
            UpstreamError::Unreachable(_)
            | UpstreamError::Status { .. }
            | UpstreamError::Stalled { .. }
            | UpstreamError::TooSlow { .. }
            | UpstreamError::Truncated(_) => &mut self.failed,
            UpstreamError::Refused { .. }
            | UpstreamError::TooLarge { .. }
            | UpstreamError::BadBody(_)
            | UpstreamError::BadRedirect(_)
            | UpstreamError::BadAddress(_)
            | UpstreamError::Loop { .. } => &mut self.refused,
            // never sent; counted by the budget, or a setting says so
            UpstreamError::Offline
            | UpstreamError::OverBudget { .. }
            | UpstreamError::NotReserved(_)
            | UpstreamError::Misconfigured(_) => return None,
        })
    }
}

/// A good answer, as far as it is counted.
#[derive(Clone, Copy)]
pub(super) enum Good {
    Found,
    NotModified,
    Redirected,
}

/// Counters of one upstream; nothing survives a restart.
pub(super) struct Recent(Mutex<Counters>);

struct Counters {
    answers: AnswerCounts,
    latencies_us: Vec<u32>,
    next: usize,
    second: Instant,
    this_second: u32,
    last_second: u32,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Counters {
            answers: AnswerCounts::default(),
            latencies_us: Vec::new(),
            next: 0,
            second: Instant::now(),
            this_second: 0,
            last_second: 0,
        }))
    }

    /// One request goes out.
    pub(super) fn sent(&self, now: Instant) {
        let mut counters = self.0.lock();
        counters.turn_second(now);
        counters.this_second = counters.this_second.saturating_add(1);
    }

    /// A response head came after `latency`.
    pub(super) fn answered(&self, good: Good, latency: Duration) {
        let mut counters = self.0.lock();
        let counter = match good {
            Good::Found => &mut counters.answers.found,
            Good::NotModified => &mut counters.answers.not_modified,
            Good::Redirected => &mut counters.answers.redirected,
        };
        *counter += 1;
        let latency_us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        let next = counters.next;
        match counters.latencies_us.get_mut(next) {
            Some(place) => *place = latency_us,
            None => counters.latencies_us.push(latency_us),
        }
        counters.next = (next + 1) % KEPT_LATENCIES;
    }

    pub(super) fn failed(&self, failure: &UpstreamError) {
        if let Some(counter) = self.0.lock().answers.counter(failure) {
            *counter += 1;
        }
    }

    /// Answers so far, requests of the last full second, 95th percentile in milliseconds.
    pub(super) fn read(&self) -> (AnswerCounts, u32, Option<f64>) {
        let mut counters = self.0.lock();
        counters.turn_second(Instant::now());
        let mut latencies = counters.latencies_us.clone();
        latencies.sort_unstable();
        let place = (latencies.len() * 95).div_ceil(100).saturating_sub(1);
        let p95_ms = latencies.get(place).map(|latency_us| f64::from(*latency_us) / 1_000.0);
        (counters.answers, counters.last_second, p95_ms)
    }
}

impl Counters {
    fn turn_second(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.second);
        if elapsed < Duration::from_secs(1) {
            return;
        }
        let is_next = elapsed < Duration::from_secs(2);
        self.last_second = if is_next { self.this_second } else { 0 };
        self.this_second = 0;
        self.second = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_of_the_last_second_are_counted_and_forgotten() {
        let recent = Recent::new();
        for _ in 0..7 {
            recent.sent(Instant::now());
        }
        tokio::time::advance(Duration::from_millis(1_100)).await;
        assert_eq!(recent.read().1, 7);
        tokio::time::advance(Duration::from_millis(2_500)).await;
        assert_eq!(recent.read().1, 0);
    }

    #[test]
    fn the_percentile_follows_the_last_latencies() {
        let recent = Recent::new();
        assert_eq!(recent.read().2, None);
        for latency_ms in 1..=100 {
            recent.answered(Good::Found, Duration::from_millis(latency_ms));
        }
        assert_eq!(recent.read().2, Some(95.0));
        for _ in 0..KEPT_LATENCIES {
            recent.answered(Good::NotModified, Duration::from_millis(3));
        }
        assert_eq!(recent.read().2, Some(3.0));
        assert_eq!(recent.read().0.found, 100);
    }

    #[test]
    fn failures_are_counted_by_kind() {
        let recent = Recent::new();
        recent.failed(&UpstreamError::NotFound);
        recent.failed(&UpstreamError::RateLimited { retry_after: None });
        recent.failed(&UpstreamError::Truncated(String::new()));
        recent.failed(&UpstreamError::Offline);
        let expected =
            AnswerCounts { missing: 1, rate_limited: 1, failed: 1, ..AnswerCounts::default() };
        assert_eq!(recent.read().0, expected);
    }
}
