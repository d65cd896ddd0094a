//! The `scopes` table: which registry a scope belongs to.

use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
pub use crate::registries::SELF;
use crate::schema::scopes;
use crate::{AnyConnection, StoreError};

/// A scope bound to a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScopeRow {
    /// With its `@`.
    pub scope: String,
    /// Name of the registry, or [`SELF`].
    pub registry: String,
    /// When it was bound.
    pub created_at_ms: i64,
}

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO scopes (scope, registry, created_at_ms) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (scope) DO UPDATE SET registry = excluded.registry, \
           created_at_ms = excluded.created_at_ms",
};

/// All bound scopes by name.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &mut AnyConnection) -> Result<Vec<ScopeRow>, StoreError> {
    let rows = scopes::table.order(scopes::scope).load::<(String, String, i64)>(connection)?;
    let row = |(scope, registry, created_at_ms)| ScopeRow { scope, registry, created_at_ms };
    Ok(rows.into_iter().map(row).collect())
}

/// Binds a scope, also one that was bound elsewhere (a write).
///
/// # Errors
/// Those of the database.
pub fn upsert(connection: &mut AnyConnection, row: &ScopeRow) -> Result<(), StoreError> {
    let values =
        [Value::Text(&row.scope), Value::Text(&row.registry), Value::BigInt(row.created_at_ms)];
    UPSERT.execute(connection, &values)?;
    Ok(())
}

/// Lets a scope go; `false` when it was not bound (a write).
///
/// # Errors
/// Those of the database.
pub fn delete(connection: &mut AnyConnection, scope: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(scopes::table.find(scope)).execute(connection)? > 0)
}
