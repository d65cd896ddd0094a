//! The `registries` table: upstream registries by name; `default` is the one asked for packages
//! that no other owns.

use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
use crate::schema::registries;
use crate::{AnyConnection, StoreError};

/// Name of the registry that owns what no other does.
pub const DEFAULT: &str = "default";

/// Name of the registry that stands for this mirror itself: its packages are published here and
/// never asked for elsewhere.
pub const SELF: &str = "self";

/// An upstream registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryRow {
    /// Its name here.
    pub name: String,
    /// Its address.
    pub host: String,
    /// Where the address was learned, in words for the operator: `npm config`, a file, a flag.
    pub source: String,
    /// When that was.
    pub stored_at_ms: i64,
}

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO registries (name, host, source, stored_at_ms) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (name) DO UPDATE SET host = excluded.host, source = excluded.source, \
           stored_at_ms = excluded.stored_at_ms",
};

type Raw = (String, String, String, i64);

fn row((name, host, source, stored_at_ms): Raw) -> RegistryRow {
    RegistryRow { name, host, source, stored_at_ms }
}

/// The registry of this name.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, name: &str) -> Result<Option<RegistryRow>, StoreError> {
    Ok(registries::table.find(name).get_result::<Raw>(connection).optional()?.map(row))
}

/// All registries by name.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &mut AnyConnection) -> Result<Vec<RegistryRow>, StoreError> {
    let rows = registries::table.order(registries::name).load::<Raw>(connection)?;
    Ok(rows.into_iter().map(row).collect())
}

/// Adds a registry or replaces what is known about it (a write).
///
/// # Errors
/// Those of the database.
pub fn upsert(connection: &mut AnyConnection, registry: &RegistryRow) -> Result<(), StoreError> {
    let values = [
        Value::Text(&registry.name),
        Value::Text(&registry.host),
        Value::Text(&registry.source),
        Value::BigInt(registry.stored_at_ms),
    ];
    UPSERT.execute(connection, &values)?;
    Ok(())
}
