//! Requests per second: one limit for everything, and for feed and sweep a second one, which
//! documents and tarballs have each for themselves.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Jitter, Quota, RateLimiter};
use tokio::sync::Mutex;

use super::{Kind, Urgency};

/// Spread of wake-ups, so that several nodes of a cluster do not ask in step.
const JITTER: Duration = Duration::from_millis(5);

type Cells<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

pub(super) struct Limiter {
    all: Option<Rate<DefaultClock>>,
    documents: Background,
    /// Apart from the documents: a change brings one document and about one tarball, so a shared
    /// limit would halve how fast a backlog of changes is worked off.
    tarballs: Background,
}

/// The limit of requests that nobody waits for.
struct Background {
    rate: Option<Rate<DefaultClock>>,
    /// They wait one at a time: a person competes with one, not with hundreds.
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

impl Background {
    fn new(per_second: u32) -> Self {
        Self {
            rate: Rate::new(per_second, DefaultClock::default()),
            turn: Mutex::new(()),
            sweep: Mutex::new(()),
        }
    }

    async fn admitted(&self, all: Option<&Rate<DefaultClock>>) {
        let _turn = self.turn.lock().await;
        for rate in self.rate.as_ref().into_iter().chain(all) {
            rate.ready().await;
        }
    }
}

impl Limiter {
    pub(super) fn new(per_second: u32, background_per_second: u32) -> Self {
        Self {
            all: Rate::new(per_second, DefaultClock::default()),
            documents: Background::new(background_per_second),
            tarballs: Background::new(background_per_second),
        }
    }

    /// Returns when one more request may be sent.
    pub(super) async fn admitted(&self, kind: Kind, urgency: Urgency) {
        let all = self.all.as_ref();
        let background = match kind {
            Kind::Document => &self.documents,
            Kind::Tarball => &self.tarballs,
        };
        match urgency {
            Urgency::Person | Urgency::Popular => {
                if let Some(all) = all {
                    all.ready().await;
                }
            }
            _ if all.is_none() && background.rate.is_none() => {}
            Urgency::PopularLater | Urgency::Feed => background.admitted(all).await,
            Urgency::Sweep => {
                let _place = background.sweep.lock().await;
                background.admitted(all).await;
            }
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
        limiter.admitted(Kind::Document, Urgency::Feed).await;
        let waiting = limiter.admitted(Kind::Document, Urgency::Sweep);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        for urgency in [Urgency::Person, Urgency::Popular] {
            assert!(
                futures_util::poll!(Box::pin(limiter.admitted(Kind::Document, urgency))).is_ready()
            );
        }
    }

    #[tokio::test]
    async fn tarballs_do_not_take_the_turns_of_documents() {
        let limiter = Limiter::new(0, 1);
        for kind in [Kind::Document, Kind::Tarball] {
            let first = Box::pin(limiter.admitted(kind, Urgency::Feed));
            assert!(futures_util::poll!(first).is_ready(), "{kind:?}");
            let second = Box::pin(limiter.admitted(kind, Urgency::Feed));
            assert!(futures_util::poll!(second).is_pending(), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn the_limit_of_all_requests_holds_for_both_kinds_together() {
        let limiter = Limiter::new(1, 0);
        limiter.admitted(Kind::Document, Urgency::Feed).await;
        let tarball = Box::pin(limiter.admitted(Kind::Tarball, Urgency::Feed));
        assert!(futures_util::poll!(tarball).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn the_feed_waits_behind_one_of_the_sweep_at_most() {
        let limiter = Limiter::new(0, 1);
        limiter.admitted(Kind::Document, Urgency::Feed).await;
        let order = parking_lot::Mutex::new(Vec::new());
        let ask = |urgency| {
            let (limiter, order) = (&limiter, &order);
            async move {
                limiter.admitted(Kind::Document, urgency).await;
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
