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
    append_many(connection, &[(id, text)])
}

/// Adds to many logs at once; empty pieces are left out.
pub(super) fn append_many(
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
