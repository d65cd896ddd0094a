//! The `scopes` table: which registry a scope belongs to.

use diesel::prelude::*;
use uuid::Uuid;

use crate::dialect::{RowsStatement, Value};
pub use crate::registries::SELF;
use crate::schema::scopes;
use crate::{AnyConnection, StoreError};

/// A scope bound to a registry.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = scopes)]
pub struct ScopeRow {
    /// With its `@`.
    pub scope: String,
    /// Name of the registry, or [`SELF`].
    pub registry: String,
    /// When it was bound.
    pub created_at_ms: i64,
    /// How it is known outside, UUIDv7; stays when the scope is bound elsewhere.
    pub id: String,
}

impl ScopeRow {
    /// A scope that is bound now.
    #[must_use]
    pub fn new(scope: &str, registry: &str, now_ms: i64) -> Self {
        Self {
            scope: scope.to_owned(),
            registry: registry.to_owned(),
            created_at_ms: now_ms,
            id: Uuid::now_v7().hyphenated().to_string(),
        }
    }
}

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO scopes (scope, registry, created_at_ms, id) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (scope) DO UPDATE SET registry = excluded.registry, \
           created_at_ms = excluded.created_at_ms",
};

/// All bound scopes by name.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &mut AnyConnection) -> Result<Vec<ScopeRow>, StoreError> {
    let rows = scopes::table.order(scopes::scope).select(ScopeRow::as_select());
    Ok(rows.load(connection)?)
}

/// The scopes of a registry by name.
///
/// # Errors
/// Those of the database.
pub fn of_registry(
    connection: &mut AnyConnection,
    registry: &str,
) -> Result<Vec<ScopeRow>, StoreError> {
    let rows = scopes::table.filter(scopes::registry.eq(registry)).order(scopes::scope);
    Ok(rows.select(ScopeRow::as_select()).load(connection)?)
}

/// A scope, when it is bound.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, scope: &str) -> Result<Option<ScopeRow>, StoreError> {
    let found = scopes::table.find(scope).select(ScopeRow::as_select());
    Ok(found.get_result(connection).optional()?)
}

/// A scope by name or id, when it is bound.
///
/// # Errors
/// Those of the database.
pub fn find_by_name_or_id(
    connection: &mut AnyConnection,
    text: &str,
) -> Result<Option<ScopeRow>, StoreError> {
    if let Some(row) = find(connection, text)? {
        return Ok(Some(row));
    }
    let found = scopes::table.filter(scopes::id.eq(text)).select(ScopeRow::as_select());
    Ok(found.first(connection).optional()?)
}

/// Binds a scope, also one that was bound elsewhere (a write).
///
/// # Errors
/// Those of the database.
pub fn upsert(connection: &mut AnyConnection, row: &ScopeRow) -> Result<(), StoreError> {
    let values = [
        Value::Text(&row.scope),
        Value::Text(&row.registry),
        Value::BigInt(row.created_at_ms),
        Value::Text(&row.id),
    ];
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
