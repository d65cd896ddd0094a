//! C13: a simulated month, and everything that may happen to a process in it.

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;

use futures_util::FutureExt;
use parking_lot::Mutex as SyncMutex;

use super::*;

const HOUR_MS: i64 = 3_600_000;
/// 2026-11-01, 00:00 UTC.
const NOVEMBER: i64 = 1_793_491_200_000;

/// The database, a clock, and the budget of a process over them.
struct World {
    reserved: Arc<SyncMutex<HashMap<String, u64>>>,
    clock: Arc<AtomicI64>,
    writes: Arc<AtomicU64>,
    budget: RequestBudget,
}

impl World {
    fn new() -> Self {
        let reserved = Arc::default();
        let (clock, writes) = (Arc::new(AtomicI64::new(NOVEMBER)), Arc::default());
        let budget = budget(&reserved, &clock, &writes);
        Self { reserved, clock, writes, budget }
    }

    /// The process is killed and started again.
    fn kill(&mut self) {
        self.budget = budget(&self.reserved, &self.clock, &self.writes);
    }

    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
    }

    fn take(&self, urgency: Urgency, most: u64) -> Result<(), UpstreamError> {
        let taken = self.budget.take(urgency, most);
        taken.now_or_never().expect("nothing here waits")
    }

    fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }
}

fn budget(
    reserved: &Arc<SyncMutex<HashMap<String, u64>>>,
    clock: &Arc<AtomicI64>,
    writes: &Arc<AtomicU64>,
) -> RequestBudget {
    let (rows, writes, time) = (Arc::clone(reserved), Arc::clone(writes), Arc::clone(clock));
    let known = Month::of(clock.load(Ordering::Relaxed)).to_string();
    let known = reserved.lock().get(&known).copied().unwrap_or(0);
    let reserve: ReserveFn = Arc::new(move |wanted: Reservation| {
        let mut rows = rows.lock();
        let row = rows.entry(wanted.month).or_default();
        *row += wanted.amount;
        writes.fetch_add(1, Ordering::Relaxed);
        futures_util::future::ready(Ok(*row)).boxed()
    });
    RequestBudget::new("default", reserve, Arc::new(move || time.load(Ordering::Relaxed)), known)
}

fn retry_after(answer: Result<(), UpstreamError>) -> Duration {
    let Err(UpstreamError::OverBudget { retry_after, .. }) = answer else { panic!("{answer:?}") };
    retry_after
}

/// What each rank got in one month of hours, each with this demand.
fn month(
    world: &mut World,
    most: u64,
    demand: [u64; 4],
    kill_every: Option<usize>,
) -> Vec<[u64; 4]> {
    let ranks = [Urgency::Person, Urgency::Popular, Urgency::Feed, Urgency::Sweep];
    let mut hours = Vec::new();
    for hour in 0..30 * 24 {
        let mut got = [0; 4];
        // in turns, so that no rank is always first
        for round in 0..demand.into_iter().max().unwrap_or(0) {
            for (place, urgency) in ranks.into_iter().enumerate() {
                if round < demand[place] && world.take(urgency, most).is_ok() {
                    got[place] += 1;
                }
            }
        }
        hours.push(got);
        world.pass(HOUR_MS);
        if kill_every.is_some_and(|every| hour % every == 0) {
            world.kill();
        }
    }
    hours
}

fn sum(hours: &[[u64; 4]]) -> [u64; 4] {
    hours.iter().fold([0; 4], |sum, hour| std::array::from_fn(|place| sum[place] + hour[place]))
}

#[test]
fn a_month_of_more_demand_than_budget_never_passes_the_cap_and_is_shared_by_rank() {
    // an hour could take 277 of 200,000; people alone ask less than that
    let mut world = World::new();
    let most = 200_000;
    let hours = month(&mut world, most, [100, 60, 200, 300], None);
    let [people, popular, feed, sweep] = sum(&hours);
    assert!(people + popular + feed + sweep <= most);
    assert_eq!(people, 100 * 720, "people are never refused");
    assert_eq!(popular, 60 * 720, "and what they read stays fresh");
    assert!(feed > 0 && people + popular + feed >= most / 100 * 89, "the rest is for the feed");
    assert!(sweep < feed / 10, "the sweep waits first: {sweep} of {feed}");
    // nothing is used up early: the feed moves on every day
    for (day, hours) in hours.chunks(24).enumerate().skip(1) {
        assert!(sum(hours)[2] > 0, "day {day}");
    }
    let last = sum(&hours[719..]);
    assert_eq!(last[0], 100, "the last hour of the month");
}

#[test]
fn a_quiet_month_lets_feed_and_sweep_have_their_shares_and_leaves_the_rest_to_people() {
    let mut world = World::new();
    let most = 100_000;
    let hours = month(&mut world, most, [0, 0, 500, 500], None);
    let [_, _, feed, sweep] = sum(&hours);
    assert!((89_000..=90_000).contains(&(feed + sweep)), "{feed} and {sweep}");
    let granted = (0..20_000).filter(|_| world.take(Urgency::Person, most).is_ok()).count();
    // the clock stands at the first moment of December now
    assert_eq!(granted, 20_000);
    let mut world = World::new();
    let [_, _, _, sweep] = sum(&month(&mut world, most, [0, 0, 0, 500], None));
    assert!((69_000..=70_000).contains(&sweep), "{sweep}");
}

#[test]
fn people_get_all_of_it_and_then_wait_for_the_next_month() {
    let world = World::new();
    for _ in 0..5_000 {
        world.take(Urgency::Person, 5_000).unwrap();
    }
    let wait = retry_after(world.take(Urgency::Person, 5_000));
    assert_eq!(wait, Duration::from_secs(30 * 86_400));
    world.pass(30 * 24 * HOUR_MS - 1);
    assert_eq!(retry_after(world.take(Urgency::Person, 5_000)), Duration::from_millis(1));
    world.pass(1);
    world.take(Urgency::Person, 5_000).unwrap();
    let status = world.budget.describe(5_000).unwrap();
    assert_eq!((status.month.as_str(), status.used), ("2026-12", 1));
}

#[test]
fn kills_waste_numbers_and_never_use_one_twice() {
    let mut world = World::new();
    let most = 200_000;
    let hours = month(&mut world, most, [200, 100, 200, 300], Some(1));
    let used: u64 = sum(&hours).iter().sum();
    let reserved = world.reserved.lock()["2026-11"];
    assert!(used <= most && reserved <= most + 200, "{used} of {reserved}");
    // 720 kills lose at most a block of 200 each
    assert!(used >= most / 100 * 25, "{used}");
}

#[test]
fn numbers_are_reserved_in_blocks_before_they_are_used() {
    let world = World::new();
    for used in 1..=2_500 {
        world.take(Urgency::Person, 5_000_000).unwrap();
        assert!(world.reserved.lock()["2026-11"] >= used);
    }
    assert_eq!(world.writes(), 3);
    let small = World::new();
    for _ in 0..10 {
        small.take(Urgency::Person, 50).unwrap();
    }
    assert_eq!(small.reserved.lock()["2026-11"], 10, "a small budget is not wasted by blocks");
}

#[test]
fn two_processes_share_one_budget() {
    let world = World::new();
    let other = budget(&world.reserved, &world.clock, &world.writes);
    let mut granted = 0;
    for _ in 0..5_000 {
        granted += u64::from(world.take(Urgency::Person, 3_000).is_ok());
        let taken = other.take(Urgency::Person, 3_000).now_or_never().unwrap();
        granted += u64::from(taken.is_ok());
    }
    assert_eq!(granted, 3_000);
}

#[test]
fn a_refused_rank_is_told_when_its_share_has_grown() {
    let world = World::new();
    while world.take(Urgency::Feed, 10_000).is_ok() {}
    let wait = retry_after(world.take(Urgency::Feed, 10_000));
    assert!(wait > Duration::ZERO && wait < Duration::from_secs(600), "{wait:?}");
    world.pass(i64::try_from(wait.as_millis()).unwrap() + 1_000);
    world.take(Urgency::Feed, 10_000).unwrap();
    let status = world.budget.describe(10_000).unwrap();
    assert_eq!(status.granted.feed, 301);
    assert_eq!(status.refused.feed, 2);
}

#[test]
fn a_clock_that_goes_back_over_the_end_of_a_month_finds_what_was_used() {
    let world = World::new();
    for _ in 0..100 {
        world.take(Urgency::Person, 100).unwrap();
    }
    world.pass(30 * 24 * HOUR_MS);
    world.take(Urgency::Person, 100).unwrap();
    world.pass(-HOUR_MS);
    assert!(world.take(Urgency::Person, 100).is_err());
}

#[test]
fn without_a_limit_nothing_is_counted_or_written() {
    let world = World::new();
    for _ in 0..10_000 {
        world.take(Urgency::Sweep, 0).unwrap();
    }
    assert_eq!((world.writes(), world.budget.describe(0)), (0, None));
}

#[test]
fn a_reservation_that_fails_refuses_the_request() {
    let reserve: ReserveFn =
        Arc::new(|_| futures_util::future::ready(Err(String::from("disk full"))).boxed());
    let budget = RequestBudget::new("default", reserve, Arc::new(|| NOVEMBER), 0);
    let taken = budget.take(Urgency::Person, 100).now_or_never().unwrap();
    assert_eq!(taken, Err(UpstreamError::NotReserved(String::from("disk full"))));
}
