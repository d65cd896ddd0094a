//! Leases: one worker at a time delivers what waits for a hook, by the clock of the database.
//!
//! A lease is on the hook, not on each delivery: that keeps the order of a package's events, and a
//! page of deliveries costs one write. A worker goes from package to package ([`lines`](super::lines)),
//! writes down a page at a time what became of it ([`settle`]) and rests when nothing can be sent now. It is looked for again when something newer than its place waits, or when the
//! earliest of what has to wait is due.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::outbox::WAITING;
use super::{HookHealth, HookRow, row};
use crate::dialect::{self, RowsStatement, Value};
use crate::schema::{hook_deliveries, hooks};
use crate::{AnyConnection, StoreError};

/// A delivery that waits.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = hook_deliveries)]
pub struct WaitingDelivery {
    /// Its place in the outbox.
    pub seq: i64,
    /// The package.
    pub package: String,
    /// Name of the event.
    pub event: String,
    /// To what it happened, as JSON.
    pub change: String,
    /// When it happened.
    pub at_ms: i64,
    /// Tries so far.
    pub attempts: i64,
    /// Of these, tries before somebody asked for it again.
    pub base_attempts: i64,
    /// It is not tried before.
    pub not_before_ms: i64,
}

/// One try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// When it began.
    pub at_ms: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// Where it was sent, as it may be shown.
    pub endpoint: String,
    /// Size of the body.
    pub request_bytes: i64,
    /// Status of the answer, if one came.
    pub code: Option<i64>,
    /// The beginning of the answer.
    pub answer: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The receiver has it.
    Delivered,
    /// It is tried again, not before this moment.
    Later(i64),
    /// It failed too often.
    Parked,
    /// Nothing is sent.
    Skipped(Skip),
}

/// Why a delivery is not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skip {
    /// Who owns the hook may not read the package.
    NotReadable,
    /// His account is gone or locked.
    NoOwner,
    /// The hook was paused for too long.
    Paused,
    /// An event of another release, which this one does not know.
    Unknown,
}

impl Skip {
    /// In words, as the history has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotReadable => "the owner of the hook may not read the package",
            Self::NoOwner => "the account of the owner of the hook is gone or locked",
            Self::Paused => "the hook was paused for too long (hooks.keep_paused)",
            Self::Unknown => "this release does not know the event",
        }
    }
}

impl Fate {
    fn state(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Later(_) => WAITING,
            Self::Parked => "parked",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// A delivery that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tried {
    /// Its place in the outbox.
    pub seq: i64,
    /// Number of the try.
    pub number: i64,
    /// How it went; `None` when nothing was sent.
    pub attempt: Option<Attempt>,
    /// What becomes of it.
    pub fate: Fate,
}

/// Where a worker stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest {
    /// Everything up to here that can be sent was sent.
    pub swept_seq: i64,
    /// What had to wait is due.
    pub until_ms: i64,
}

/// What a worker writes down of a hook.
#[derive(Clone, Debug)]
pub struct Settled<'a> {
    /// The hook as it was leased.
    pub hook: &'a HookRow,
    /// Who leased it.
    pub worker: &'a str,
    /// What was tried, in the order it ended.
    pub tried: &'a [Tried],
    /// How the receiver does.
    pub health: HookHealth,
    /// Why nothing more is delivered, if so.
    pub pause: Option<&'a str>,
    /// Gives the lease back.
    pub rest: Option<Rest>,
}

/// Leases hooks for which something can be sent, up to `limit` (a write).
///
/// # Errors
/// Those of the database.
pub fn claim(
    connection: &mut AnyConnection,
    worker: &str,
    limit: i64,
    lease_ms: i64,
) -> Result<Vec<HookRow>, StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    let values =
        [Value::Text(worker), Value::BigInt(now_ms), Value::BigInt(lease_ms), Value::BigInt(limit)];
    let statement = dialect::claim_hooks(connection);
    let ids: Vec<String> = statement.load::<Text, _>(connection, &values)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = hooks::table.filter(hooks::id.eq_any(&ids)).select(columns!());
    rows.load::<super::Raw>(connection)?.into_iter().map(row).collect()
}

const RENEW: RowsStatement = RowsStatement {
    head: "UPDATE hooks SET lease_until_ms = held.column3 FROM (VALUES ",
    columns: 3,
    tail: ") AS held WHERE hooks.id = held.column1 AND hooks.leased_by = held.column2",
};

/// Prolongs the leases of a worker (a write).
///
/// # Errors
/// Those of the database.
pub fn renew(
    connection: &mut AnyConnection,
    worker: &str,
    ids: &[String],
    lease_ms: i64,
) -> Result<(), StoreError> {
    let until_ms = dialect::now_ms(connection)? + lease_ms;
    let values = ids
        .iter()
        .flat_map(|id| [Value::Text(id), Value::Text(worker), Value::BigInt(until_ms)])
        .collect::<Vec<_>>();
    RENEW.execute(connection, &values)?;
    Ok(())
}

/// Ends all leases (a write): where one process alone works, those of the one before are void.
///
/// # Errors
/// Those of the database.
pub fn end_all(connection: &mut AnyConnection) -> Result<(), StoreError> {
    diesel::update(hooks::table.filter(hooks::leased_by.is_not_null()))
        .set((hooks::leased_by.eq(None::<String>), hooks::rest_until_ms.eq(0)))
        .execute(connection)?;
    Ok(())
}

const DUE: RowsStatement = RowsStatement {
    head: "WITH input(now) AS (VALUES ",
    columns: 1,
    tail: ") SELECT id FROM hooks WHERE paused IS NULL AND not_before_ms <= (SELECT now FROM input) \
           AND (leased_by IS NULL OR lease_until_ms < (SELECT now FROM input)) \
           AND (EXISTS (SELECT 1 FROM hook_deliveries WHERE hook_id = hooks.id \
           AND state = 'waiting' AND seq > hooks.swept_seq) \
           OR (rest_until_ms <= (SELECT now FROM input) AND EXISTS (SELECT 1 \
           FROM hook_deliveries WHERE hook_id = hooks.id AND state = 'waiting'))) LIMIT 1",
};

/// Whether [`claim`] would find something.
///
/// # Errors
/// Those of the database.
pub fn is_due(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    let due: Vec<String> = DUE.load::<Text, _>(connection, &[Value::BigInt(now_ms)])?;
    Ok(!due.is_empty())
}

/// What waits for a hook behind a seq, in order.
#[cfg(test)]
pub(crate) fn waiting(
    connection: &mut AnyConnection,
    hook: &str,
    behind: i64,
    limit: i64,
) -> Result<Vec<WaitingDelivery>, StoreError> {
    let rows = hook_deliveries::table
        .filter(hook_deliveries::hook_id.eq(hook))
        .filter(is_waiting())
        .filter(hook_deliveries::seq.gt(behind))
        .order(hook_deliveries::seq)
        .limit(limit);
    Ok(rows.select(WaitingDelivery::as_select()).load(connection)?)
}

/// In the words of the partial index.
pub(super) fn is_waiting() -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    diesel::dsl::sql("state = 'waiting'")
}

const END: RowsStatement = RowsStatement {
    head: "UPDATE hook_deliveries SET state = ended.column2, attempts = ended.column3, \
           not_before_ms = ended.column4, ended_at_ms = ended.column5, reason = ended.column6 \
           FROM (VALUES ",
    columns: 6,
    tail: ") AS ended WHERE hook_deliveries.seq = ended.column1",
};

const ATTEMPT: RowsStatement = RowsStatement {
    head: "INSERT INTO hook_attempts (seq, attempt, at_ms, duration_ms, endpoint, request_bytes, \
           code, answer, error) VALUES ",
    columns: 9,
    tail: " ON CONFLICT (seq, attempt) DO NOTHING",
};

/// Writes down what became of deliveries and how the receiver does (a write); `false` when the
/// hook was changed or taken away meanwhile, then its worker has to let go of it.
///
/// # Errors
/// Those of the database.
pub fn settle(connection: &mut AnyConnection, settled: &Settled<'_>) -> Result<bool, StoreError> {
    if super::find(connection, &settled.hook.id)?.is_none() {
        return Ok(false);
    }
    let now_ms = dialect::now_ms(connection)?;
    end(connection, settled.tried, now_ms)?;
    let last = settled.tried.iter().rev().find_map(|tried| tried.attempt.as_ref().zip(Some(tried)));
    if let Some((attempt, tried)) = last {
        diesel::update(hooks::table.find(&settled.hook.id))
            .set((
                hooks::last_delivery_ms.eq(attempt.at_ms),
                hooks::last_code.eq(attempt.code),
                hooks::delivered.eq(tried.fate == Fate::Delivered),
            ))
            .execute(connection)?;
    }
    let ours = hooks::table
        .find(&settled.hook.id)
        .filter(hooks::leased_by.eq(settled.worker))
        .filter(hooks::updated_at_ms.eq(settled.hook.updated_at_ms));
    let health = settled.health;
    let kept = diesel::update(ours)
        .set((
            hooks::failures.eq(health.failures),
            hooks::failing_since_ms.eq(health.failing_since_ms),
            hooks::not_before_ms.eq(health.not_before_ms),
            settled.pause.map(|reason| hooks::paused.eq(reason)),
            settled.rest.map(|rest| {
                (hooks::swept_seq.eq(rest.swept_seq), hooks::rest_until_ms.eq(rest.until_ms))
            }),
        ))
        .execute(connection)?;
    if settled.rest.is_some() || kept == 0 {
        release(connection, &settled.hook.id, settled.worker)?;
    }
    Ok(kept > 0)
}

/// Gives a lease back without a word about where the sweep was (a write).
///
/// # Errors
/// Those of the database.
pub fn release(connection: &mut AnyConnection, id: &str, worker: &str) -> Result<(), StoreError> {
    diesel::update(hooks::table.find(id).filter(hooks::leased_by.eq(worker)))
        .set(hooks::leased_by.eq(None::<String>))
        .execute(connection)?;
    Ok(())
}

fn end(connection: &mut AnyConnection, tried: &[Tried], now_ms: i64) -> Result<(), StoreError> {
    let values = tried.iter().flat_map(|tried| {
        let (not_before_ms, ended_at_ms) = match tried.fate {
            Fate::Later(at_ms) => (at_ms, None),
            _ => (0, Some(now_ms)),
        };
        let reason = match tried.fate {
            Fate::Skipped(why) => Some(why.as_str()),
            _ => None,
        };
        [
            Value::BigInt(tried.seq),
            Value::Text(tried.fate.state()),
            Value::BigInt(tried.number),
            Value::BigInt(not_before_ms),
            Value::OptionalBigInt(ended_at_ms),
            Value::OptionalText(reason),
        ]
    });
    END.execute(connection, &values.collect::<Vec<_>>())?;
    let attempts = tried.iter().filter_map(|tried| Some((tried, tried.attempt.as_ref()?)));
    let values = attempts.flat_map(|(tried, attempt)| {
        [
            Value::BigInt(tried.seq),
            Value::BigInt(tried.number),
            Value::BigInt(attempt.at_ms),
            Value::BigInt(attempt.duration_ms),
            Value::Text(&attempt.endpoint),
            Value::BigInt(attempt.request_bytes),
            Value::OptionalBigInt(attempt.code),
            Value::OptionalText(attempt.answer.as_deref()),
            Value::OptionalText(attempt.error.as_deref()),
        ]
    });
    ATTEMPT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

/// Writes down that a hook is tried at once, outside of the order (a write); answers its place.
///
/// # Errors
/// Those of the database.
pub fn begin_test(
    connection: &mut AnyConnection,
    hook: &HookRow,
    event: &npm::HookEvent,
    at_ms: i64,
) -> Result<i64, StoreError> {
    const INSERT: RowsStatement = RowsStatement {
        head: "INSERT INTO hook_deliveries (hook_id, package, event, change, at_ms, state) VALUES ",
        columns: 6,
        tail: " RETURNING seq",
    };
    let values = [
        Value::Text(&hook.id),
        Value::Text(&hook.name),
        Value::Text(event.kind.as_str()),
        Value::Text("{}"),
        Value::BigInt(at_ms),
        Value::Text("parked"),
    ];
    let seq = INSERT.load::<BigInt, i64>(connection, &values)?.first().copied();
    seq.ok_or_else(|| StoreError::damaged("a delivery that was written has no seq"))
}

/// Writes down how that went (a write).
///
/// # Errors
/// Those of the database.
pub fn end_test(connection: &mut AnyConnection, tried: &Tried) -> Result<(), StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    end(connection, std::slice::from_ref(tried), now_ms)
}
