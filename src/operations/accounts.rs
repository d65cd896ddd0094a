//! Users, tokens and sign-in links.

use npm::Sha512Digest;
use serde::{Deserialize, Serialize};
use store::tokens::{self, NewToken, TokenLimits, TokenRow};
use store::users::{self, NewUser, PasswordHash, UserChange, UserRow};
use store::{AnyConnection, StoreError};

use super::{News, Operation, Surroundings};
use crate::accounts::changes;
use crate::registries::Refused;

type Performed<T> = Result<Result<T, Refused>, StoreError>;

/// Tokens read at once.
const PAGE: i64 = 1_000;

/// A user without anything that opens the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownUser {
    /// The login name.
    pub name: String,
    /// Everything is allowed, by the row or by the settings.
    pub admin: bool,
    /// Nothing opens the account.
    pub disabled: bool,
    /// E-mail address.
    pub email: Option<String>,
    /// Whether a password was chosen.
    pub has_password: bool,
    /// When the account was made.
    pub created_at_ms: i64,
}

impl ShownUser {
    fn new(row: UserRow, with: &Surroundings) -> Self {
        Self {
            admin: row.admin || with.admins.contains(&row.name),
            name: row.name,
            disabled: row.disabled,
            email: row.email,
            has_password: row.password.is_some(),
            created_at_ms: row.created_at_ms,
        }
    }
}

/// A token without its text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownToken {
    /// The few characters of it that may be shown.
    pub token: String,
    /// What it is found by.
    pub key: String,
    /// Whose it is.
    pub user: String,
    /// When it was made.
    pub created_at_ms: i64,
    /// When it was used last.
    pub last_used_at_ms: Option<i64>,
    /// What it may do.
    pub limits: TokenLimits,
}

impl From<TokenRow> for ShownToken {
    fn from(row: TokenRow) -> Self {
        Self {
            token: row.mark,
            key: row.key.to_hex(),
            user: row.user,
            created_at_ms: row.created_at_ms,
            last_used_at_ms: row.last_used_at_ms,
            limits: row.limits,
        }
    }
}

/// A page of users, by name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListUsers {
    /// Only those behind this name.
    pub after: String,
    /// At most so many.
    pub limit: i64,
}

impl Operation for ListUsers {
    type Answer = Vec<ShownUser>;
    const PATH: &'static str = "users/list";
    const READS: bool = true;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        let found = users::list(rows, &self.after, self.limit.clamp(1, PAGE))?;
        Ok(Ok(found.into_iter().map(|row| ShownUser::new(row, with)).collect()))
    }
}

/// One user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindUser {
    /// The login name.
    pub name: String,
}

impl Operation for FindUser {
    type Answer = Option<ShownUser>;
    const PATH: &'static str = "users/find";
    const READS: bool = true;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        Ok(Ok(users::find(rows, &self.name)?.map(|row| ShownUser::new(row, with))))
    }
}

/// A new user; answers `None` when there is one of this name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// The login name.
    pub name: String,
    /// Everything is allowed.
    pub admin: bool,
    /// E-mail address.
    pub email: Option<String>,
    /// The hash of a password.
    pub password_hash: Option<String>,
}

impl Operation for AddUser {
    type Answer = Option<ShownUser>;
    const PATH: &'static str = "users/add";
    const NEWS: News = News::Accounts;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        if let Err(rule) = crate::accounts::names::check_name(&self.name) {
            return Ok(Err(Refused::Invalid(format!("name: {rule}"))));
        }
        let password = self.password_hash.map(PasswordHash);
        let new = NewUser { name: self.name, admin: self.admin, email: self.email, password };
        let made = changes::add_user(rows, &new, &with.by)?;
        Ok(Ok(made.map(|row| ShownUser::new(row, with))))
    }
}

/// Something else about a user; answers `None` when there is none of this name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeUser {
    /// The login name.
    pub name: String,
    /// The right to everything.
    pub admin: Option<bool>,
    /// Locks the account, or opens it again.
    pub disabled: Option<bool>,
    /// The hash of a new password.
    pub password_hash: Option<String>,
    /// All tokens end.
    pub end_tokens: bool,
}

impl Operation for ChangeUser {
    type Answer = Option<ShownUser>;
    const PATH: &'static str = "users/change";
    const NEWS: News = News::Accounts;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        let changes_row =
            self.admin.is_some() || self.disabled.is_some() || self.password_hash.is_some();
        let change = UserChange {
            admin: self.admin,
            disabled: self.disabled,
            email: None,
            password: self.password_hash.map(PasswordHash),
        };
        let found = match changes_row {
            true => changes::change_user(rows, &self.name, &change, &with.by)?,
            false => users::find(rows, &self.name)?,
        };
        if found.is_some() && self.end_tokens {
            for token in tokens::of_user(rows, &self.name)? {
                changes::remove_token(rows, &token.key, &with.by)?;
            }
        }
        Ok(Ok(found.map(|row| ShownUser::new(row, with))))
    }
}

/// A link that opens an account once; answers whether there is such a user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddLink {
    /// The login name.
    pub user: String,
    /// What the link is found by.
    pub key: String,
}

impl Operation for AddLink {
    type Answer = bool;
    const PATH: &'static str = "users/link";
    const NEWS: News = News::Accounts;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        let Ok(key) = Sha512Digest::from_hex(&self.key) else { return Ok(Err(no_key())) };
        Ok(Ok(changes::add_link(rows, &key, &self.user, &with.by)?))
    }
}

/// All tokens, or those of a user; oldest first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTokens {
    /// The login name.
    pub user: Option<String>,
}

impl Operation for ListTokens {
    type Answer = Vec<ShownToken>;
    const PATH: &'static str = "tokens/list";
    const READS: bool = true;

    fn perform(self, rows: &mut AnyConnection, _: &Surroundings) -> Performed<Self::Answer> {
        let mut found = match &self.user {
            Some(user) => tokens::of_user(rows, user)?,
            None => all_tokens(rows)?,
        };
        found.sort_by_key(|row| (row.created_at_ms, row.key));
        Ok(Ok(found.into_iter().map(ShownToken::from).collect()))
    }
}

fn all_tokens(rows: &mut AnyConnection) -> Result<Vec<TokenRow>, StoreError> {
    let mut found: Vec<TokenRow> = Vec::new();
    loop {
        let after = found.last().map(|row| row.key);
        let page = tokens::list(rows, after.as_ref(), PAGE)?;
        let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE);
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

/// A new token, whose text stays with whoever made it; answers `None` when its user has one of
/// this name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddToken {
    /// Whose it is.
    pub user: String,
    /// What it is found by.
    pub key: String,
    /// The few characters of it that may be shown.
    pub mark: String,
    /// What it may do.
    pub limits: TokenLimits,
}

impl Operation for AddToken {
    type Answer = Option<ShownToken>;
    const PATH: &'static str = "tokens/add";
    const NEWS: News = News::Accounts;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        let Ok(key) = Sha512Digest::from_hex(&self.key) else { return Ok(Err(no_key())) };
        if users::find(rows, &self.user)?.is_none() {
            return Ok(Err(Refused::Invalid(format!("user: there is no user {}", self.user))));
        }
        let new = NewToken { key, user: self.user, mark: self.mark, limits: self.limits };
        Ok(Ok(changes::add_token(rows, &new, &with.by)?.map(ShownToken::from)))
    }
}

/// The end of a token; answers which it was.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveToken {
    /// What it is found by.
    pub key: String,
}

impl Operation for RemoveToken {
    type Answer = Option<ShownToken>;
    const PATH: &'static str = "tokens/remove";
    const NEWS: News = News::Accounts;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        let Ok(key) = Sha512Digest::from_hex(&self.key) else { return Ok(Err(no_key())) };
        let row = tokens::find(rows, &key)?;
        changes::remove_token(rows, &key, &with.by)?;
        Ok(Ok(row.map(ShownToken::from)))
    }
}

fn no_key() -> Refused {
    Refused::Invalid("key: must be the SHA-512 of a secret, in hex".to_owned())
}

/// The bootstrap admin's token anew; its file is the caller's business, and the one before ends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewAdminToken {
    /// What it is found by.
    pub key: String,
    /// The few characters of it that may be shown.
    pub mark: String,
}

impl Operation for RenewAdminToken {
    type Answer = ();
    const PATH: &'static str = "tokens/renew";
    const NEWS: News = News::Accounts;

    fn perform(self, rows: &mut AnyConnection, _: &Surroundings) -> Performed<Self::Answer> {
        let Ok(key) = Sha512Digest::from_hex(&self.key) else { return Ok(Err(no_key())) };
        Ok(Ok(crate::admin_token::store(rows, key, &self.mark)?))
    }
}
