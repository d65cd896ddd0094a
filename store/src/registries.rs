//! The `registries` table: upstream registries by name; `default` is the one asked for packages
//! that no other owns.

use std::fmt;

use diesel::prelude::*;
use uuid::Uuid;

use crate::dialect::{RowsStatement, Value};
use crate::schema::registries;
use crate::{AnyConnection, StoreError};

/// Name of the registry that owns what no other does.
pub const DEFAULT: &str = "default";

/// Name of the registry that stands for this mirror itself: its packages are published here and
/// never asked for elsewhere.
pub const SELF: &str = "self";

/// An upstream registry.
#[derive(Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = registries)]
pub struct RegistryRow {
    /// Its name here.
    pub name: String,
    /// Its address.
    pub host: String,
    /// Where the address was learned, in words for the operator: `npm config`, a file, a flag.
    pub source: String,
    /// When that was.
    pub stored_at_ms: i64,
    /// What it speaks: `npm`, `cnpmcore`, `cnpmjsorg`.
    pub kind: String,
    /// What is put in front of the names of its users here.
    pub user_prefix: String,
    /// `auto`, `off`, or the address of its changes feed.
    pub change_stream: String,
    /// Bearer token for its own origin; goes in and never comes out.
    pub token: Option<String>,
    /// Requests per second, 0 = no limit of its own.
    pub rate: i64,
    /// When it was added.
    pub created_at_ms: i64,
    /// How it is known outside: UUIDv7, the name for `default` and `self`.
    pub id: String,
    /// When something about it was changed last.
    pub updated_at_ms: i64,
}

impl RegistryRow {
    /// A registry of type `npm` whose feed is looked for.
    #[must_use]
    pub fn new(name: &str, host: &str, source: &str, now_ms: i64) -> Self {
        let id = match name {
            DEFAULT | SELF => name.to_owned(),
            _ => Uuid::now_v7().hyphenated().to_string(),
        };
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            source: source.to_owned(),
            stored_at_ms: now_ms,
            kind: String::from("npm"),
            user_prefix: String::new(),
            change_stream: String::from("auto"),
            token: None,
            rate: 0,
            created_at_ms: now_ms,
            id,
            updated_at_ms: now_ms,
        }
    }
}

impl fmt::Debug for RegistryRow {
    /// Everything but the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegistryRow")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("kind", &self.kind)
            .field("has_token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO registries (name, host, source, stored_at_ms, kind, user_prefix, \
           change_stream, token, rate, created_at_ms, id, updated_at_ms) VALUES ",
    columns: 12,
    tail: " ON CONFLICT (name) DO UPDATE SET host = excluded.host, source = excluded.source, \
           stored_at_ms = excluded.stored_at_ms, kind = excluded.kind, \
           user_prefix = excluded.user_prefix, change_stream = excluded.change_stream, \
           token = excluded.token, rate = excluded.rate, \
           updated_at_ms = excluded.updated_at_ms",
};

/// Only the address: what else is set of the registry stays.
const MOVE: RowsStatement = RowsStatement {
    head: "INSERT INTO registries (name, host, source, stored_at_ms, created_at_ms, id, \
           updated_at_ms) VALUES ",
    columns: 7,
    tail: " ON CONFLICT (name) DO UPDATE SET host = excluded.host, source = excluded.source, \
           stored_at_ms = excluded.stored_at_ms, updated_at_ms = excluded.updated_at_ms",
};

/// The registry of this name.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, name: &str) -> Result<Option<RegistryRow>, StoreError> {
    let found = registries::table.find(name).select(RegistryRow::as_select());
    Ok(found.get_result(connection).optional()?)
}

/// The registry of this name or id.
///
/// # Errors
/// Those of the database.
pub fn find_by_name_or_id(
    connection: &mut AnyConnection,
    text: &str,
) -> Result<Option<RegistryRow>, StoreError> {
    if let Some(row) = find(connection, text)? {
        return Ok(Some(row));
    }
    let found = registries::table.filter(registries::id.eq(text)).select(RegistryRow::as_select());
    Ok(found.first(connection).optional()?)
}

/// All registries by name.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &mut AnyConnection) -> Result<Vec<RegistryRow>, StoreError> {
    let rows = registries::table.order(registries::name).select(RegistryRow::as_select());
    Ok(rows.load(connection)?)
}

/// Adds a registry or replaces all that is known about it (a write).
///
/// # Errors
/// Those of the database.
pub fn upsert(connection: &mut AnyConnection, registry: &RegistryRow) -> Result<(), StoreError> {
    let values = [
        Value::Text(&registry.name),
        Value::Text(&registry.host),
        Value::Text(&registry.source),
        Value::BigInt(registry.stored_at_ms),
        Value::Text(&registry.kind),
        Value::Text(&registry.user_prefix),
        Value::Text(&registry.change_stream),
        Value::OptionalText(registry.token.as_deref()),
        Value::BigInt(registry.rate),
        Value::BigInt(registry.created_at_ms),
        Value::Text(&registry.id),
        Value::BigInt(registry.updated_at_ms),
    ];
    UPSERT.execute(connection, &values)?;
    Ok(())
}

/// Adds a registry or gives it this address; what else is known of it stays (a write).
///
/// # Errors
/// Those of the database.
pub fn move_to(connection: &mut AnyConnection, registry: &RegistryRow) -> Result<(), StoreError> {
    let values = [
        Value::Text(&registry.name),
        Value::Text(&registry.host),
        Value::Text(&registry.source),
        Value::BigInt(registry.stored_at_ms),
        Value::BigInt(registry.created_at_ms),
        Value::Text(&registry.id),
        Value::BigInt(registry.updated_at_ms),
    ];
    MOVE.execute(connection, &values)?;
    Ok(())
}

/// Forgets a registry; `false` when there is none of this name (a write).
///
/// # Errors
/// Those of the database.
pub fn delete(connection: &mut AnyConnection, name: &str) -> Result<bool, StoreError> {
    Ok(diesel::delete(registries::table.find(name)).execute(connection)? > 0)
}
