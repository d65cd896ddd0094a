//! Users and tokens as npm's own registry answers them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use store::TokenKind;
use store::tokens::TokenRow;
use store::users::UserRow;

/// What a login name is in CouchDB, where these routes come from.
pub const USER_PREFIX: &str = "org.couchdb.user:";

/// ISO-8601 in UTC with milliseconds.
#[must_use]
pub fn iso(at_ms: i64) -> String {
    let since = Duration::from_millis(at_ms.max(0).unsigned_abs());
    // beyond the year 9999, which only a damaged row holds, there is no such text
    let at = UNIX_EPOCH.checked_add(since).unwrap_or_else(SystemTime::now);
    humantime::format_rfc3339_millis(at).to_string()
}

/// Answer of a login.
#[derive(Debug, Serialize)]
pub struct LoggedIn<'a> {
    ok: bool,
    id: String,
    rev: String,
    token: &'a str,
}

impl<'a> LoggedIn<'a> {
    /// Of this user with a new token.
    #[must_use]
    pub fn new(user: &UserRow, token: &'a str) -> Self {
        Self { ok: true, id: format!("{USER_PREFIX}{}", user.name), rev: rev(user), token }
    }
}

/// A revision that changes with the user: clients send it back and compare nothing.
fn rev(user: &UserRow) -> String {
    let hash = blake3::hash(format!("{}\0{}", user.name, user.updated_at_ms).as_bytes());
    let hex = hash.to_hex();
    format!("1-{}", hex.get(..32).unwrap_or_default())
}

/// A user for everybody; the address only for those who are logged in.
#[derive(Debug, Serialize)]
pub struct PublicUser<'a> {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_rev")]
    rev: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
}

impl<'a> PublicUser<'a> {
    /// Of this user.
    #[must_use]
    pub fn new(user: &'a UserRow, with_email: bool) -> Self {
        Self {
            id: format!("{USER_PREFIX}{}", user.name),
            rev: rev(user),
            name: &user.name,
            email: user.email.as_deref().filter(|_| with_email),
        }
    }
}

/// A user for himself: `npm profile get`.
#[derive(Debug, Serialize)]
pub struct Profile<'a> {
    name: &'a str,
    email: &'a str,
    email_verified: bool,
    tfa: bool,
    created: String,
    updated: String,
}

impl<'a> Profile<'a> {
    /// Of this user.
    #[must_use]
    pub fn new(user: &'a UserRow) -> Self {
        Self {
            name: &user.name,
            email: user.email.as_deref().unwrap_or_default(),
            email_verified: false,
            tfa: false,
            created: iso(user.created_at_ms),
            updated: iso(user.updated_at_ms),
        }
    }
}

/// A token. Its text is there in the answer that makes it, else its mark.
#[derive(Debug, Serialize)]
pub struct TokenAnswer<'a> {
    token: &'a str,
    key: String,
    cidr_whitelist: Option<&'a [String]>,
    readonly: bool,
    automation: bool,
    created: String,
    updated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(rename = "allowedPackages", skip_serializing_if = "Option::is_none")]
    packages: Option<&'a [String]>,
    #[serde(rename = "allowedScopes", skip_serializing_if = "Option::is_none")]
    scopes: Option<&'a [String]>,
    /// What npm 11 prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(rename = "expiredAt", skip_serializing_if = "Option::is_none")]
    expired_at: Option<String>,
    #[serde(rename = "lastUsedAt", skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Option<String>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

impl<'a> TokenAnswer<'a> {
    /// A new token with its text, or one of a list without.
    #[must_use]
    pub fn new(row: &'a TokenRow, text: Option<&'a str>) -> Self {
        let limits = &row.limits;
        let granular = limits.kind == TokenKind::Granular;
        let for_packages = granular || !limits.packages.is_empty() || !limits.scopes.is_empty();
        let expires = limits.expires_at_ms.map(iso);
        Self {
            token: text.unwrap_or(&row.mark),
            key: row.key.to_hex(),
            cidr_whitelist: Some(limits.cidr.as_slice()).filter(|list| !list.is_empty()),
            readonly: limits.readonly,
            automation: limits.automation,
            created: iso(row.created_at_ms),
            updated: iso(row.created_at_ms),
            name: limits.name.as_deref(),
            description: limits.description.as_deref(),
            packages: for_packages.then_some(limits.packages.as_slice()),
            scopes: for_packages.then_some(limits.scopes.as_slice()),
            expired_at: expires.clone(),
            expires,
            last_used_at: text.is_none().then(|| row.last_used_at_ms.map(iso)),
            kind: (granular && text.is_none()).then_some(limits.kind.as_str()),
        }
    }
}

/// The tokens of a user; all of them are on the one page.
#[derive(Debug, Serialize)]
pub struct TokenList<'a> {
    objects: Vec<TokenAnswer<'a>>,
    total: usize,
    urls: NoPages,
}

/// Other pages: there are none.
#[derive(Debug, Serialize)]
struct NoPages {}

impl<'a> TokenList<'a> {
    /// Of these tokens.
    #[must_use]
    pub fn new(rows: &'a [TokenRow]) -> Self {
        let objects: Vec<_> = rows.iter().map(|row| TokenAnswer::new(row, None)).collect();
        Self { total: objects.len(), objects, urls: NoPages {} }
    }
}

/// Who a token belongs to; for a granular one also what it is.
#[derive(Debug, Serialize)]
pub struct WhoAmI<'a> {
    username: &'a str,
    #[serde(flatten)]
    token: Option<TokenAnswer<'a>>,
}

impl<'a> WhoAmI<'a> {
    /// The user of this token.
    #[must_use]
    pub fn new(row: &'a TokenRow) -> Self {
        let granular = row.limits.kind == TokenKind::Granular;
        Self { username: &row.user, token: granular.then(|| TokenAnswer::new(row, None)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_iso_with_milliseconds() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_704_110_400_123), "2024-01-01T12:00:00.123Z");
        assert_eq!(iso(-5), "1970-01-01T00:00:00.000Z");
    }
}
