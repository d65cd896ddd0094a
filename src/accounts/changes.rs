//! Changes of users and tokens, each with its line in the audit log in the same transaction.
//!
//! Whoever makes one, a request or a person at the terminal, makes it through here.

use serde_json::{Value, json};
use store::audit::{self, By};
use store::tokens::{self, NewToken, TokenRow};
use store::users::{self, NewUser, UserChange, UserRow};
use store::{AnyConnection, StoreError, sign_ins};

/// The action of a login in the audit log; refused ones are [`store::audit::LOGIN_REFUSED`].
const LOGIN_ACCEPTED: &str = "login.accept";

/// How long a sign-in link opens an account.
pub const LINK_LIVES_MS: i64 = 30 * 60 * 1000;

/// Stores a token; `None` when its user has one of this name (a write).
///
/// # Errors
/// Those of the database.
pub fn add_token(
    rows: &mut AnyConnection,
    new: &NewToken,
    by: &By,
) -> Result<Option<TokenRow>, StoreError> {
    if !tokens::create(rows, new)? {
        return Ok(None);
    }
    let made = tokens::find(rows, &new.key)?;
    if let Some(row) = &made {
        audit::record(rows, by, "token.add", &row.user, None, Some(&shown_token(row)))?;
    }
    Ok(made)
}

/// Stores the token of a login with a password; `None` when its user has one of this name (a
/// write).
///
/// # Errors
/// Those of the database.
pub fn log_in(
    rows: &mut AnyConnection,
    new: &NewToken,
    by: &By,
) -> Result<Option<TokenRow>, StoreError> {
    if !tokens::create(rows, new)? {
        return Ok(None);
    }
    let how = json!({ "way": "password", "mark": new.mark });
    audit::record(rows, by, LOGIN_ACCEPTED, &new.user, None, Some(&how))?;
    tokens::find(rows, &new.key)
}

/// Says that who acts is the one to be let in; `false` when the login is not waited for (any more)
/// (a write).
///
/// # Errors
/// Those of the database.
pub fn approve_login(
    rows: &mut AnyConnection,
    login_key: &npm::Sha512Digest,
    by: &By,
) -> Result<bool, StoreError> {
    if !sign_ins::approve(rows, login_key, &by.who)? {
        return Ok(false);
    }
    let how = json!({ "way": "browser" });
    audit::record(rows, by, LOGIN_ACCEPTED, &by.who, None, Some(&how))?;
    Ok(true)
}

/// Removes a token; `false` when there is none (a write).
///
/// # Errors
/// Those of the database.
pub fn remove_token(
    rows: &mut AnyConnection,
    key: &npm::Sha512Digest,
    by: &By,
) -> Result<bool, StoreError> {
    let Some(row) = tokens::find(rows, key)? else { return Ok(false) };
    audit::record(rows, by, "token.remove", &row.user, Some(&shown_token(&row)), None)?;
    tokens::delete(rows, key)
}

/// Makes a user; `None` when there is one of this name (a write).
///
/// # Errors
/// Those of the database.
pub fn add_user(
    rows: &mut AnyConnection,
    new: &NewUser,
    by: &By,
) -> Result<Option<UserRow>, StoreError> {
    if !users::create(rows, new)? {
        return Ok(None);
    }
    let made = users::find(rows, &new.name)?;
    if let Some(row) = &made {
        audit::record(
            rows,
            by,
            "user.add",
            &row.name,
            None,
            Some(&shown_user(row, password_of(row))),
        )?;
    }
    Ok(made)
}

/// Changes a user; `None` when there is none of this name (a write).
///
/// # Errors
/// Those of the database.
pub fn change_user(
    rows: &mut AnyConnection,
    name: &str,
    change: &UserChange,
    by: &By,
) -> Result<Option<UserRow>, StoreError> {
    let Some(before) = users::find(rows, name)? else { return Ok(None) };
    users::change(rows, name, change)?;
    let after = users::find(rows, name)?;
    let shown = after.as_ref().map(|row| match change.password {
        Some(_) => shown_user(row, "changed"),
        None => shown_user(row, password_of(row)),
    });
    let before = shown_user(&before, password_of(&before));
    audit::record(rows, by, "user.set", name, Some(&before), shown.as_ref())?;
    Ok(after)
}

/// Makes a link, found by the SHA-512 of its last part, that opens the account of a user once;
/// `false` when there is no such user (a write).
///
/// # Errors
/// Those of the database.
pub fn add_link(
    rows: &mut AnyConnection,
    key: &npm::Sha512Digest,
    user: &str,
    by: &By,
) -> Result<bool, StoreError> {
    if users::find(rows, user)?.is_none() {
        return Ok(false);
    }
    sign_ins::make_link(rows, key, user, LINK_LIVES_MS)?;
    let minutes = json!({ "minutes": LINK_LIVES_MS / 60_000 });
    audit::record(rows, by, "user.link", user, None, Some(&minutes))?;
    Ok(true)
}

fn shown_token(row: &TokenRow) -> Value {
    json!({ "mark": row.mark, "limits": row.limits })
}

fn password_of(row: &UserRow) -> &'static str {
    if row.password.is_some() { "set" } else { "none" }
}

fn shown_user(row: &UserRow, password: &str) -> Value {
    json!({
        "admin": row.admin, "disabled": row.disabled, "email": row.email, "password": password,
    })
}
