//! What the hook dispatcher is told and asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Message;
use serde::{Deserialize, Serialize};
use store::hooks::lease::{Fate, Tried};

use super::payload::PayloadSource;

/// Gives the dispatcher the way to documents; before this nothing is delivered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct UsePayloads(pub PayloadSource);

/// Asks for the way to documents, for a delivery outside of the order.
#[derive(Message)]
#[rtype(result = "Option<PayloadSource>")]
pub struct DescribePayloads;

/// Something may be to be delivered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct HooksQueued;

/// The worker of a hook has let go of it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct HookRested {
    /// The hook.
    pub id: String,
}

/// Ends the work: deliveries on their way get `grace`, leases go back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopDelivering {
    /// Longest wait.
    pub grace: Duration,
}

/// Asks for [`HookDispatcherStatus`].
#[derive(Message)]
#[rtype(result = "HookDispatcherStatus")]
pub struct DescribeHookDispatcher;

/// What the dispatcher of this node did since it started, and how hooks are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HookDispatcherStatus {
    /// Hooks there are.
    pub hooks: i64,
    /// Of these, such as are paused.
    pub paused: i64,
    /// Of the others, such as whose last try failed.
    pub failing: i64,
    /// Deliveries that wait; counting ends at 100,000.
    pub waiting: i64,
    /// Deliveries that waited too long while their hooks were paused.
    #[serde(default)]
    pub dropped: i64,
    /// Hooks that are worked on just now.
    pub working: usize,
    /// Deliveries that receivers took.
    pub delivered: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Deliveries given up.
    pub parked: u64,
    /// Deliveries that nobody was told of any more.
    pub skipped: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Restarts of the actor.
    pub restarts: u32,
}

/// Counts for [`HookDispatcherStatus`], of all workers.
#[derive(Debug, Default)]
pub(super) struct HookCounters {
    delivered: AtomicU64,
    failed: AtomicU64,
    parked: AtomicU64,
    skipped: AtomicU64,
    bytes: AtomicU64,
}

impl HookCounters {
    pub(super) fn count(&self, tried: &[Tried]) {
        let add = |counter: &AtomicU64, number: u64| {
            counter.fetch_add(number, Ordering::Relaxed);
        };
        for one in tried {
            let bytes = one.attempt.as_ref().map_or(0, |attempt| attempt.request_bytes);
            add(&self.bytes, u64::try_from(bytes).unwrap_or(0));
            match one.fate {
                Fate::Delivered => add(&self.delivered, 1),
                Fate::Later(_) if one.attempt.is_none() => {}
                Fate::Later(_) => add(&self.failed, 1),
                Fate::Parked => {
                    add(&self.failed, 1);
                    add(&self.parked, 1);
                }
                Fate::Skipped(_) => add(&self.skipped, 1),
            }
        }
    }

    pub(super) fn read(&self) -> HookDispatcherStatus {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HookDispatcherStatus {
            delivered: of(&self.delivered),
            failed: of(&self.failed),
            parked: of(&self.parked),
            skipped: of(&self.skipped),
            bytes: of(&self.bytes),
            ..HookDispatcherStatus::default()
        }
    }
}
