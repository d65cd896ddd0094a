//! The `tokens` table: access tokens by the sha512 of their text, which itself is never stored.

use diesel::prelude::*;
use npm::Sha512Digest;
use serde::{Deserialize, Serialize};

use crate::dialect::{self, RowsStatement, Value};
use crate::schema::{tokens, users};
use crate::states::TokenKind;
use crate::{AnyConnection, StoreError};

/// A token to be stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewToken {
    /// SHA-512 of the token's text.
    pub key: Sha512Digest,
    /// Whose it is.
    pub user: String,
    /// The few characters of it that may be shown.
    pub mark: String,
    /// What it may do, and where from.
    pub limits: TokenLimits,
}

/// What a token may do; the default is everything that its user may.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TokenLimits {
    /// Where it came from.
    pub kind: TokenKind,
    /// A name, one of a kind among the tokens of its user.
    pub name: Option<String>,
    /// What it is for, in the user's words.
    pub description: Option<String>,
    /// May not write.
    pub readonly: bool,
    /// Made for machines.
    pub automation: bool,
    /// Addresses it may be used from; empty = any.
    pub cidr: Vec<String>,
    /// The packages it may change; with `scopes` empty, too = all.
    pub packages: Vec<String>,
    /// The scopes whose packages it may change, with their `@`.
    pub scopes: Vec<String>,
    /// When it stops being valid.
    pub expires_at_ms: Option<i64>,
}

/// A stored token and its user's right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRow {
    /// SHA-512 of the token's text.
    pub key: Sha512Digest,
    /// Whose it is.
    pub user: String,
    /// Whether the user is an admin.
    pub admin: bool,
    /// Whether nothing opens the account of its user.
    pub disabled: bool,
    /// The few characters of it that may be shown.
    pub mark: String,
    /// What it may do; expired ones are found, too.
    pub limits: TokenLimits,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it was used last, as far as that was written down.
    pub last_used_at_ms: Option<i64>,
}

/// Parameters of one statement.
const KEYS_AT_ONCE: usize = 500;

const CREATE: RowsStatement = RowsStatement {
    head: "INSERT INTO tokens (key, user_name, mark, readonly, automation, cidr, created_at_ms, \
           expires_at_ms, kind, name, description, packages, scopes) VALUES ",
    columns: 13,
    tail: " ON CONFLICT DO NOTHING",
};

fn json(list: &[String]) -> Result<String, StoreError> {
    serde_json::to_string(list)
        .map_err(|error| StoreError::Invalid(format!("a list of a token: {error}")))
}

/// Stores a token; `false` when its user has one of this name (a write).
///
/// # Errors
/// Those of the database.
pub fn create(connection: &mut AnyConnection, token: &NewToken) -> Result<bool, StoreError> {
    let limits = &token.limits;
    let (cidr, packages, scopes) =
        (json(&limits.cidr)?, json(&limits.packages)?, json(&limits.scopes)?);
    let values = [
        Value::Binary(token.key.as_bytes()),
        Value::Text(&token.user),
        Value::Text(&token.mark),
        Value::Bool(limits.readonly),
        Value::Bool(limits.automation),
        Value::Text(&cidr),
        Value::BigInt(dialect::now_ms(connection)?),
        Value::OptionalBigInt(limits.expires_at_ms),
        Value::Text(limits.kind.as_str()),
        Value::OptionalText(limits.name.as_deref()),
        Value::OptionalText(limits.description.as_deref()),
        Value::Text(&packages),
        Value::Text(&scopes),
    ];
    Ok(CREATE.execute(connection, &values)? > 0)
}

#[derive(Queryable)]
struct Raw {
    key: Vec<u8>,
    user: String,
    admin: bool,
    disabled: bool,
    mark: String,
    readonly: bool,
    automation: bool,
    cidr: String,
    created_at_ms: i64,
    expires_at_ms: Option<i64>,
    last_used_at_ms: Option<i64>,
    kind: String,
    name: Option<String>,
    description: Option<String>,
    packages: String,
    scopes: String,
}

fn list_of(column: &str, text: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        StoreError::damaged(format!("the {column} {text:?} of a token are no JSON list: {error}"))
    })
}

fn row(raw: Raw) -> Result<TokenRow, StoreError> {
    let key = Sha512Digest::from_slice(&raw.key)
        .ok_or_else(|| StoreError::damaged("the key of a token is no sha512"))?;
    Ok(TokenRow {
        key,
        user: raw.user,
        admin: raw.admin,
        disabled: raw.disabled,
        mark: raw.mark,
        limits: TokenLimits {
            kind: TokenKind::from_text(&raw.kind)?,
            name: raw.name,
            description: raw.description,
            readonly: raw.readonly,
            automation: raw.automation,
            cidr: list_of("addresses", &raw.cidr)?,
            packages: list_of("packages", &raw.packages)?,
            scopes: list_of("scopes", &raw.scopes)?,
            expires_at_ms: raw.expires_at_ms,
        },
        created_at_ms: raw.created_at_ms,
        last_used_at_ms: raw.last_used_at_ms,
    })
}

macro_rules! rows {
    () => {
        tokens::table.inner_join(users::table.on(tokens::user_name.eq(users::name))).select((
            tokens::key,
            tokens::user_name,
            users::admin,
            users::disabled,
            tokens::mark,
            tokens::readonly,
            tokens::automation,
            tokens::cidr,
            tokens::created_at_ms,
            tokens::expires_at_ms,
            tokens::last_used_at_ms,
            tokens::kind,
            tokens::name,
            tokens::description,
            tokens::packages,
            tokens::scopes,
        ))
    };
}

/// The token with this key; expired ones too.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    key: &Sha512Digest,
) -> Result<Option<TokenRow>, StoreError> {
    let found = rows!().filter(tokens::key.eq(key.as_bytes().as_slice()));
    found.get_result::<Raw>(connection).optional()?.map(row).transpose()
}

/// The tokens of a user, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_user(connection: &mut AnyConnection, user: &str) -> Result<Vec<TokenRow>, StoreError> {
    let found = rows!().filter(tokens::user_name.eq(user));
    let found = found.order((tokens::created_at_ms, tokens::key));
    found.load::<Raw>(connection)?.into_iter().map(row).collect()
}

/// Tokens of all users behind this key, in the order of their keys.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    after: Option<&Sha512Digest>,
    limit: i64,
) -> Result<Vec<TokenRow>, StoreError> {
    let after = after.map_or(&[][..], |key| key.as_bytes().as_slice());
    let found = rows!().filter(tokens::key.gt(after)).order(tokens::key).limit(limit);
    found.load::<Raw>(connection)?.into_iter().map(row).collect()
}

/// Removes a token; says whether there was one (a write).
///
/// # Errors
/// Those of the database.
pub fn delete(connection: &mut AnyConnection, key: &Sha512Digest) -> Result<bool, StoreError> {
    let gone = diesel::delete(tokens::table.filter(tokens::key.eq(key.as_bytes().as_slice())));
    Ok(gone.execute(connection)? > 0)
}

/// Removes all tokens of a user; how many (a write).
///
/// # Errors
/// Those of the database.
pub fn delete_of_user(connection: &mut AnyConnection, user: &str) -> Result<usize, StoreError> {
    Ok(diesel::delete(tokens::table.filter(tokens::user_name.eq(user))).execute(connection)?)
}

/// Notes when tokens were used; an older time than the noted one changes nothing (a write).
///
/// # Errors
/// Those of the database.
pub fn touch(
    connection: &mut AnyConnection,
    used: &[(Sha512Digest, i64)],
) -> Result<(), StoreError> {
    for (key, at_ms) in used {
        let older = tokens::last_used_at_ms.is_null().or(tokens::last_used_at_ms.lt(at_ms));
        let row = tokens::table.filter(tokens::key.eq(key.as_bytes().as_slice()));
        diesel::update(row.filter(older))
            .set(tokens::last_used_at_ms.eq(at_ms))
            .execute(connection)?;
    }
    Ok(())
}

/// Removes up to `limit` tokens that ended `past_ms` ago or earlier (a write); how many.
///
/// # Errors
/// Those of the database.
pub fn delete_ended(
    connection: &mut AnyConnection,
    past_ms: i64,
    limit: i64,
) -> Result<usize, StoreError> {
    let before = dialect::now_ms(connection)?.saturating_sub(past_ms);
    let ended: Vec<Vec<u8>> = tokens::table
        .filter(tokens::expires_at_ms.is_not_null())
        .filter(tokens::expires_at_ms.le(before))
        .order(tokens::expires_at_ms)
        .limit(limit)
        .select(tokens::key)
        .load(connection)?;
    for keys in ended.chunks(KEYS_AT_ONCE) {
        diesel::delete(tokens::table.filter(tokens::key.eq_any(keys))).execute(connection)?;
    }
    Ok(ended.len())
}
