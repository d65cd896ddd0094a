//! The `tokens` table: access tokens by the sha512 of their text, which itself is never stored.

use diesel::prelude::*;
use npm::Sha512Digest;

use crate::dialect;
use crate::schema::{tokens, users};
use crate::{AnyConnection, StoreError};

/// A token to be stored.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// SHA-512 of the token's text in hexadecimal.
    pub key: String,
    /// Whose it is.
    pub user: String,
    /// The few characters of it that may be shown.
    pub mark: String,
    /// May not write.
    pub readonly: bool,
    /// Made for machines.
    pub automation: bool,
    /// Addresses it may be used from; empty = any.
    pub cidr: Vec<String>,
    /// When it stops being valid.
    pub expires_at_ms: Option<i64>,
}

/// A stored token and its user's right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRow {
    /// SHA-512 of the token's text in hexadecimal.
    pub key: String,
    /// Whose it is.
    pub user: String,
    /// Whether the user is an admin.
    pub admin: bool,
    /// The few characters of it that may be shown.
    pub mark: String,
    /// May not write.
    pub readonly: bool,
    /// Made for machines.
    pub automation: bool,
    /// Addresses it may be used from; empty = any.
    pub cidr: Vec<String>,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it stops being valid; the caller compares.
    pub expires_at_ms: Option<i64>,
    /// When it was used last, as far as that was written down.
    pub last_used_at_ms: Option<i64>,
}

fn key_digest(hex: &str) -> Result<Sha512Digest, StoreError> {
    Sha512Digest::from_hex(hex).map_err(|error| StoreError::Invalid(format!("token key: {error}")))
}

/// Stores a token (a write).
///
/// # Errors
/// [`StoreError::Invalid`] for a key that is no sha512 in hexadecimal, or those of the database.
pub fn create(connection: &mut AnyConnection, token: &NewToken) -> Result<(), StoreError> {
    let key = key_digest(&token.key)?;
    let cidr = serde_json::to_string(&token.cidr)
        .map_err(|error| StoreError::Invalid(format!("address list of a token: {error}")))?;
    let now = dialect::now_ms(connection)?;
    diesel::insert_into(tokens::table)
        .values((
            tokens::key.eq(key.as_bytes().as_slice()),
            tokens::user_name.eq(&token.user),
            tokens::mark.eq(&token.mark),
            tokens::readonly.eq(token.readonly),
            tokens::automation.eq(token.automation),
            tokens::cidr.eq(cidr),
            tokens::created_at_ms.eq(now),
            tokens::expires_at_ms.eq(token.expires_at_ms),
        ))
        .execute(connection)?;
    Ok(())
}

type Raw = (Vec<u8>, String, bool, String, bool, bool, String, i64, Option<i64>, Option<i64>);

fn row(raw: Raw) -> Result<TokenRow, StoreError> {
    let (key, user, admin, mark, readonly, automation, cidr, created, expires, used) = raw;
    let cidr = serde_json::from_str(&cidr).map_err(|error| {
        StoreError::damaged(format!(
            "the address list {cidr:?} of a token is no JSON list: {error}"
        ))
    })?;
    Ok(TokenRow {
        key: hex::encode(key),
        user,
        admin,
        mark,
        readonly,
        automation,
        cidr,
        created_at_ms: created,
        expires_at_ms: expires,
        last_used_at_ms: used,
    })
}

/// The token with this key (SHA-512 in hexadecimal); expired ones too.
///
/// # Errors
/// [`StoreError::Invalid`] for a key that is no sha512 in hexadecimal, or those of the database.
pub fn find(connection: &mut AnyConnection, key: &str) -> Result<Option<TokenRow>, StoreError> {
    let key = key_digest(key)?;
    tokens::table
        .inner_join(users::table.on(tokens::user_name.eq(users::name)))
        .filter(tokens::key.eq(key.as_bytes().as_slice()))
        .select((
            tokens::key,
            tokens::user_name,
            users::admin,
            tokens::mark,
            tokens::readonly,
            tokens::automation,
            tokens::cidr,
            tokens::created_at_ms,
            tokens::expires_at_ms,
            tokens::last_used_at_ms,
        ))
        .get_result::<Raw>(connection)
        .optional()?
        .map(row)
        .transpose()
}

/// Removes a token; says whether there was one (a write).
///
/// # Errors
/// [`StoreError::Invalid`] for a key that is no sha512 in hexadecimal, or those of the database.
pub fn delete(connection: &mut AnyConnection, key: &str) -> Result<bool, StoreError> {
    let key = key_digest(key)?;
    let gone = diesel::delete(tokens::table.filter(tokens::key.eq(key.as_bytes().as_slice())));
    Ok(gone.execute(connection)? > 0)
}

/// Notes when a token was used (a write).
///
/// # Errors
/// [`StoreError::Invalid`] for a key that is no sha512 in hexadecimal, or those of the database.
pub fn touch(connection: &mut AnyConnection, key: &str, at_ms: i64) -> Result<(), StoreError> {
    let key = key_digest(key)?;
    diesel::update(tokens::table.filter(tokens::key.eq(key.as_bytes().as_slice())))
        .set(tokens::last_used_at_ms.eq(at_ms))
        .execute(connection)?;
    Ok(())
}
