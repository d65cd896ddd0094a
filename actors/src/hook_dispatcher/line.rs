//! The deliveries of a page by package, and one try of one of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use actix::Recipient;
use npm::{HookEventKind, PackageName};
use store::Store;
use store::hooks::HookRow;
use store::hooks::lease::{Fate, Skip, Tried, WaitingDelivery};
use store::hooks::outbox::DeliveryId;

use super::health::{self, BREAKS_AT};
use super::messages::HookCounters;
use super::payload::{Payload, PayloadSource};
use super::sender::{Sender, Sending};
use super::settings::HookSettings;
use crate::clock::now_ms;
use crate::committer::Write;

/// What workers share.
pub(super) struct WorkerDeps {
    pub(super) store: Store,
    pub(super) write: Recipient<Write>,
    pub(super) sender: Arc<Sender>,
    pub(super) payloads: PayloadSource,
    pub(super) settings: HookSettings,
    pub(super) worker: String,
    pub(super) counters: Arc<HookCounters>,
}

/// How a line of deliveries went.
#[derive(Default)]
pub(super) struct LineEnd {
    pub(super) tried: Vec<Tried>,
    /// What the receiver asked for.
    pub(super) retry_after: Option<Duration>,
}

/// What lines of a page know of each other.
#[derive(Default)]
pub(super) struct PageState {
    pub(super) failures: AtomicI64,
    pub(super) stopped: AtomicBool,
}

impl WorkerDeps {
    pub(super) fn pause_reason(&self) -> String {
        let hours = self.settings.pause_after.as_secs() / 3600;
        format!("every delivery failed for {hours} h")
    }

    pub(super) async fn payload(
        &self,
        row: &WaitingDelivery,
        hook: &HookRow,
    ) -> Result<Payload, String> {
        match PackageName::parse(&row.package) {
            Ok(name) => (self.payloads)(name, hook.owner.clone()).await,
            Err(_) => Ok(Payload::Nothing),
        }
    }

    /// One try; says whether the next delivery of the package may follow.
    pub(super) async fn try_one(
        &self,
        hook: &HookRow,
        row: &WaitingDelivery,
        payload: &Payload,
        page: &PageState,
        end: &mut LineEnd,
    ) -> bool {
        let event = match (HookEventKind::from_text(&row.event), payload) {
            (Some(event), Payload::Document(..) | Payload::Nothing) => event,
            (event, _) => {
                let why = if event.is_some() { Skip::NotReadable } else { Skip::Unknown };
                let (seq, number) = (row.seq, row.attempts);
                end.tried.push(Tried { seq, number, attempt: None, fate: Fate::Skipped(why) });
                return true;
            }
        };
        let sending = Sending {
            hook,
            event,
            change_json: &row.change,
            package: &row.package,
            at_ms: row.at_ms,
            delivery: DeliveryId { seq: row.seq, at_ms: row.at_ms }.to_string(),
            payload,
        };
        let sent = self.sender.send(sending).await;
        let number = row.attempts + 1;
        let failed = number - row.base_attempts;
        let fate = if sent.delivered {
            page.failures.store(0, Ordering::Relaxed);
            Fate::Delivered
        } else if failed >= i64::from(self.settings.attempts) {
            Fate::Parked
        } else {
            let chance = health::chance(row.seq, number);
            let wait = health::wait_ms(&self.settings, failed, sent.retry_after, chance);
            Fate::Later(now_ms().saturating_add(wait))
        };
        if !sent.delivered {
            end.retry_after = end.retry_after.max(sent.retry_after);
            let failures = page.failures.fetch_add(1, Ordering::Relaxed) + 1;
            page.stopped.fetch_or(failures >= BREAKS_AT, Ordering::Relaxed);
        }
        end.tried.push(Tried { seq: row.seq, number, attempt: Some(sent.attempt), fate });
        sent.delivered
    }
}

/// Deliveries by package, in their order.
pub(super) fn by_package(rows: Vec<WaitingDelivery>) -> Vec<Vec<WaitingDelivery>> {
    let mut lines: Vec<Vec<WaitingDelivery>> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let place = *places.entry(row.package.clone()).or_insert_with(|| {
            lines.push(Vec::new());
            lines.len() - 1
        });
        if let Some(line) = lines.get_mut(place) {
            line.push(row);
        }
    }
    lines
}

/// Deliveries of a user who is not told of anything any more.
pub(super) fn skip(lines: Vec<Vec<WaitingDelivery>>) -> Vec<LineEnd> {
    let skipped = |row: WaitingDelivery| Tried {
        seq: row.seq,
        number: row.attempts,
        attempt: None,
        fate: Fate::Skipped(Skip::NoOwner),
    };
    let tried = lines.into_iter().flatten().map(skipped).collect();
    vec![LineEnd { tried, ..LineEnd::default() }]
}
