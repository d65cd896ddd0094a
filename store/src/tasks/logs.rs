//! The `task_logs` table: what tasks said, in pieces.

use diesel::prelude::*;

use super::row::without_nul;
use crate::dialect::{RowsStatement, Value};
use crate::schema::task_logs;
use crate::{AnyConnection, StoreError, TaskId};

const INSERT: RowsStatement =
    RowsStatement { head: "INSERT INTO task_logs (task_id, body) VALUES ", columns: 2, tail: "" };

/// Adds to the log of a task (a write).
///
/// # Errors
/// Those of the database.
pub fn append_log(
    connection: &mut AnyConnection,
    id: TaskId,
    text: &str,
) -> Result<(), StoreError> {
    append_logs(connection, &[(id, text)])
}

/// Adds to many logs at once; empty pieces are left out (a write).
///
/// # Errors
/// Those of the database.
pub fn append_logs(
    connection: &mut AnyConnection,
    pieces: &[(TaskId, &str)],
) -> Result<(), StoreError> {
    let texts: Vec<_> = pieces
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(id, text)| (id.to_string(), without_nul(text)))
        .collect();
    let values = texts.iter().flat_map(|(id, text)| [Value::Text(id), Value::Text(text)]);
    INSERT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

/// Everything a task said; `None` when it said nothing yet.
///
/// # Errors
/// Those of the database.
pub fn log(connection: &mut AnyConnection, id: TaskId) -> Result<Option<String>, StoreError> {
    let pieces = task_logs::table
        .filter(task_logs::task_id.eq(id.to_string()))
        .order(task_logs::id)
        .select(task_logs::body)
        .load::<String>(connection)?;
    Ok(if pieces.is_empty() { None } else { Some(pieces.concat()) })
}

/// Forgets the log of a task (a write).
///
/// # Errors
/// Those of the database.
pub fn delete_log(connection: &mut AnyConnection, id: TaskId) -> Result<(), StoreError> {
    let log = task_logs::table.filter(task_logs::task_id.eq(id.to_string()));
    diesel::delete(log).execute(connection)?;
    Ok(())
}

/// One stored piece of a log: whole lines, never changed once they are there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPiece {
    /// Rises within a log.
    pub id: i64,
    /// The lines.
    pub body: String,
}

/// The pieces of a log from the one with this id on, at most `limit`; ids start above 0.
///
/// # Errors
/// Those of the database.
pub fn log_from(
    connection: &mut AnyConnection,
    id: TaskId,
    first: i64,
    limit: i64,
) -> Result<Vec<LogPiece>, StoreError> {
    let pieces = task_logs::table
        .filter(task_logs::task_id.eq(id.to_string()))
        .filter(task_logs::id.ge(first))
        .order(task_logs::id)
        .limit(limit)
        .select((task_logs::id, task_logs::body))
        .load::<(i64, String)>(connection)?;
    Ok(pieces.into_iter().map(|(id, body)| LogPiece { id, body }).collect())
}
