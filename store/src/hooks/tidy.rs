//! The history of deliveries has bounds: how long it is kept, how much of it, and for whom.

use diesel::prelude::*;

use crate::schema::{hook_attempts, hook_deliveries, hook_remains};
use crate::{AnyConnection, StoreError};

/// What there is to delete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TidyWork {
    /// Deliveries that ended before are too old or too many.
    pub ended_before_ms: Option<i64>,
    /// Deliveries of hooks that are gone are left.
    pub remains: bool,
}

/// Looks for what is to be deleted: what ended before `too_old_ms`, and all but `keep` of the rest.
///
/// # Errors
/// Those of the database.
pub fn look(
    connection: &mut AnyConnection,
    too_old_ms: i64,
    keep: i64,
) -> Result<TidyWork, StoreError> {
    // what ended at that very moment is beyond, too
    let beyond = ended_beyond(connection, keep)?.map(|at_ms| at_ms.saturating_add(1));
    let before = beyond.map_or(too_old_ms, |beyond| beyond.max(too_old_ms));
    let ended = hook_deliveries::table.filter(hook_deliveries::ended_at_ms.lt(before));
    let ended: Option<i64> =
        ended.select(hook_deliveries::seq).limit(1).get_result(connection).optional()?;
    let remains: Option<String> = hook_remains::table
        .select(hook_remains::hook_id)
        .limit(1)
        .get_result(connection)
        .optional()?;
    Ok(TidyWork { ended_before_ms: ended.map(|_| before), remains: remains.is_some() })
}

/// When the newest of the deliveries ended that are more than `keep` (counted from the newest).
///
/// # Errors
/// Those of the database.
pub fn ended_beyond(connection: &mut AnyConnection, keep: i64) -> Result<Option<i64>, StoreError> {
    let ended = hook_deliveries::table
        .filter(hook_deliveries::ended_at_ms.is_not_null())
        .order(hook_deliveries::ended_at_ms.desc())
        .offset(keep)
        .limit(1)
        .select(hook_deliveries::ended_at_ms);
    let found: Option<Option<i64>> = ended.get_result(connection).optional()?;
    Ok(found.flatten())
}

/// Deletes deliveries that ended before a moment, up to `limit` (a write); answers how many.
///
/// # Errors
/// Those of the database.
pub fn delete_ended_before(
    connection: &mut AnyConnection,
    before_ms: i64,
    limit: i64,
) -> Result<usize, StoreError> {
    let seqs: Vec<i64> = hook_deliveries::table
        .filter(hook_deliveries::ended_at_ms.lt(before_ms))
        .order(hook_deliveries::ended_at_ms)
        .limit(limit)
        .select(hook_deliveries::seq)
        .load(connection)?;
    delete(connection, &seqs)
}

/// Deletes deliveries of hooks that are gone, up to `limit` (a write); answers how many.
///
/// # Errors
/// Those of the database.
pub fn delete_remains(connection: &mut AnyConnection, limit: i64) -> Result<usize, StoreError> {
    let gone: Option<String> = hook_remains::table
        .order(hook_remains::hook_id)
        .limit(1)
        .select(hook_remains::hook_id)
        .get_result(connection)
        .optional()?;
    let Some(hook) = gone else { return Ok(0) };
    let seqs: Vec<i64> = hook_deliveries::table
        .filter(hook_deliveries::hook_id.eq(&hook))
        .order(hook_deliveries::seq)
        .limit(limit)
        .select(hook_deliveries::seq)
        .load(connection)?;
    if seqs.is_empty() {
        diesel::delete(hook_remains::table.find(&hook)).execute(connection)?;
        return Ok(1); // there may be another one
    }
    delete(connection, &seqs)
}

fn delete(connection: &mut AnyConnection, seqs: &[i64]) -> Result<usize, StoreError> {
    for some in seqs.chunks(500) {
        diesel::delete(hook_attempts::table.filter(hook_attempts::seq.eq_any(some)))
            .execute(connection)?;
        diesel::delete(hook_deliveries::table.filter(hook_deliveries::seq.eq_any(some)))
            .execute(connection)?;
    }
    Ok(seqs.len())
}
