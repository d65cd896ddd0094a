//! The requests of a month: never more than `upstream.monthly`, and shared by rank.
//!
//! Numbers are reserved in blocks, durably, before the first of a block is used: a process that
//! is killed loses the rest of its block and nobody ever asks with a number that another has.
//! What was reserved survives a restart; who used it is counted since the start only.
//!
//! The rule of the shares: a request is let through while the requests of the month so far are
//! below the limit of its rank at this moment. The limit of people is the whole of the budget.
//! The limits of the other ranks grow with the month, from a head start to a share that leaves
//! something to every rank above them:
//!
//! | rank | first moment | last moment |
//! |---|---|---|
//! | people (readers, operators, what they need) | 100 % | 100 % |
//! | popular (a held package that people here read) | 5 % | 95 % |
//! | feed | 3 % | 90 % |
//! | sweep | 1 % | 70 % |
//!
//! So the feed is spread over the month instead of ending in its first week, the sweep waits
//! first when the month goes too fast, and 5 % are left for people on the last day.

mod month;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub use month::Month;

use super::{UpstreamError, Urgency};

/// Numbers of one block: a write for every so many requests, and lost at most by a kill.
const BLOCK: u64 = 1_000;

/// A small budget is reserved in blocks of this part of it, so that restarts do not use it up.
const BLOCKS_OF_A_MONTH: u64 = 1_000;

/// Head start and final share of a rank, in parts of the budget.
fn share(urgency: Urgency) -> (f64, f64) {
    match urgency {
        Urgency::Person => (1.0, 1.0),
        Urgency::Popular | Urgency::PopularLater => (0.05, 0.95),
        Urgency::Feed => (0.03, 0.90),
        Urgency::Sweep => (0.01, 0.70),
    }
}

/// Adds `amount` numbers to what is reserved of a month; durable when it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The registry whose budget it is.
    pub registry: String,
    /// The month, `2026-11`.
    pub month: String,
    /// How many.
    pub amount: u64,
}

/// Makes a reservation; answers with everything reserved of that month, this one included.
pub type ReserveFn =
    Arc<dyn Fn(Reservation) -> BoxFuture<'static, Result<u64, String>> + Send + Sync>;

/// The time, in unix milliseconds.
pub type NowFn = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The budget of one registry. It outlives the client, which changes with the settings.
pub struct RequestBudget {
    registry: String,
    reserve: ReserveFn,
    now: NowFn,
    block: Mutex<Block>,
    /// Requests of the month as far as this process knows, for those who only look.
    used: AtomicU64,
    granted: [AtomicU64; 4],
    refused: [AtomicU64; 4],
}

/// Reserved numbers not used yet: `next` is how many requests the month has had.
struct Block {
    month: Month,
    next: u64,
    end: u64,
}

/// The requests of a month as status, metrics and tests see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// The month, `2026-11`, in UTC.
    pub month: String,
    /// Most requests of a month (`upstream.monthly`).
    pub most: u64,
    /// Requests so far; those of a killed process count to the end of their block.
    pub used: u64,
    /// Let through since the start.
    pub granted: ByRank,
    /// Told to come back later since the start.
    pub refused: ByRank,
}

/// A number for each rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByRank {
    /// Readers and operators.
    pub people: u64,
    /// Held packages that people here read.
    pub popular: u64,
    /// What the changes feed named.
    pub feed: u64,
    /// What nobody named.
    pub sweep: u64,
}

impl RequestBudget {
    /// The budget of `registry`, of which `reserved` numbers of the month of `now` are gone.
    #[must_use]
    pub fn new(registry: &str, reserve: ReserveFn, now: NowFn, reserved: u64) -> Self {
        let month = Month::of(now());
        Self {
            registry: registry.to_owned(),
            reserve,
            now,
            block: Mutex::new(Block { month, next: reserved, end: reserved }),
            used: AtomicU64::new(reserved),
            granted: Default::default(),
            refused: Default::default(),
        }
    }

    /// Takes one request out of a budget of `most`, 0 = no limit.
    ///
    /// # Errors
    /// [`UpstreamError::OverBudget`] when the rank has to wait, [`UpstreamError::NotReserved`]
    /// when the reservation could not be written.
    pub(super) async fn take(&self, urgency: Urgency, most: u64) -> Result<(), UpstreamError> {
        if most == 0 {
            return Ok(());
        }
        let taken = self.try_take(urgency, most).await;
        let counters = if taken.is_ok() { &self.granted } else { &self.refused };
        if let Some(counter) = counters.get(place(urgency)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    async fn try_take(&self, urgency: Urgency, most: u64) -> Result<(), UpstreamError> {
        let mut block = self.block.lock().await;
        let now = (self.now)();
        let month = Month::of(now);
        if block.month != month {
            *block = Block { month, next: 0, end: 0 };
        }
        check(&block, now, urgency, most)?;
        if block.next >= block.end {
            self.refill(&mut block, most).await?;
            // others may have reserved meanwhile
            check(&block, now, urgency, most)?;
        }
        block.next += 1;
        self.used.store(block.next, Ordering::Relaxed);
        Ok(())
    }

    async fn refill(&self, block: &mut Block, most: u64) -> Result<(), UpstreamError> {
        let amount = (most / BLOCKS_OF_A_MONTH).clamp(1, BLOCK);
        let (registry, month) = (self.registry.clone(), block.month.to_string());
        let reserved = (self.reserve)(Reservation { registry, month, amount }).await;
        let reserved = reserved.map_err(UpstreamError::NotReserved)?;
        (block.next, block.end) = (reserved.saturating_sub(amount), reserved);
        Ok(())
    }

    /// The picture of this moment for a budget of `most`; `None` without a limit.
    pub(super) fn describe(&self, most: u64) -> Option<BudgetStatus> {
        if most == 0 {
            return None;
        }
        let month = Month::of((self.now)());
        let is_current = self.block.try_lock().map_or(true, |block| block.month == month);
        let used = if is_current { self.used.load(Ordering::Relaxed) } else { 0 };
        let (granted, refused) = (by_rank(&self.granted), by_rank(&self.refused));
        Some(BudgetStatus { month: month.to_string(), most, used, granted, refused })
    }
}

/// Whether the next number is below the limit of this rank now.
fn check(block: &Block, now: i64, urgency: Urgency, most: u64) -> Result<(), UpstreamError> {
    let (month, used) = (&block.month, block.next);
    let (first, last) = share(urgency);
    let limit = (first + (last - first) * month.elapsed(now)) * most as f64;
    if used < most && (used as f64) < limit {
        return Ok(());
    }
    // when the limit of the rank will have grown beyond what is used
    let share_used = (used as f64 + 1.0) / most as f64;
    let at = if last > first { (share_used - first) / (last - first) } else { f64::INFINITY };
    let rest = month.rest(now);
    let wait = (at - month.elapsed(now)).max(0.0) * month.length().as_secs_f64();
    let retry_after = Duration::try_from_secs_f64(wait).map_or(rest, |wait| wait.min(rest));
    Err(UpstreamError::OverBudget { used, most, rank: urgency.name(), retry_after })
}

fn place(urgency: Urgency) -> usize {
    match urgency {
        Urgency::Person => 0,
        Urgency::Popular | Urgency::PopularLater => 1,
        Urgency::Feed => 2,
        Urgency::Sweep => 3,
    }
}

fn by_rank(counters: &[AtomicU64; 4]) -> ByRank {
    let [people, popular, feed, sweep] =
        counters.each_ref().map(|counter| counter.load(Ordering::Relaxed));
    ByRank { people, popular, feed, sweep }
}
