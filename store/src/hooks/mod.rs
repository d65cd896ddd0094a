//! The `hooks` table: who is told of what, and where.
//!
//! [`outbox`] writes what hooks are to hear of with the fact itself, [`lease`] gives the waiting
//! deliveries of a hook to one worker at a time, [`lines`] says which of them can be sent,
//! [`history`] shows what became of them, [`paused`] and [`tidy`] bound what is kept, and [`watch`] knows in memory what hooks are about, so that a mirror without any pays nothing.

/// The columns of [`HookRow`], in the order of [`Raw`].
macro_rules! columns {
    () => {
        (
            (hooks::id, hooks::owner, hooks::kind, hooks::name, hooks::endpoint, hooks::secret),
            (
                hooks::created_at_ms,
                hooks::updated_at_ms,
                hooks::paused,
                hooks::failures,
                hooks::failing_since_ms,
                hooks::not_before_ms,
            ),
            (hooks::last_delivery_ms, hooks::last_code, hooks::delivered, hooks::dropped),
            hooks::leased_by,
        )
    };
}

pub mod history;
pub mod lease;
pub mod lines;
pub mod outbox;
pub mod paused;
#[cfg(test)]
mod tests;
pub mod tidy;
pub mod watch;

use std::fmt;

use diesel::prelude::*;
use npm::HookKind;
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, By};
use crate::dialect::{self, RowsStatement, Value};
use crate::schema::{hook_remains, hooks};
use crate::{AnyConnection, StoreError, epochs};

/// What deliveries of a hook are signed with; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret(pub String);

impl fmt::Debug for HookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HookSecret(hidden)")
    }
}

/// A hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookRow {
    /// UUIDv7.
    pub id: String,
    /// Login name of the user it belongs to.
    pub owner: String,
    /// What [`name`](Self::name) names.
    pub kind: HookKind,
    /// A package, a scope with its `@`, or a user.
    pub name: String,
    /// Where deliveries go.
    pub endpoint: String,
    /// What they are signed with.
    pub secret: HookSecret,
    /// When it was made.
    pub created_at_ms: i64,
    /// When endpoint, secret or pause were changed last.
    pub updated_at_ms: i64,
    /// Why nothing is delivered until somebody changes or resumes it.
    pub paused: Option<String>,
    /// How deliveries went lately.
    pub health: HookHealth,
    /// When something was sent last.
    pub last_delivery_ms: Option<i64>,
    /// What was answered then; `None` when there was no answer.
    pub last_code: Option<i64>,
    /// Whether that was a success.
    pub delivered: bool,
    /// Deliveries that waited too long while it was paused.
    pub dropped: i64,
    /// Who delivers now, or did when it died.
    pub worker: Option<String>,
}

/// How the receiver of a hook did lately.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HookHealth {
    /// Tries that failed since the last success.
    pub failures: i64,
    /// When the first of them was.
    pub failing_since_ms: Option<i64>,
    /// Nothing is sent before.
    pub not_before_ms: i64,
}

/// A hook to be made.
#[derive(Clone, Debug)]
pub struct NewHook {
    /// Login name of the user it is for.
    pub owner: String,
    /// What `name` names.
    pub kind: HookKind,
    /// A package, a scope with its `@`, or a user.
    pub name: String,
    /// Where deliveries go.
    pub endpoint: String,
    /// What they are signed with.
    pub secret: HookSecret,
}

/// What became of the wish for a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// It is there.
    Hook(Box<HookRow>),
    /// Its owner has as many as are allowed.
    TooMany,
    /// There is one of the same user for the same target.
    Exists,
}

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO hooks (id, owner, kind, name, endpoint, secret, created_at_ms, \
           updated_at_ms) VALUES ",
    columns: 8,
    tail: " ON CONFLICT (kind, name, owner) DO NOTHING",
};

pub(crate) type Raw = (
    (String, String, String, String, String, String),
    (i64, i64, Option<String>, i64, Option<i64>, i64),
    (Option<i64>, Option<i64>, bool, i64),
    Option<String>,
);

pub(crate) fn row(raw: Raw) -> Result<HookRow, StoreError> {
    let ((id, owner, kind, name, endpoint, secret), state, last, worker) = raw;
    let (created_at_ms, updated_at_ms, paused, failures, failing_since_ms, not_before_ms) = state;
    let (last_delivery_ms, last_code, delivered, dropped) = last;
    let kind = HookKind::from_text(&kind)
        .ok_or_else(|| StoreError::damaged(format!("hook {id} is of the unknown kind {kind:?}")))?;
    Ok(HookRow {
        id,
        owner,
        kind,
        name,
        endpoint,
        secret: HookSecret(secret),
        created_at_ms,
        updated_at_ms,
        paused,
        health: HookHealth { failures, failing_since_ms, not_before_ms },
        last_delivery_ms,
        last_code,
        delivered,
        dropped,
        worker,
    })
}

/// Makes a hook, unless its owner has `limit` of them (a write).
///
/// # Errors
/// Those of the database.
pub fn create(
    connection: &mut AnyConnection,
    new: &NewHook,
    limit: i64,
    by: &By,
) -> Result<Made, StoreError> {
    if count_of_owner(connection, &new.owner)? >= limit {
        return Ok(Made::TooMany);
    }
    let now_ms = dialect::now_ms(connection)?;
    let id = Uuid::now_v7().hyphenated().to_string();
    let values = [
        Value::Text(&id),
        Value::Text(&new.owner),
        Value::Text(new.kind.as_str()),
        Value::Text(&new.name),
        Value::Text(&new.endpoint),
        Value::Text(&new.secret.0),
        Value::BigInt(now_ms),
        Value::BigInt(now_ms),
    ];
    if INSERT.execute(connection, &values)? == 0 {
        return Ok(Made::Exists);
    }
    let made = find(connection, &id)?;
    let made = made.ok_or_else(|| StoreError::damaged("a hook that was written is not there"))?;
    record(connection, "hook.add", None, Some(&made), by)?;
    epochs::raise(connection, epochs::Kind::Hooks)?;
    Ok(Made::Hook(Box::new(made)))
}

/// Gives a hook another endpoint and secret and resumes it (a write); `None` when there is none.
///
/// # Errors
/// Those of the database.
pub fn change(
    connection: &mut AnyConnection,
    id: &str,
    endpoint: &str,
    secret: Option<&HookSecret>,
    by: &By,
) -> Result<Option<HookRow>, StoreError> {
    let Some(before) = find(connection, id)? else { return Ok(None) };
    let now_ms = dialect::now_ms(connection)?.max(before.updated_at_ms + 1);
    diesel::update(hooks::table.find(id))
        .set((
            hooks::endpoint.eq(endpoint),
            secret.map(|secret| hooks::secret.eq(&secret.0)),
            hooks::updated_at_ms.eq(now_ms),
            hooks::paused.eq(None::<String>),
            hooks::failures.eq(0),
            hooks::failing_since_ms.eq(None::<i64>),
            hooks::not_before_ms.eq(0),
            hooks::rest_until_ms.eq(0),
        ))
        .execute(connection)?;
    let after = find(connection, id)?;
    record(connection, "hook.change", Some(&before), after.as_ref(), by)?;
    Ok(after)
}

/// Stops deliveries of a hook until somebody changes it (a write); `None` when there is none.
///
/// # Errors
/// Those of the database.
pub fn pause(
    connection: &mut AnyConnection,
    id: &str,
    reason: &str,
    by: &By,
) -> Result<Option<HookRow>, StoreError> {
    let Some(before) = find(connection, id)? else { return Ok(None) };
    let now_ms = dialect::now_ms(connection)?.max(before.updated_at_ms + 1);
    diesel::update(hooks::table.find(id))
        .set((hooks::paused.eq(reason), hooks::updated_at_ms.eq(now_ms)))
        .execute(connection)?;
    let after = find(connection, id)?;
    record(connection, "hook.pause", Some(&before), after.as_ref(), by)?;
    Ok(after)
}

/// Ends a hook (a write); answers what it was. Its deliveries are deleted later, see [`tidy`].
///
/// # Errors
/// Those of the database.
pub fn remove(
    connection: &mut AnyConnection,
    id: &str,
    by: &By,
) -> Result<Option<HookRow>, StoreError> {
    let Some(before) = find(connection, id)? else { return Ok(None) };
    diesel::delete(hooks::table.find(id)).execute(connection)?;
    diesel::insert_into(hook_remains::table)
        .values(hook_remains::hook_id.eq(id))
        .execute(connection)?;
    record(connection, "hook.remove", Some(&before), None, by)?;
    epochs::raise(connection, epochs::Kind::Hooks)?;
    Ok(Some(before))
}

fn record(
    connection: &mut AnyConnection,
    action: &str,
    before: Option<&HookRow>,
    after: Option<&HookRow>,
    by: &By,
) -> Result<(), StoreError> {
    let Some(row) = after.or(before) else { return Ok(()) };
    let subject = format!("{} {} of {}", row.kind, row.name, row.owner);
    let shown = |row: &HookRow| json!({ "id": row.id, "endpoint": shown_endpoint(&row.endpoint), "paused": row.paused });
    let (before, after) = (before.map(shown), after.map(shown));
    audit::record(connection, by, action, &subject, before.as_ref(), after.as_ref())
}

/// An endpoint for logs and lists of others: what stands behind `?` may be a secret.
#[must_use]
pub fn shown_endpoint(endpoint: &str) -> &str {
    endpoint.split(['?', '#']).next().unwrap_or_default()
}

/// The hook with this id.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, id: &str) -> Result<Option<HookRow>, StoreError> {
    let found = hooks::table.find(id).select(columns!()).get_result::<Raw>(connection);
    found.optional()?.map(row).transpose()
}

/// The hooks of a user in the order they were made, all or those for one name.
///
/// # Errors
/// Those of the database.
pub fn of_owner(
    connection: &mut AnyConnection,
    owner: &str,
    name: Option<&str>,
    offset: i64,
    limit: i64,
) -> Result<Vec<HookRow>, StoreError> {
    let mut rows = hooks::table.filter(hooks::owner.eq(owner)).select(columns!()).into_boxed();
    if let Some(name) = name {
        rows = rows.filter(hooks::name.eq(name));
    }
    let rows = rows.order(hooks::id).offset(offset).limit(limit);
    rows.load::<Raw>(connection)?.into_iter().map(row).collect()
}

/// The hooks of everybody behind an id, in the order they were made.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<HookRow>, StoreError> {
    let rows = hooks::table.filter(hooks::id.gt(after)).select(columns!());
    let rows = rows.order(hooks::id).limit(limit);
    rows.load::<Raw>(connection)?.into_iter().map(row).collect()
}

/// How many hooks a user has.
///
/// # Errors
/// Those of the database.
pub fn count_of_owner(connection: &mut AnyConnection, owner: &str) -> Result<i64, StoreError> {
    Ok(hooks::table.filter(hooks::owner.eq(owner)).count().get_result(connection)?)
}
