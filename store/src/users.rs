//! The `users` table: who may log in, and what for.

use std::fmt;

use diesel::prelude::*;

use crate::dialect::{self, RowsStatement, Value};
use crate::schema::users;
use crate::{AnyConnection, StoreError};

/// A password as it is kept: its slow hash, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(hidden)")
    }
}

/// A user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRow {
    /// The login name.
    pub name: String,
    /// Whether everything is allowed.
    pub admin: bool,
    /// When the user was made.
    pub created_at_ms: i64,
    /// E-mail address, when one was given.
    pub email: Option<String>,
    /// The password; without one only tokens and sign-in links open the account.
    pub password: Option<PasswordHash>,
    /// Nothing opens the account, neither password nor token.
    pub disabled: bool,
    /// When any of this changed last.
    pub updated_at_ms: i64,
}

/// A user to be made.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    /// The login name.
    pub name: String,
    /// Whether everything is allowed.
    pub admin: bool,
    /// E-mail address, when one was given.
    pub email: Option<String>,
    /// The password, when one was chosen.
    pub password: Option<PasswordHash>,
}

/// A change of a user; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The right to everything.
    pub admin: Option<bool>,
    /// Locks the account, or opens it again.
    pub disabled: Option<bool>,
    /// A new e-mail address, or none.
    pub email: Option<Option<String>>,
    /// A new password.
    pub password: Option<PasswordHash>,
}

const ENSURE: RowsStatement = RowsStatement {
    head: "INSERT INTO users (name, admin, created_at_ms, updated_at_ms) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (name) DO UPDATE SET admin = excluded.admin, \
           updated_at_ms = excluded.updated_at_ms WHERE users.admin <> excluded.admin",
};

const CREATE: RowsStatement = RowsStatement {
    head: "INSERT INTO users (name, admin, created_at_ms, updated_at_ms, email, password) VALUES ",
    columns: 6,
    tail: " ON CONFLICT (name) DO NOTHING",
};

/// Makes sure that the user exists with just this right (a write).
///
/// # Errors
/// Those of the database.
pub fn ensure(connection: &mut AnyConnection, name: &str, admin: bool) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    let values = [Value::Text(name), Value::Bool(admin), Value::BigInt(now), Value::BigInt(now)];
    ENSURE.execute(connection, &values)?;
    Ok(())
}

/// Makes a user; `false` when there is one of this name, who stays as he is (a write).
///
/// # Errors
/// Those of the database.
pub fn create(connection: &mut AnyConnection, user: &NewUser) -> Result<bool, StoreError> {
    let now = dialect::now_ms(connection)?;
    let values = [
        Value::Text(&user.name),
        Value::Bool(user.admin),
        Value::BigInt(now),
        Value::BigInt(now),
        Value::OptionalText(user.email.as_deref()),
        Value::OptionalText(user.password.as_ref().map(|hash| hash.0.as_str())),
    ];
    Ok(CREATE.execute(connection, &values)? > 0)
}

/// Changes a user; `false` when there is none of this name (a write).
///
/// # Errors
/// Those of the database.
pub fn change(
    connection: &mut AnyConnection,
    name: &str,
    change: &UserChange,
) -> Result<bool, StoreError> {
    let now = dialect::now_ms(connection)?;
    let changed = diesel::update(users::table.find(name))
        .set((
            users::updated_at_ms.eq(now),
            change.admin.map(|admin| users::admin.eq(admin)),
            change.disabled.map(|disabled| users::disabled.eq(disabled)),
            change.email.as_ref().map(|email| users::email.eq(email)),
            change.password.as_ref().map(|hash| users::password.eq(&hash.0)),
        ))
        .execute(connection)?;
    Ok(changed > 0)
}

/// Keeps the same password as another hash, unless it is another password meanwhile; says whether
/// (a write).
///
/// # Errors
/// Those of the database.
pub fn rehash(
    connection: &mut AnyConnection,
    name: &str,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, StoreError> {
    let same = users::table.find(name).filter(users::password.eq(&old.0));
    Ok(diesel::update(same).set(users::password.eq(&new.0)).execute(connection)? > 0)
}

type Raw = (String, bool, i64, Option<String>, Option<String>, bool, i64);

fn row((name, admin, created, email, password, disabled, updated): Raw) -> UserRow {
    UserRow {
        name,
        admin,
        created_at_ms: created,
        email,
        password: password.map(PasswordHash),
        disabled,
        updated_at_ms: updated,
    }
}

/// The user of this name.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, name: &str) -> Result<Option<UserRow>, StoreError> {
    let found = users::table.find(name).get_result::<Raw>(connection).optional()?;
    Ok(found.map(row))
}

/// Users behind this name, in byte order.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<UserRow>, StoreError> {
    let rows = users::table.filter(users::name.gt(after)).order(users::name).limit(limit);
    Ok(rows.load::<Raw>(connection)?.into_iter().map(row).collect())
}
