//! The `request_budgets` table: how many requests to a registry are reserved in a month.

use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
use crate::schema::request_budgets;
use crate::{AnyConnection, StoreError};

/// Adding in the statement itself: two nodes that reserve at once get different numbers.
const RESERVE: RowsStatement = RowsStatement {
    head: "INSERT INTO request_budgets (registry, month, reserved) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (registry, month) \
           DO UPDATE SET reserved = request_budgets.reserved + excluded.reserved",
};

/// Requests reserved for a registry in a month (`2026-11`).
///
/// # Errors
/// Those of the database.
pub fn reserved(
    connection: &mut AnyConnection,
    registry: &str,
    month: &str,
) -> Result<i64, StoreError> {
    let row = request_budgets::table.find((registry, month)).select(request_budgets::reserved);
    Ok(row.first(connection).optional()?.unwrap_or(0))
}

/// Reserves `amount` more and answers with all that is reserved then (a write).
///
/// # Errors
/// Those of the database.
pub fn reserve(
    connection: &mut AnyConnection,
    registry: &str,
    month: &str,
    amount: i64,
) -> Result<i64, StoreError> {
    RESERVE
        .execute(connection, &[Value::Text(registry), Value::Text(month), Value::BigInt(amount)])?;
    // the row is ours until the commit
    reserved(connection, registry, month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    #[test]
    fn reservations_add_up_by_registry_and_month() {
        on_each_database(|test| {
            let write = |registry: &'static str, month: &'static str, amount| {
                let mut writer = test.store.writer_blocking().unwrap();
                writer
                    .write_blocking(|connection| reserve(connection, registry, month, amount))
                    .unwrap()
            };
            assert_eq!(write("default", "2026-11", 1_000), 1_000);
            assert_eq!(write("default", "2026-11", 5), 1_005);
            assert_eq!(write("default", "2026-12", 7), 7);
            assert_eq!(write("inner", "2026-11", 1), 1);
            let read = |connection: &mut AnyConnection| reserved(connection, "default", "2026-11");
            assert_eq!(test.store.read_blocking(read).unwrap(), 1_005);
        });
    }
}
