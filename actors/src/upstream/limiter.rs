//! Requests per second: one limit for everything, a second one for feed and sweep.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Jitter, Quota, RateLimiter};
use tokio::sync::Mutex;

use super::Urgency;

/// Spread of wake-ups, so that several nodes of a cluster do not ask in step.
const JITTER: Duration = Duration::from_millis(5);

type Cells<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

pub(super) struct Limiter {
    all: Option<Rate<DefaultClock>>,
    background: Option<Rate<DefaultClock>>,
    /// Background requests wait one at a time: a person competes with one, not with hundreds.
    turn: Mutex<()>,
    /// The sweep waits for a turn one at a time, so that the feed waits behind one of it at most.
    sweep: Mutex<()>,
}

struct Rate<C: Clock> {
    cells: Cells<C>,
    clock: C,
}

impl<C: Clock + Clone> Rate<C> {
    fn new(per_second: u32, clock: C) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(per_second)?);
        Some(Self { cells: RateLimiter::direct_with_clock(quota, clock.clone()), clock })
    }

    /// `None`: go. Otherwise the time after which asking again makes sense.
    fn wait(&self) -> Option<Duration> {
        let refused = self.cells.check().err()?;
        Some(refused.wait_time_from(self.clock.now()))
    }

    async fn ready(&self) {
        while let Some(wait) = self.wait() {
            tokio::time::sleep(Jitter::up_to(JITTER) + wait).await;
        }
    }
}

impl Limiter {
    pub(super) fn new(per_second: u32, background_per_second: u32) -> Self {
        Self {
            all: Rate::new(per_second, DefaultClock::default()),
            background: Rate::new(background_per_second, DefaultClock::default()),
            turn: Mutex::new(()),
            sweep: Mutex::new(()),
        }
    }

    /// Returns when one more request may be sent.
    pub(super) async fn admitted(&self, urgency: Urgency) {
        match urgency {
            Urgency::Person | Urgency::Popular => {
                if let Some(all) = &self.all {
                    all.ready().await;
                }
            }
            _ if self.all.is_none() && self.background.is_none() => {}
            Urgency::PopularLater | Urgency::Feed => self.background_turn().await,
            Urgency::Sweep => {
                let _place = self.sweep.lock().await;
                self.background_turn().await;
            }
        }
    }
}

impl Limiter {
    async fn background_turn(&self) {
        let _turn = self.turn.lock().await;
        for rate in [&self.background, &self.all].into_iter().flatten() {
            rate.ready().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn zero_is_no_limit() {
        assert!(Rate::new(0, FakeRelativeClock::default()).is_none());
    }

    #[test]
    fn a_burst_of_one_second_passes_and_then_one_per_interval() {
        let clock = FakeRelativeClock::default();
        let rate = Rate::new(10, clock.clone()).unwrap();
        for _ in 0..10 {
            assert_eq!(rate.wait(), None);
        }
        assert_eq!(rate.wait(), Some(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(100));
        assert_eq!(rate.wait(), None);
        assert!(rate.wait().is_some());
    }

    #[tokio::test]
    async fn a_person_is_not_held_by_the_background_limit() {
        let limiter = Limiter::new(0, 1);
        limiter.admitted(Urgency::Feed).await;
        let waiting = limiter.admitted(Urgency::Sweep);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        for urgency in [Urgency::Person, Urgency::Popular] {
            assert!(futures_util::poll!(Box::pin(limiter.admitted(urgency))).is_ready());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_feed_waits_behind_one_of_the_sweep_at_most() {
        let limiter = Limiter::new(0, 1);
        limiter.admitted(Urgency::Feed).await;
        let order = parking_lot::Mutex::new(Vec::new());
        let ask = |urgency| {
            let (limiter, order) = (&limiter, &order);
            async move {
                limiter.admitted(urgency).await;
                order.lock().push(urgency);
            }
        };
        let sweeps = futures_util::future::join_all((0..5).map(|_| ask(Urgency::Sweep)));
        let feeds = futures_util::future::join_all((0..3).map(|_| ask(Urgency::Feed)));
        tokio::join!(sweeps, feeds);
        let order = order.into_inner();
        let last_feed = order.iter().rposition(|urgency| *urgency == Urgency::Feed);
        assert!(last_feed.unwrap() <= 3, "{order:?}");
    }
}
