//! The `alarms` table: sentences that an operator should read, such as a second integrity for a
//! version. Written with the change that caused them.

use diesel::prelude::*;

use crate::dialect::{self, RowsStatement, Value};
use crate::schema::alarms;
use crate::{AnyConnection, StoreError};

/// One alarm.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlarmRow {
    /// Rises with time.
    pub id: i64,
    /// The package.
    pub name: String,
    /// What happened.
    pub message: String,
    /// When it was written down.
    pub at_ms: i64,
}

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO alarms (name, message, at_ms) VALUES ",
    columns: 3,
    tail: "",
};

/// The newest alarms, newest first.
///
/// # Errors
/// Those of the database.
pub fn newest(connection: &mut AnyConnection, limit: i64) -> Result<Vec<AlarmRow>, StoreError> {
    let rows = alarms::table
        .order(alarms::id.desc())
        .limit(limit)
        .load::<(i64, String, String, i64)>(connection)?;
    let row = |(id, name, message, at_ms)| AlarmRow { id, name, message, at_ms };
    Ok(rows.into_iter().map(row).collect())
}

/// How many there are.
///
/// # Errors
/// Those of the database.
pub fn count(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(alarms::table.count().get_result(connection)?)
}

/// Writes one down that no package change causes (a write).
///
/// # Errors
/// Those of the database.
pub fn add(connection: &mut AnyConnection, name: &str, message: &str) -> Result<(), StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    insert(connection, &[(name, message)], now_ms)
}

pub(crate) fn insert(
    connection: &mut AnyConnection,
    rows: &[(&str, &str)],
    at_ms: i64,
) -> Result<(), StoreError> {
    let values = rows.iter().flat_map(|&(name, message)| {
        [Value::Text(name), Value::Text(message), Value::BigInt(at_ms)]
    });
    INSERT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}
