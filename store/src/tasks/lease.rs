//! Leases: who works on what, by the clock of the database.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::enqueue::id_texts;
use super::row::{RawTask, SqlColumns, TaskRow, rows};
use crate::dialect::{self, Value};
use crate::schema::tasks;
use crate::{AnyConnection, StoreError, TaskId, TaskState};

/// Leases up to `limit` tasks that are due, or whose lease ran out (a write); the most urgent and
/// oldest first.
///
/// A waiting task of a package that somebody works on is left for later.
///
/// # Errors
/// Those of the database.
pub fn claim(
    connection: &mut AnyConnection,
    registry: &str,
    worker: &str,
    limit: i64,
    lease_ms: i64,
) -> Result<Vec<TaskRow>, StoreError> {
    let values =
        [Value::Text(registry), Value::Text(worker), Value::BigInt(lease_ms), Value::BigInt(limit)];
    let statement = dialect::claim_tasks(connection);
    let claimed: Vec<RawTask> = statement.load::<SqlColumns, _>(connection, &values)?;
    let mut claimed = rows(claimed)?;
    claimed.sort_unstable_by_key(|row| (row.priority, row.id));
    Ok(claimed)
}

/// Leases just these tasks as far as they wait, due or not (a write); one whose package somebody
/// works on is left for later.
///
/// # Errors
/// Those of the database.
pub fn claim_these(
    connection: &mut AnyConnection,
    ids: &[TaskId],
    worker: &str,
    lease_ms: i64,
) -> Result<Vec<TaskRow>, StoreError> {
    let ids = id_texts(ids);
    let values = ids
        .iter()
        .flat_map(|id| [Value::Text(id), Value::Text(worker), Value::BigInt(lease_ms)])
        .collect::<Vec<_>>();
    let statement = dialect::claim_these(connection);
    let claimed: Vec<RawTask> = statement.load::<SqlColumns, _>(connection, &values)?;
    rows(claimed)
}

/// Prolongs leases from now on (a write); answers with those that this worker still has.
///
/// # Errors
/// Those of the database.
pub fn renew(
    connection: &mut AnyConnection,
    worker: &str,
    ids: &[TaskId],
    lease_ms: i64,
) -> Result<Vec<TaskId>, StoreError> {
    let ids = id_texts(ids);
    let values = ids
        .iter()
        .flat_map(|id| [Value::Text(id), Value::Text(worker), Value::BigInt(lease_ms)])
        .collect::<Vec<_>>();
    let statement = dialect::renew_tasks(connection);
    let renewed: Vec<String> = statement.load::<Text, _>(connection, &values)?;
    renewed.iter().map(|id| super::row::stored_id(id)).collect()
}

/// Tasks whose lease ran out, oldest first; the next claim takes them.
///
/// # Errors
/// Those of the database.
pub fn expired_leases(connection: &mut AnyConnection) -> Result<Vec<TaskRow>, StoreError> {
    let now = dialect::now_ms(connection)?;
    let found = tasks::table
        .filter(super::list::is(TaskState::Processing))
        .filter(tasks::lease_until_ms.lt(now))
        .order(tasks::id)
        .load::<RawTask>(connection)?;
    rows(found)
}
