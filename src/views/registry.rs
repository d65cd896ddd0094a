//! Registries, scopes and rows of the audit log on the wire.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::audit::AuditRow;
use store::feeds::FeedRow;
use store::registries::RegistryRow;
use store::scopes::ScopeRow;

use super::account::iso;
use crate::config::without_credentials;

/// A page of a list, and how many rows there are in all.
#[derive(Serialize)]
pub struct Page<T> {
    /// The rows of this page.
    pub data: Vec<T>,
    /// All rows.
    pub total: usize,
    /// The same under the name that the reference gives it.
    pub count: usize,
}

/// An upstream registry; its token is not among what is told of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    registry_id: String,
    name: String,
    host: String,
    r#type: String,
    user_prefix: String,
    /// Address of its changes feed, empty while none is known.
    change_stream: String,
    /// `auto`, `off`, or that address.
    feed: String,
    rate: i64,
    has_auth_token: bool,
    /// Who paused its feed.
    paused_by: Option<String>,
    paused_at: Option<String>,
    created_at: String,
    updated_at: String,
    /// Kept for those who look for it: an answer of the registry itself.
    response: Option<Value>,
}

impl Registry {
    /// A registry of the table; `feed` is how far its feed was read.
    #[must_use]
    pub fn new(row: RegistryRow, feed: Option<FeedRow>) -> Self {
        let named = row.change_stream.contains("://").then(|| row.change_stream.clone());
        let found =
            feed.as_ref().map(|feed| feed.url.clone()).filter(|_| row.change_stream != "off");
        let paused = feed.filter(|feed| feed.paused_by.is_some());
        Self {
            registry_id: row.id,
            name: row.name,
            host: without_credentials(&row.host),
            r#type: row.kind,
            user_prefix: row.user_prefix,
            change_stream: without_credentials(&named.or(found).unwrap_or_default()),
            feed: without_credentials(&row.change_stream),
            rate: row.rate,
            has_auth_token: row.token.is_some(),
            paused_at: paused.as_ref().and_then(|feed| feed.paused_at_ms).map(iso),
            paused_by: paused.and_then(|feed| feed.paused_by),
            created_at: iso(row.created_at_ms),
            updated_at: iso(row.updated_at_ms),
            response: None,
        }
    }
}

/// A registry that was just made, with `ok`.
#[derive(Serialize)]
pub struct Made<T> {
    /// Always true.
    pub ok: bool,
    /// What was made.
    #[serde(flatten)]
    pub row: T,
}

/// A scope and the registry it belongs to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    id: String,
    scope_id: String,
    name: String,
    registry_id: String,
    created_at: String,
    updated_at: String,
}

impl Scope {
    /// A scope of the table; `registry_id` is the id of its registry.
    #[must_use]
    pub fn new(row: ScopeRow, registry_id: String) -> Self {
        Self {
            scope_id: row.id.clone(),
            id: row.id,
            name: row.scope,
            registry_id,
            created_at: iso(row.created_at_ms),
            updated_at: iso(row.created_at_ms),
        }
    }
}

/// A change that somebody made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    /// UUIDv7.
    pub id: String,
    /// When.
    pub at: String,
    /// Login name, or that of the person at the terminal.
    pub who: String,
    /// Address, or `terminal`.
    pub from: String,
    /// Noun and verb.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it became.
    pub after: Option<Value>,
}

impl From<AuditRow> for Audited {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            at: iso(row.at_ms),
            who: row.by.who,
            from: row.by.origin,
            action: row.action,
            subject: row.subject,
            before: row.before,
            after: row.after,
        }
    }
}

/// A page of the audit log; `next` is the `before` of the page behind it.
#[derive(Serialize)]
pub struct AuditPage {
    /// Newest first.
    pub data: Vec<Audited>,
    /// `None` on the last page.
    pub next: Option<String>,
}
