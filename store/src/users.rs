//! The `users` table: who may log in.

use diesel::prelude::*;

use crate::dialect::{self, RowsStatement, Value};
use crate::schema::users;
use crate::{AnyConnection, StoreError};

/// A user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRow {
    /// The login name.
    pub name: String,
    /// Whether everything is allowed.
    pub admin: bool,
    /// When the user was made.
    pub created_at_ms: i64,
}

const ENSURE: RowsStatement = RowsStatement {
    head: "INSERT INTO users (name, admin, created_at_ms) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (name) DO UPDATE SET admin = excluded.admin",
};

/// Makes sure that the user exists with just this right (a write).
///
/// # Errors
/// Those of the database.
pub fn ensure(connection: &mut AnyConnection, name: &str, admin: bool) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    let values = [Value::Text(name), Value::Bool(admin), Value::BigInt(now)];
    ENSURE.execute(connection, &values)?;
    Ok(())
}

/// The user of this name.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, name: &str) -> Result<Option<UserRow>, StoreError> {
    let found = users::table.find(name).get_result::<(String, bool, i64)>(connection).optional()?;
    Ok(found.map(|(name, admin, created_at_ms)| UserRow { name, admin, created_at_ms }))
}
