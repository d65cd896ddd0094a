//! When a failed request is sent again: exponential delays with jitter, `Retry-After` first.
//!
//! The only file that names the `backoff` crate (unmaintained; the way out is `backon`).

use std::time::{Duration, SystemTime};

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use super::{UpstreamError, Urgency};

/// How often and how long a failed request is repeated before its caller hears of it.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Requests in all, the first included; 1 = never repeat.
    pub attempts: u32,
    /// Delay before the second attempt; doubled each time, give or take half.
    pub first_delay: Duration,
    /// Longest delay waited here, also the longest `Retry-After` waited here; a longer one
    /// goes to the caller, which has a queue for it.
    pub longest_delay: Duration,
    /// The same while a person waits.
    pub longest_delay_person: Duration,
    /// A `Retry-After` beyond this is taken as this.
    pub retry_after_cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(20),
            longest_delay_person: Duration::from_secs(2),
            retry_after_cap: Duration::from_secs(3_600),
        }
    }
}

impl RetryPolicy {
    /// The delays of one request.
    #[must_use]
    pub fn schedule(&self, urgency: Urgency) -> Schedule {
        let longest = match urgency {
            Urgency::Person => self.longest_delay_person,
            _ => self.longest_delay,
        };
        let mut delays = ExponentialBackoff {
            initial_interval: self.first_delay,
            current_interval: self.first_delay,
            max_interval: longest,
            multiplier: 2.0,
            randomization_factor: 0.5,
            max_elapsed_time: None, // attempts are what ends it
            ..ExponentialBackoff::default()
        };
        delays.reset();
        let left = self.attempts.saturating_sub(1);
        Schedule { delays, longest, left, urgency }
    }
}

/// Delays of one request; asked after each failure.
pub struct Schedule {
    delays: ExponentialBackoff,
    longest: Duration,
    left: u32,
    urgency: Urgency,
}

impl Schedule {
    /// Who waits.
    #[must_use]
    pub fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// The delay before the next attempt, `None` when the failure is final here.
    pub fn next_delay(&mut self, failure: &UpstreamError) -> Option<Duration> {
        let was_silent =
            matches!(failure, UpstreamError::Stalled { .. } | UpstreamError::TooSlow { .. });
        // who waits has waited for the whole timeout already
        if self.urgency == Urgency::Person && was_silent {
            return None;
        }
        self.next_resume_delay(failure)
    }

    /// The delay before a body that broke off is continued. Unlike a repetition this loses
    /// nothing of what who waits has waited for, so silence is no reason to end it.
    pub(super) fn next_resume_delay(&mut self, failure: &UpstreamError) -> Option<Duration> {
        // An open breaker and a used budget answer at once; waiting for them here would hold the
        // caller's credit.
        let waits_elsewhere =
            matches!(failure, UpstreamError::Resting { .. } | UpstreamError::OverBudget { .. });
        if !failure.is_retryable() || waits_elsewhere {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let own = self.delays.next_backoff()?;
        match failure.retry_after() {
            Some(asked) if asked > self.longest => None,
            Some(asked) => Some(asked.max(own)),
            None => Some(own),
        }
    }
}

/// Reads `Retry-After`: seconds or a date; anything else counts as absent (RFC 9110 10.2.3).
pub(crate) fn parse_retry_after(value: &str, now: SystemTime, cap: Duration) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // more digits than a number holds is a long time, not garbage
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(now).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> UpstreamError {
        UpstreamError::Unreachable(String::from("refused"))
    }

    fn limited(seconds: u64) -> UpstreamError {
        UpstreamError::RateLimited { retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[test]
    fn retry_after_is_read_in_every_form_it_comes_in() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let later = httpdate::fmt_http_date(now + Duration::from_secs(90));
        let earlier = httpdate::fmt_http_date(now - Duration::from_secs(90));
        let cap = Duration::from_secs(3_600);
        for (value, expected) in [
            ("0", Some(0)),
            ("1", Some(1)),
            (" 120 ", Some(120)),
            ("86400", Some(3_600)),
            ("99999999999999999999999", Some(3_600)),
            (later.as_str(), Some(90)),
            (earlier.as_str(), Some(0)),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("", None),
        ] {
            let read = parse_retry_after(value, now, cap);
            assert_eq!(read, expected.map(Duration::from_secs), "Retry-After: {value:?}");
        }
    }

    #[test]
    fn only_what_can_change_is_tried_again() {
        let status = |status| UpstreamError::Status { status, retry_after: None };
        for (failure, again) in [
            (unreachable(), true),
            (status(408), true),
            (status(425), true),
            (status(500), true),
            (status(503), true),
            (UpstreamError::RateLimited { retry_after: None }, true),
            (UpstreamError::Stalled { what: "the body", waited: Duration::ZERO }, true),
            (UpstreamError::Truncated(String::new()), true),
            (UpstreamError::Resting { retry_after: Duration::ZERO }, false),
            (UpstreamError::NotFound, false),
            (UpstreamError::Gone { status: 451 }, false),
            (UpstreamError::Refused { status: 403 }, false),
            (UpstreamError::BadBody(String::new()), false),
            (UpstreamError::BadRedirect(String::new()), false),
            (UpstreamError::TooLarge { what: "document", limit: 1, announced: None }, false),
            (UpstreamError::Offline, false),
        ] {
            let mut schedule = RetryPolicy::default().schedule(Urgency::Feed);
            assert_eq!(schedule.next_delay(&failure).is_some(), again, "{failure}");
        }
    }

    #[test]
    fn delays_grow_with_jitter_and_end_with_the_attempts() {
        let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
        let mut schedule = policy.schedule(Urgency::Feed);
        let first = schedule.next_delay(&unreachable()).unwrap();
        let second = schedule.next_delay(&unreachable()).unwrap();
        assert!((125..=375).contains(&first.as_millis()), "{first:?}");
        assert!((250..=750).contains(&second.as_millis()), "{second:?}");
        assert_eq!(schedule.next_delay(&unreachable()), None);
    }

    #[test]
    fn retry_after_is_obeyed_here_when_short_and_left_to_the_caller_when_long() {
        let mut schedule = RetryPolicy::default().schedule(Urgency::Feed);
        assert_eq!(schedule.next_delay(&limited(7)), Some(Duration::from_secs(7)));
        assert_eq!(schedule.next_delay(&limited(86_400)), None);
        let mut schedule = RetryPolicy::default().schedule(Urgency::Person);
        assert_eq!(schedule.next_delay(&limited(7)), None);
    }

    #[test]
    fn nobody_waits_for_a_second_silence() {
        let stalled = UpstreamError::Stalled { what: "the body", waited: Duration::ZERO };
        let policy = RetryPolicy::default();
        assert!(policy.schedule(Urgency::Feed).next_delay(&stalled).is_some());
        assert!(policy.schedule(Urgency::Person).next_delay(&stalled).is_none());
    }

    #[test]
    fn retry_after_zero_still_waits_our_own_delay() {
        let mut schedule = RetryPolicy::default().schedule(Urgency::Feed);
        assert!(schedule.next_delay(&limited(0)).unwrap() >= Duration::from_millis(125));
    }
}
