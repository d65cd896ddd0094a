//! How much waits, for whoever would add more.

use diesel::prelude::*;

use super::list::is;
use crate::schema::tasks;
use crate::{AnyConnection, StoreError, TaskState};

/// Whether at least so many tasks of a registry wait that are as urgent as `priority` or more;
/// reads no further than that.
///
/// # Errors
/// Those of the database.
pub fn has_waiting(
    connection: &mut AnyConnection,
    registry: &str,
    priority: i32,
    count: i64,
) -> Result<bool, StoreError> {
    let last = tasks::table
        .filter(is(TaskState::Waiting))
        .filter(tasks::registry.eq(registry))
        .filter(tasks::priority.le(priority))
        .select(tasks::id)
        .offset(count.saturating_sub(1).max(0))
        .limit(1);
    Ok(last.first::<String>(connection).optional()?.is_some())
}

/// How many tasks of a registry wait, counted up to `most`.
///
/// # Errors
/// Those of the database.
pub fn count_waiting(
    connection: &mut AnyConnection,
    registry: &str,
    most: i64,
) -> Result<i64, StoreError> {
    let waiting = tasks::table
        .filter(is(TaskState::Waiting))
        .filter(tasks::registry.eq(registry))
        .select(tasks::priority)
        .limit(most)
        .load::<i32>(connection)?;
    Ok(i64::try_from(waiting.len()).unwrap_or(most))
}
