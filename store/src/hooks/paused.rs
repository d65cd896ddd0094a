//! What waits for a hook that is paused is kept for a while only, and not all of it.

use diesel::prelude::*;

use super::lease::{Skip, is_waiting};
use crate::schema::{hook_deliveries, hooks};
use crate::{AnyConnection, StoreError, dialect};

/// What a paused hook has too much of: all that waits up to a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excess {
    /// The hook.
    pub hook: String,
    /// Everything up to here is too much.
    pub up_to_seq: i64,
    /// And what happened before this moment.
    pub before_ms: i64,
}

/// Looks for paused hooks for which something waits since before `too_old_ms`, or more than `keep`.
///
/// # Errors
/// Those of the database.
pub fn look(
    connection: &mut AnyConnection,
    too_old_ms: i64,
    keep: i64,
) -> Result<Vec<Excess>, StoreError> {
    let paused = hooks::table.filter(hooks::paused.is_not_null()).select(hooks::id);
    let mut found = Vec::new();
    for hook in paused.load::<String>(connection)? {
        let excess =
            Excess { up_to_seq: beyond(connection, &hook, keep)?, hook, before_ms: too_old_ms };
        if !some(connection, &excess, 1)?.is_empty() {
            found.push(excess);
        }
    }
    Ok(found)
}

/// The newest of what waits that is more than `keep`; 0 when it is not.
fn beyond(connection: &mut AnyConnection, hook: &str, keep: i64) -> Result<i64, StoreError> {
    let waiting = hook_deliveries::table
        .filter(hook_deliveries::hook_id.eq(hook))
        .filter(is_waiting())
        .order(hook_deliveries::seq.desc())
        .offset(keep)
        .limit(1)
        .select(hook_deliveries::seq);
    Ok(waiting.get_result(connection).optional()?.unwrap_or(0))
}

/// The oldest of it. Seqs rise with time, so it is a beginning of what waits.
fn some(
    connection: &mut AnyConnection,
    excess: &Excess,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    let waiting = hook_deliveries::table
        .filter(hook_deliveries::hook_id.eq(&excess.hook))
        .filter(is_waiting())
        .order(hook_deliveries::seq)
        .limit(limit)
        .select((hook_deliveries::seq, hook_deliveries::at_ms));
    let rows: Vec<(i64, i64)> = waiting.load(connection)?;
    let is_too_much =
        |(seq, at_ms): &(i64, i64)| *seq <= excess.up_to_seq || *at_ms < excess.before_ms;
    Ok(rows.into_iter().take_while(is_too_much).map(|(seq, _)| seq).collect())
}

/// Drops up to `limit` of it (a write), unless the hook is no longer paused; answers how many.
///
/// # Errors
/// Those of the database.
pub fn drop_some(
    connection: &mut AnyConnection,
    excess: &Excess,
    limit: i64,
) -> Result<usize, StoreError> {
    let seqs = some(connection, excess, limit)?;
    let dropped = i64::try_from(seqs.len()).unwrap_or(i64::MAX);
    let paused = hooks::table.find(&excess.hook).filter(hooks::paused.is_not_null());
    let is_paused = diesel::update(paused)
        .set(hooks::dropped.eq(hooks::dropped + dropped))
        .execute(connection)?;
    if is_paused == 0 {
        return Ok(0);
    }
    let now_ms = dialect::now_ms(connection)?;
    for some in seqs.chunks(500) {
        diesel::update(hook_deliveries::table.filter(hook_deliveries::seq.eq_any(some)))
            .set((
                hook_deliveries::state.eq("skipped"),
                hook_deliveries::reason.eq(Skip::Paused.as_str()),
                hook_deliveries::ended_at_ms.eq(now_ms),
                hook_deliveries::not_before_ms.eq(0),
            ))
            .execute(connection)?;
    }
    Ok(seqs.len())
}
