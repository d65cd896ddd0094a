//! The `settings` table: small facts by key, such as the id of this instance.

use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
use crate::schema::settings;
use crate::{AnyConnection, StoreError};

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO settings (key, value) VALUES ",
    columns: 2,
    tail: " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
};

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO settings (key, value) VALUES ",
    columns: 2,
    tail: " ON CONFLICT (key) DO NOTHING",
};

/// The value of a key.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, key: &str) -> Result<Option<String>, StoreError> {
    let found = settings::table.find(key).select(settings::value).get_result(connection);
    Ok(found.optional()?)
}

/// Sets the value of a key (a write).
///
/// # Errors
/// Those of the database.
pub fn set(connection: &mut AnyConnection, key: &str, value: &str) -> Result<(), StoreError> {
    UPSERT.execute(connection, &[Value::Text(key), Value::Text(value)])?;
    Ok(())
}

/// Sets the value of a key that has none (a write).
///
/// # Errors
/// Those of the database.
pub(crate) fn keep_first(
    connection: &mut AnyConnection,
    key: &str,
    value: &str,
) -> Result<(), StoreError> {
    INSERT.execute(connection, &[Value::Text(key), Value::Text(value)])?;
    Ok(())
}

/// Forgets a key (a write).
///
/// # Errors
/// Those of the database.
pub fn delete(connection: &mut AnyConnection, key: &str) -> Result<(), StoreError> {
    diesel::delete(settings::table.find(key)).execute(connection)?;
    Ok(())
}
