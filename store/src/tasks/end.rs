//! The ways out of processing: finished, given back, later again, cancelled.

use diesel::prelude::*;

use super::PRIORITY_PEOPLE;
use super::enqueue::{save_merged, take_in, waiting_twin};
use super::list::{find, is_finished};
use super::logs;
use super::row::{TaskRow, without_nul};
use crate::change::{TaskEnd, TaskId};
use crate::dialect::{self, RowsStatement, Value};
use crate::schema::{task_logs, tasks};
use crate::{AnyConnection, StoreError, TaskFailure, TaskState, missing_names};

const FINISH: RowsStatement = RowsStatement {
    head: "UPDATE tasks SET state = ended.column2, error = ended.column3, \
           updated_at_ms = ended.column4, failure = ended.column5, leased_by = NULL, \
           lease_until_ms = NULL FROM (VALUES ",
    columns: 5,
    tail: ") AS ended WHERE tasks.id = ended.column1 AND tasks.state = 'processing'",
};

/// Ends a task that is being processed and adds to its log (a write).
///
/// # Errors
/// Those of the database.
pub fn finish(connection: &mut AnyConnection, end: &TaskEnd) -> Result<(), StoreError> {
    finish_many(connection, &[end])
}

pub(crate) fn finish_many(
    connection: &mut AnyConnection,
    ends: &[&TaskEnd],
) -> Result<(), StoreError> {
    if ends.is_empty() {
        return Ok(());
    }
    let now = dialect::now_ms(connection)?;
    let texts: Vec<_> = ends
        .iter()
        .map(|end| (end.id.to_string(), end.error.as_deref().map(without_nul)))
        .collect();
    let values = ends.iter().zip(&texts).flat_map(|(end, (id, error))| {
        [
            Value::Text(id),
            Value::Text(end.state.as_str()),
            Value::OptionalText(error.as_deref()),
            Value::BigInt(now),
            Value::OptionalText(end.failure.map(TaskFailure::as_str)),
        ]
    });
    FINISH.execute(connection, &values.collect::<Vec<_>>())?;
    let failed = ends.iter().zip(&texts).filter(|(end, _)| end.state == TaskState::Error);
    let failed = failed.map(|(_, (id, error))| (id.as_str(), error.as_deref()));
    missing_names::note_failures(connection, failed)?;
    let chunks: Vec<_> = ends.iter().map(|end| (end.id, end.log.as_str())).collect();
    logs::append_logs(connection, &chunks)
}

/// Puts claimed tasks back as they were, for example at shutdown (a write): the attempt does not
/// count.
///
/// # Errors
/// Those of the database.
pub fn give_back(connection: &mut AnyConnection, ids: &[TaskId]) -> Result<(), StoreError> {
    for &id in ids {
        let Some(row) = find(connection, id)? else { continue };
        if row.state != TaskState::Processing {
            continue;
        }
        let again =
            Again { not_before_ms: 0, error: row.error.clone(), attempts: row.attempts - 1 };
        wait_again(connection, &row, again)?;
    }
    Ok(())
}

/// Lets a claimed task wait for another attempt (a write).
///
/// # Errors
/// Those of the database.
pub fn retry_later(
    connection: &mut AnyConnection,
    id: TaskId,
    not_before_ms: i64,
    error: &str,
) -> Result<(), StoreError> {
    match find(connection, id)? {
        Some(row) if row.state == TaskState::Processing => {
            let again =
                Again { not_before_ms, error: Some(error.to_owned()), attempts: row.attempts };
            wait_again(connection, &row, again)
        }
        _ => Ok(()),
    }
}

/// Lets a finished task start over, now with a person who waits for it (a write); `false` when
/// there is none or it is not finished.
///
/// # Errors
/// Those of the database.
pub fn retry(connection: &mut AnyConnection, id: TaskId) -> Result<bool, StoreError> {
    match find(connection, id)? {
        Some(row) if matches!(row.state, TaskState::Success | TaskState::Error) => {
            let row = TaskRow { priority: row.priority.min(PRIORITY_PEOPLE), ..row };
            wait_again(connection, &row, Again { not_before_ms: 0, error: None, attempts: 0 })?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

struct Again {
    not_before_ms: i64,
    error: Option<String>,
    attempts: i32,
}

/// Back to waiting; or, when the package has another waiting task by now, that one takes over.
fn wait_again(
    connection: &mut AnyConnection,
    row: &TaskRow,
    again: Again,
) -> Result<(), StoreError> {
    if let Some(twin) = waiting_twin(connection, row)? {
        return hand_over(connection, row, again.error, twin);
    }
    let now = dialect::now_ms(connection)?;
    diesel::update(tasks::table.find(row.id.to_string()))
        .set((
            tasks::state.eq(TaskState::Waiting.as_str()),
            tasks::error.eq(again.error.as_deref().map(without_nul).as_deref()),
            tasks::failure.eq(None::<&str>),
            tasks::priority.eq(row.priority),
            tasks::attempts.eq(again.attempts.max(0)),
            tasks::not_before_ms.eq(again.not_before_ms),
            tasks::updated_at_ms.eq(now),
            tasks::leased_by.eq(None::<String>),
            tasks::lease_until_ms.eq(None::<i64>),
        ))
        .execute(connection)?;
    Ok(())
}

fn hand_over(
    connection: &mut AnyConnection,
    row: &TaskRow,
    error: Option<String>,
    mut twin: TaskRow,
) -> Result<(), StoreError> {
    if take_in(&mut twin, row.priority, &row.options) {
        save_merged(connection, std::slice::from_ref(&twin))?;
    }
    let reason = error.map_or_else(String::new, |error| format!("{error}; "));
    let error = format!("{reason}the waiting task {} of this package goes on", twin.id);
    end_as_error(connection, row.id, &error)
}

/// Ends a task that waits or is being processed (a write); `false` when there is none or it is
/// finished. Whoever processes it has to be told as well.
///
/// # Errors
/// Those of the database.
pub fn cancel(connection: &mut AnyConnection, id: TaskId) -> Result<bool, StoreError> {
    match find(connection, id)? {
        Some(row) if matches!(row.state, TaskState::Waiting | TaskState::Processing) => {
            end_as_error(connection, id, "cancelled")?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn end_as_error(connection: &mut AnyConnection, id: TaskId, error: &str) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    diesel::update(tasks::table.find(id.to_string()))
        .set((
            tasks::state.eq(TaskState::Error.as_str()),
            tasks::error.eq(without_nul(error).as_ref()),
            tasks::failure.eq(TaskFailure::Other.as_str()),
            tasks::updated_at_ms.eq(now),
            tasks::leased_by.eq(None::<String>),
            tasks::lease_until_ms.eq(None::<i64>),
        ))
        .execute(connection)?;
    Ok(())
}

/// Ids in one statement.
const IDS_AT_ONCE: usize = 500;

/// Removes up to `limit` tasks that ended before a time, the oldest first, with their logs (a
/// write); says how many.
///
/// # Errors
/// Those of the database.
pub fn delete_finished_before(
    connection: &mut AnyConnection,
    at_ms: i64,
    limit: i64,
) -> Result<usize, StoreError> {
    let old: Vec<String> = tasks::table
        .filter(is_finished())
        .filter(tasks::updated_at_ms.lt(at_ms))
        .order(tasks::updated_at_ms)
        .limit(limit)
        .select(tasks::id)
        .load(connection)?;
    for ids in old.chunks(IDS_AT_ONCE) {
        let logs = task_logs::table.filter(task_logs::task_id.eq_any(ids));
        diesel::delete(logs).execute(connection)?;
        diesel::delete(tasks::table.filter(tasks::id.eq_any(ids))).execute(connection)?;
    }
    Ok(old.len())
}

/// When the newest finished task behind the `keep` newest ones ended; `None` when there are not
/// that many.
///
/// # Errors
/// Those of the database.
pub fn ended_beyond(connection: &mut AnyConnection, keep: i64) -> Result<Option<i64>, StoreError> {
    let beyond = tasks::table
        .filter(is_finished())
        .order(tasks::updated_at_ms.desc())
        .offset(keep)
        .select(tasks::updated_at_ms);
    Ok(beyond.first(connection).optional()?)
}
