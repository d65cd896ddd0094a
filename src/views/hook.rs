//! Hooks and their deliveries as the API shows them.

use actors::hook_dispatcher::Sent;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::hooks::HookRow;
use store::hooks::history::{DeliveryPage, DeliveryRow, NumberedAttempt};
use store::hooks::lease::Attempt;
use store::hooks::outbox::DeliveryId;

use super::account::iso;

/// A hook, without its secret.
#[derive(Debug, Serialize)]
pub struct HookAnswer<'a> {
    id: &'a str,
    username: &'a str,
    name: &'a str,
    endpoint: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    created: String,
    updated: String,
    delivered: bool,
    last_delivery: Option<String>,
    /// 0 stands for "never", and for "no answer".
    response_code: i64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<&'a str>,
    /// Deliveries that waited too long while it was paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<String>,
}

/// A page of hooks.
#[derive(Debug, Serialize)]
pub struct HookList<'a> {
    /// In the order they were made.
    pub objects: Vec<HookAnswer<'a>>,
}

impl<'a> From<&'a HookRow> for HookAnswer<'a> {
    fn from(row: &'a HookRow) -> Self {
        Self {
            id: &row.id,
            username: &row.owner,
            name: &row.name,
            endpoint: &row.endpoint,
            kind: row.kind.as_str(),
            created: iso(row.created_at_ms),
            updated: iso(row.updated_at_ms),
            delivered: row.delivered,
            last_delivery: row.last_delivery_ms.map(iso),
            response_code: row.last_code.unwrap_or(0),
            status: if row.paused.is_some() { "paused" } else { "active" },
            paused: row.paused.as_deref(),
            dropped: Some(row.dropped).filter(|dropped| *dropped > 0),
            deleted: None,
        }
    }
}

impl HookAnswer<'_> {
    /// One that is gone since then.
    #[must_use]
    pub fn deleted(self, at_ms: i64) -> Self {
        Self { deleted: Some(iso(at_ms)), ..self }
    }
}

/// One try of a delivery.
#[derive(Debug, Serialize, Deserialize)]
pub struct AttemptAnswer {
    /// Number of the try.
    pub attempt: i64,
    /// When it began.
    pub time: String,
    /// How long it took.
    pub duration_ms: i64,
    /// Where it was sent.
    pub endpoint: String,
    /// Size of the body.
    pub request_bytes: i64,
    /// Status of the answer, 0 without one.
    pub response_code: i64,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

impl AttemptAnswer {
    fn new(number: i64, row: &Attempt) -> Self {
        Self {
            attempt: number,
            time: iso(row.at_ms),
            duration_ms: row.duration_ms,
            endpoint: row.endpoint.clone(),
            request_bytes: row.request_bytes,
            response_code: row.code.unwrap_or(0),
            answer: row.answer.clone(),
            error: row.error.clone(),
        }
    }
}

/// A delivery.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliveryAnswer {
    /// Its id, which the request carries.
    pub id: String,
    /// Name of the event.
    pub event: String,
    /// The package.
    pub package: String,
    /// To what it happened.
    pub change: Box<RawValue>,
    /// When it happened.
    pub time: String,
    /// `waiting`, `delivered`, `parked`, `skipped`.
    pub state: String,
    /// Tries so far.
    pub attempts: i64,
    /// Of these, tries before it was asked for again.
    pub earlier_attempts: i64,
    /// When it is tried next, at the earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Why nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<AttemptAnswer>,
    /// Every try, where one delivery is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<Vec<AttemptAnswer>>,
}

impl From<&DeliveryRow> for DeliveryAnswer {
    fn from(row: &DeliveryRow) -> Self {
        let waits = row.state == "waiting" && row.not_before_ms > 0;
        Self {
            id: row.id.to_string(),
            event: row.event.clone(),
            package: row.package.clone(),
            // the row was written as JSON; one that is none shows nothing
            change: RawValue::from_string(row.change.clone()).unwrap_or_default(),
            time: iso(row.id.at_ms),
            state: row.state.clone(),
            attempts: row.attempts,
            earlier_attempts: row.base_attempts,
            next_attempt: waits.then(|| iso(row.not_before_ms)),
            ended: row.ended_at_ms.map(iso),
            reason: row.reason.clone(),
            last: row.last.as_ref().map(|last| AttemptAnswer::new(row.attempts, last)),
            tries: None,
        }
    }
}

impl DeliveryAnswer {
    /// With every try.
    #[must_use]
    pub fn with_attempts(row: &DeliveryRow, attempts: &[NumberedAttempt]) -> Self {
        let tries = attempts.iter().map(|(number, row)| AttemptAnswer::new(*number, row));
        Self { tries: Some(tries.collect()), ..Self::from(row) }
    }
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliveryList {
    /// The deliveries.
    pub objects: Vec<DeliveryAnswer>,
    /// What to ask for next with `before`, when there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl From<&DeliveryPage> for DeliveryList {
    fn from(page: &DeliveryPage) -> Self {
        let next = page.next.map(|id| id.to_string());
        Self { objects: page.rows.iter().map(DeliveryAnswer::from).collect(), next }
    }
}

/// How a hook did that was tried.
#[derive(Debug, Serialize, Deserialize)]
pub struct TestAnswer {
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The delivery in the history.
    pub id: String,
    /// The try.
    pub attempt: AttemptAnswer,
}

impl TestAnswer {
    /// Of this try.
    #[must_use]
    pub fn new(delivery: DeliveryId, sent: &Sent) -> Self {
        let attempt = AttemptAnswer::new(1, &sent.attempt);
        Self { delivered: sent.delivered, id: delivery.to_string(), attempt }
    }
}
