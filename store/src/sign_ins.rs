//! The `login_sessions` and `sign_in_links` tables: ways to an account that are under way.
//!
//! A session is what `npm login` waits for while a person signs in with a browser. The browser
//! knows one secret, the waiting program another, and the table neither: only their sha512. A
//! link opens one account once. Both end by the clock of the database, which all nodes share.

use diesel::prelude::*;
use npm::Sha512Digest;

use crate::dialect;
use crate::schema::{login_sessions, sign_in_links};
use crate::{AnyConnection, StoreError};

/// Parameters of one statement.
const KEYS_AT_ONCE: usize = 500;

/// A login to be waited for.
#[derive(Clone, Debug)]
pub struct NewLogin {
    /// SHA-512 of what the waiting program asks with.
    pub done_key: Sha512Digest,
    /// SHA-512 of what the page of the browser is found by.
    pub login_key: Sha512Digest,
    /// The machine that the program says it runs on.
    pub hostname: Option<String>,
    /// The address it asked from.
    pub address: Option<String>,
    /// How long it may take.
    pub lives_ms: i64,
}

/// A login that a page belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginRow {
    /// The machine that the program says it runs on.
    pub hostname: Option<String>,
    /// The address it asked from.
    pub address: Option<String>,
    /// Who signed in.
    pub user: Option<String>,
}

/// How far a login is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginState {
    /// There is none, or no more.
    Unknown,
    /// Nobody signed in yet.
    Pending,
    /// This user did; the session has ended with this answer.
    Done(String),
}

/// Begins a login (a write).
///
/// # Errors
/// Those of the database.
pub fn begin(connection: &mut AnyConnection, login: &NewLogin) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    diesel::insert_into(login_sessions::table)
        .values((
            login_sessions::done_key.eq(login.done_key.as_bytes().as_slice()),
            login_sessions::login_key.eq(login.login_key.as_bytes().as_slice()),
            login_sessions::hostname.eq(&login.hostname),
            login_sessions::address.eq(&login.address),
            login_sessions::expires_at_ms.eq(now.saturating_add(login.lives_ms)),
        ))
        .execute(connection)?;
    Ok(())
}

/// The login whose page this is.
///
/// # Errors
/// Those of the database.
pub fn by_page(
    connection: &mut AnyConnection,
    login_key: &Sha512Digest,
) -> Result<Option<LoginRow>, StoreError> {
    let now = dialect::now_ms(connection)?;
    let found = login_sessions::table
        .filter(login_sessions::login_key.eq(login_key.as_bytes().as_slice()))
        .filter(login_sessions::expires_at_ms.gt(now))
        .select((login_sessions::hostname, login_sessions::address, login_sessions::user_name))
        .get_result::<(Option<String>, Option<String>, Option<String>)>(connection)
        .optional()?;
    Ok(found.map(|(hostname, address, user)| LoginRow { hostname, address, user }))
}

/// Says who signed in; `false` when the login is not waited for (any more) (a write).
///
/// # Errors
/// Those of the database.
pub fn approve(
    connection: &mut AnyConnection,
    login_key: &Sha512Digest,
    user: &str,
) -> Result<bool, StoreError> {
    let now = dialect::now_ms(connection)?;
    let pending = login_sessions::table
        .filter(login_sessions::login_key.eq(login_key.as_bytes().as_slice()))
        .filter(login_sessions::expires_at_ms.gt(now))
        .filter(login_sessions::user_name.is_null());
    let set = diesel::update(pending).set(login_sessions::user_name.eq(user));
    Ok(set.execute(connection)? > 0)
}

/// How far the login is that a program waits for.
///
/// # Errors
/// Those of the database.
pub fn state(
    connection: &mut AnyConnection,
    done_key: &Sha512Digest,
) -> Result<LoginState, StoreError> {
    let now = dialect::now_ms(connection)?;
    let found = login_sessions::table
        .find(done_key.as_bytes().as_slice())
        .filter(login_sessions::expires_at_ms.gt(now))
        .select(login_sessions::user_name)
        .get_result::<Option<String>>(connection)
        .optional()?;
    Ok(match found {
        None => LoginState::Unknown,
        Some(None) => LoginState::Pending,
        Some(Some(user)) => LoginState::Done(user),
    })
}

/// Ends a login; `false` when somebody else did: its token is given out once (a write).
///
/// # Errors
/// Those of the database.
pub fn finish(connection: &mut AnyConnection, done_key: &Sha512Digest) -> Result<bool, StoreError> {
    let ended = diesel::delete(login_sessions::table.find(done_key.as_bytes().as_slice()));
    Ok(ended.execute(connection)? > 0)
}

/// Makes a link for a user (a write).
///
/// # Errors
/// Those of the database.
pub fn make_link(
    connection: &mut AnyConnection,
    key: &Sha512Digest,
    user: &str,
    lives_ms: i64,
) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    diesel::insert_into(sign_in_links::table)
        .values((
            sign_in_links::key.eq(key.as_bytes().as_slice()),
            sign_in_links::user_name.eq(user),
            sign_in_links::expires_at_ms.eq(now.saturating_add(lives_ms)),
        ))
        .execute(connection)?;
    Ok(())
}

/// Whose account a link opens.
///
/// # Errors
/// Those of the database.
pub fn of_link(
    connection: &mut AnyConnection,
    key: &Sha512Digest,
) -> Result<Option<String>, StoreError> {
    let now = dialect::now_ms(connection)?;
    let found = sign_in_links::table
        .find(key.as_bytes().as_slice())
        .filter(sign_in_links::expires_at_ms.gt(now))
        .select(sign_in_links::user_name);
    Ok(found.get_result(connection).optional()?)
}

/// Uses a link up; `false` when it was, or has run out (a write).
///
/// # Errors
/// Those of the database.
pub fn use_link(connection: &mut AnyConnection, key: &Sha512Digest) -> Result<bool, StoreError> {
    let now = dialect::now_ms(connection)?;
    let link = sign_in_links::table.find(key.as_bytes().as_slice());
    let used = diesel::delete(link.filter(sign_in_links::expires_at_ms.gt(now)));
    Ok(used.execute(connection)? > 0)
}

/// Removes up to `limit` logins that have run out (a write); how many.
///
/// # Errors
/// Those of the database.
pub fn delete_ended_logins(
    connection: &mut AnyConnection,
    limit: i64,
) -> Result<usize, StoreError> {
    let now = dialect::now_ms(connection)?;
    let ended: Vec<Vec<u8>> = login_sessions::table
        .filter(login_sessions::expires_at_ms.le(now))
        .order(login_sessions::expires_at_ms)
        .limit(limit)
        .select(login_sessions::done_key)
        .load(connection)?;
    for keys in ended.chunks(KEYS_AT_ONCE) {
        let logins = login_sessions::table.filter(login_sessions::done_key.eq_any(keys));
        diesel::delete(logins).execute(connection)?;
    }
    Ok(ended.len())
}

/// Removes up to `limit` links that have run out (a write); how many.
///
/// # Errors
/// Those of the database.
pub fn delete_ended_links(connection: &mut AnyConnection, limit: i64) -> Result<usize, StoreError> {
    let now = dialect::now_ms(connection)?;
    let ended: Vec<Vec<u8>> = sign_in_links::table
        .filter(sign_in_links::expires_at_ms.le(now))
        .limit(limit)
        .select(sign_in_links::key)
        .load(connection)?;
    for keys in ended.chunks(KEYS_AT_ONCE) {
        let links = sign_in_links::table.filter(sign_in_links::key.eq_any(keys));
        diesel::delete(links).execute(connection)?;
    }
    Ok(ended.len())
}
