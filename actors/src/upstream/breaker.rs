//! Circuit breaker: an upstream in trouble is left alone, then probed by one request.
//!
//! Closed: everything passes; N failures within a window that are at least half of all
//! verdicts open it (one broken package among thousands of good answers does not).
//! Open: everything fails at once. Half-open: one probe passes, its verdict decides.
//! Nothing survives a restart.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// When the breaker opens and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// Failures within `window` that open it.
    pub failures: u32,
    /// Length of one counting window.
    pub window: Duration,
    /// Time between opening and the first probe.
    pub rest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 12, // one round of retries of a few requests does not reach it
            window: Duration::from_secs(30),
            rest: Duration::from_secs(10),
        }
    }
}

/// While a probe is out, others are told to come back this soon.
const PROBE_WAIT: Duration = Duration::from_secs(1);

enum State {
    Closed { since: Instant, failures: u32, successes: u32 },
    Open { until: Instant },
    HalfOpen,
}

/// What the breaker does right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Requests pass.
    Closed,
    /// Requests fail at once.
    Open,
    /// One probe is out.
    HalfOpen,
}

pub(super) struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

/// Leave to ask; carries the verdict back. A probe dropped without one lets the next in.
pub(super) struct Pass {
    breaker: Arc<Breaker>,
    is_probe: bool,
    judged: bool,
}

impl Breaker {
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(closed(Instant::now())) }
    }

    /// Leave to ask now, or the time after which it is worth trying.
    pub(super) fn admit(self: &Arc<Self>) -> Result<Pass, Duration> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let is_probe = match &*state {
            State::Closed { .. } => false,
            State::Open { until } if now < *until => return Err(*until - now),
            State::Open { .. } => {
                *state = State::HalfOpen;
                true
            }
            State::HalfOpen => return Err(PROBE_WAIT),
        };
        Ok(Pass { breaker: Arc::clone(self), is_probe, judged: false })
    }

    /// A failure seen after the pass was judged, for example in the middle of a body.
    pub(super) fn late_failure(&self) {
        self.count(false);
    }

    pub(super) fn state(&self) -> (BreakerState, Option<Duration>) {
        match &*self.state.lock() {
            State::Closed { .. } => (BreakerState::Closed, None),
            State::Open { until } => {
                (BreakerState::Open, Some(until.saturating_duration_since(Instant::now())))
            }
            State::HalfOpen => (BreakerState::HalfOpen, None),
        }
    }

    /// Counts a verdict while closed; late verdicts of requests sent earlier change nothing.
    fn count(&self, good: bool) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State::Closed { since, failures, successes } = &mut *state else { return };
        if now.duration_since(*since) > self.settings.window {
            (*since, *failures, *successes) = (now, 0, 0);
        }
        let counter = if good { &mut *successes } else { &mut *failures };
        *counter = counter.saturating_add(1);
        if !good && *failures >= self.settings.failures && *failures >= *successes {
            *state = State::Open { until: now + self.settings.rest };
        }
    }

    fn probed(&self, next: State) {
        let mut state = self.state.lock();
        if matches!(*state, State::HalfOpen) {
            *state = next;
        }
    }
}

fn closed(since: Instant) -> State {
    State::Closed { since, failures: 0, successes: 0 }
}

impl Pass {
    pub(super) fn succeeded(mut self) {
        self.judged = true;
        if self.is_probe {
            self.breaker.probed(closed(Instant::now()));
        } else {
            self.breaker.count(true);
        }
    }

    pub(super) fn failed(mut self) {
        self.judged = true;
        if self.is_probe {
            self.breaker.probed(State::Open { until: Instant::now() + self.breaker.settings.rest });
        } else {
            self.breaker.count(false);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.is_probe && !self.judged {
            self.breaker.probed(State::Open { until: Instant::now() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(failures: u32) -> Arc<Breaker> {
        let settings = BreakerSettings {
            failures,
            window: Duration::from_secs(30),
            rest: Duration::from_secs(10),
        };
        Arc::new(Breaker::new(settings))
    }

    fn fail(breaker: &Arc<Breaker>, times: u32) {
        for _ in 0..times {
            breaker.admit().ok().unwrap().failed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn opens_after_the_last_allowed_failure_and_says_for_how_long() {
        let breaker = breaker(3);
        fail(&breaker, 2);
        assert_eq!(breaker.state().0, BreakerState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.admit().err(), Some(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(breaker.admit().err(), Some(Duration::from_secs(6)));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_an_older_window_are_forgotten() {
        let breaker = breaker(3);
        fail(&breaker, 2);
        tokio::time::advance(Duration::from_secs(31)).await;
        fail(&breaker, 2);
        assert_eq!(breaker.state().0, BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_among_many_successes_do_not_open_it() {
        let breaker = breaker(3);
        for _ in 0..10 {
            breaker.admit().ok().unwrap().succeeded();
        }
        fail(&breaker, 9);
        assert_eq!(breaker.state().0, BreakerState::Closed);
        fail(&breaker, 1);
        assert_eq!(breaker.state().0, BreakerState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_lets_one_probe_in_and_its_verdict_decides() {
        let breaker = breaker(1);
        fail(&breaker, 1);
        tokio::time::advance(Duration::from_secs(10)).await;
        let probe = breaker.admit().ok().unwrap();
        assert_eq!(breaker.state().0, BreakerState::HalfOpen);
        assert_eq!(breaker.admit().err(), Some(PROBE_WAIT));
        probe.failed();
        assert_eq!(breaker.admit().err(), Some(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(10)).await;
        breaker.admit().ok().unwrap().succeeded();
        assert_eq!(breaker.state(), (BreakerState::Closed, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_goes_away_lets_the_next_one_in() {
        let breaker = breaker(1);
        fail(&breaker, 1);
        tokio::time::advance(Duration::from_secs(10)).await;
        drop(breaker.admit().ok().unwrap());
        assert!(breaker.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn late_verdicts_do_not_close_an_open_breaker() {
        let breaker = breaker(1);
        let early = breaker.admit().ok().unwrap();
        fail(&breaker, 1);
        early.succeeded();
        assert_eq!(breaker.state().0, BreakerState::Open);
        breaker.late_failure();
        assert_eq!(breaker.state().1, Some(Duration::from_secs(10)));
    }
}
