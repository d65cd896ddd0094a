//! What became of deliveries, and sending one again.

use diesel::prelude::*;

use super::lease::{Attempt, is_waiting};
use super::outbox::{DeliveryId, WAITING};
use crate::schema::{hook_attempts, hook_deliveries, hooks};
use crate::{AnyConnection, StoreError};

/// Counting ends here: more is "very many" to whoever asks.
pub const COUNTED: i64 = 100_000;

/// A delivery as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryRow {
    /// How it is known outside.
    pub id: DeliveryId,
    /// The hook.
    pub hook: String,
    /// The package.
    pub package: String,
    /// Name of the event.
    pub event: String,
    /// To what it happened, as JSON.
    pub change: String,
    /// `waiting`, `delivered`, `parked`, `skipped`.
    pub state: String,
    /// Tries so far.
    pub attempts: i64,
    /// Of these, tries before somebody asked for it again.
    pub base_attempts: i64,
    /// Not tried before, while it waits.
    pub not_before_ms: i64,
    /// When it ended.
    pub ended_at_ms: Option<i64>,
    /// Why nothing was sent.
    pub reason: Option<String>,
    /// The last try.
    pub last: Option<Attempt>,
}

/// A try with its number.
pub type NumberedAttempt = (i64, Attempt);

/// A page of the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliveryPage {
    /// Newest first.
    pub rows: Vec<DeliveryRow>,
    /// Where the next page begins, when there may be one.
    pub next: Option<DeliveryId>,
}

/// Rows of the history that are looked at for one page; more may be hidden from its reader.
const LOOKED_AT: usize = 20_000;

/// Of these, so many are read at once.
const AT_ONCE: i64 = 500;

type Raw = (
    (i64, String, String, String, String, i64),
    (String, i64, i64, i64, Option<i64>, Option<String>),
);

type RawAttempt = (i64, i64, i64, i64, String, i64, Option<i64>, Option<String>, Option<String>);

macro_rules! delivery_columns {
    () => {
        (
            (
                hook_deliveries::seq,
                hook_deliveries::hook_id,
                hook_deliveries::package,
                hook_deliveries::event,
                hook_deliveries::change,
                hook_deliveries::at_ms,
            ),
            (
                hook_deliveries::state,
                hook_deliveries::attempts,
                hook_deliveries::base_attempts,
                hook_deliveries::not_before_ms,
                hook_deliveries::ended_at_ms,
                hook_deliveries::reason,
            ),
        )
    };
}

fn row(raw: Raw, last: Option<Attempt>) -> DeliveryRow {
    let ((seq, hook, package, event, change, at_ms), rest) = raw;
    let (state, attempts, base_attempts, not_before_ms, ended_at_ms, reason) = rest;
    DeliveryRow {
        id: DeliveryId { seq, at_ms },
        hook,
        package,
        event,
        change,
        state,
        attempts,
        base_attempts,
        not_before_ms,
        ended_at_ms,
        reason,
        last,
    }
}

fn attempt(raw: RawAttempt) -> NumberedAttempt {
    let (_, number, at_ms, duration_ms, endpoint, request_bytes, code, answer, error) = raw;
    (number, Attempt { at_ms, duration_ms, endpoint, request_bytes, code, answer, error })
}

/// Deliveries of a hook before one of them, newest first, about packages that may be shown to
/// whoever asks.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    hook: &str,
    before: Option<i64>,
    limit: i64,
    is_shown: impl Fn(&str) -> bool,
) -> Result<DeliveryPage, StoreError> {
    let wanted = usize::try_from(limit).unwrap_or(0);
    let (mut found, mut looked_at, mut behind) = (Vec::new(), 0, before.unwrap_or(i64::MAX));
    let mut next = None;
    while next.is_none() {
        let many = if looked_at == 0 { limit.clamp(1, AT_ONCE) } else { AT_ONCE };
        let page = raw_page(connection, hook, behind, many)?;
        let Some((last, at_ms)) = page.last().map(|raw| (raw.0.0, raw.0.5)) else { break };
        (behind, looked_at) = (last, looked_at + page.len());
        for raw in page.into_iter().filter(|raw| is_shown(&raw.0.2)) {
            if found.len() < wanted {
                next = Some(DeliveryId { seq: raw.0.0, at_ms: raw.0.5 });
                found.push(raw);
            }
        }
        if found.len() < wanted {
            let on = DeliveryId { seq: last, at_ms };
            next = (looked_at >= LOOKED_AT).then_some(on);
        }
    }
    let rows = found.into_iter().map(|raw| with_last(connection, raw));
    Ok(DeliveryPage { rows: rows.collect::<Result<_, _>>()?, next })
}

fn raw_page(
    connection: &mut AnyConnection,
    hook: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<Raw>, StoreError> {
    let rows = hook_deliveries::table
        .filter(hook_deliveries::hook_id.eq(hook))
        .filter(hook_deliveries::seq.lt(before))
        .order(hook_deliveries::seq.desc())
        .limit(limit);
    Ok(rows.select(delivery_columns!()).load(connection)?)
}

fn with_last(connection: &mut AnyConnection, raw: Raw) -> Result<DeliveryRow, StoreError> {
    let (seq, attempts) = (raw.0.0, raw.1.1);
    let last = match attempts {
        0 => None,
        number => hook_attempts::table
            .find((seq, number))
            .get_result::<RawAttempt>(connection)
            .optional()?
            .map(|raw| attempt(raw).1),
    };
    Ok(row(raw, last))
}

/// One delivery with all its tries by number.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    id: DeliveryId,
) -> Result<Option<(DeliveryRow, Vec<NumberedAttempt>)>, StoreError> {
    let found = hook_deliveries::table
        .find(id.seq)
        .select(delivery_columns!())
        .get_result::<Raw>(connection)
        .optional()?;
    let Some(raw) = found.filter(|raw| raw.0.5 == id.at_ms) else { return Ok(None) };
    let attempts = hook_attempts::table
        .filter(hook_attempts::seq.eq(id.seq))
        .order(hook_attempts::attempt)
        .load::<RawAttempt>(connection)?;
    let attempts: Vec<_> = attempts.into_iter().map(attempt).collect();
    let last = attempts.last().map(|(_, attempt)| attempt.clone());
    Ok(Some((row(raw, last), attempts)))
}

/// Sends a delivery again, with as many tries as a new one has (a write); `false` when there is
/// none. Its hook is tried at once, however long it would have waited.
///
/// # Errors
/// Those of the database.
pub fn redeliver(connection: &mut AnyConnection, id: DeliveryId) -> Result<bool, StoreError> {
    let target = hook_deliveries::table.find(id.seq).filter(hook_deliveries::at_ms.eq(id.at_ms));
    let changed = diesel::update(target)
        .set((
            hook_deliveries::state.eq(WAITING),
            hook_deliveries::base_attempts.eq(hook_deliveries::attempts),
            hook_deliveries::not_before_ms.eq(0),
            hook_deliveries::ended_at_ms.eq(None::<i64>),
            hook_deliveries::reason.eq(None::<String>),
        ))
        .execute(connection)?;
    if changed == 0 {
        return Ok(false);
    }
    let hook = hook_deliveries::table.find(id.seq).select(hook_deliveries::hook_id);
    let hook: String = hook.get_result(connection)?;
    diesel::update(hooks::table.find(hook))
        .set((hooks::rest_until_ms.eq(0), hooks::not_before_ms.eq(0)))
        .execute(connection)?;
    Ok(true)
}

/// Numbers for whoever looks after the mirror.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HookTotals {
    /// Hooks.
    pub hooks: i64,
    /// Of these, such as deliver nothing until somebody changes them.
    pub paused: i64,
    /// Of the others, such as whose last try failed.
    pub failing: i64,
    /// Deliveries that wait, counted up to [`COUNTED`].
    pub waiting: i64,
    /// Deliveries that waited too long while their hooks were paused.
    pub dropped: i64,
}

/// The numbers of now.
///
/// # Errors
/// Those of the database.
pub fn totals(connection: &mut AnyConnection) -> Result<HookTotals, StoreError> {
    let paused = hooks::table.filter(hooks::paused.is_not_null());
    let failing = hooks::table.filter(hooks::paused.is_null()).filter(hooks::failures.gt(0));
    let dropped = hooks::table.filter(hooks::dropped.gt(0)).select(hooks::dropped);
    let waiting = hook_deliveries::table.filter(is_waiting()).limit(COUNTED);
    let waiting = waiting.select(hook_deliveries::seq).load::<i64>(connection)?.len();
    Ok(HookTotals {
        hooks: hooks::table.count().get_result(connection)?,
        paused: paused.count().get_result(connection)?,
        failing: failing.count().get_result(connection)?,
        waiting: i64::try_from(waiting).unwrap_or(COUNTED),
        dropped: dropped.load::<i64>(connection)?.iter().sum(),
    })
}
