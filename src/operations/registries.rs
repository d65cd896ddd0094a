//! Registries and scopes.

use serde::{Deserialize, Serialize};
use store::registries::{self, DEFAULT, RegistryRow};
use store::scopes::{self, ScopeRow};
use store::{AnyConnection, StoreError, feeds};

use super::{News, Operation, Surroundings};
use crate::config::without_credentials;
use crate::registries::{Change, Done, Refused, apply};

type Performed<T> = Result<Result<T, Refused>, StoreError>;

/// A registry without its token.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownRegistry {
    /// Its id.
    pub id: String,
    /// Its name here.
    pub name: String,
    /// What it speaks.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its address.
    pub host: String,
    /// How the address came here.
    pub source: String,
    /// What is put in front of the names of its users.
    pub user_prefix: String,
    /// `auto`, `off`, or the address of its changes feed.
    pub change_stream: String,
    /// Whether it is asked with a token.
    pub has_auth_token: bool,
    /// Requests per second, 0 = no limit.
    pub rate: i64,
    /// When it was added.
    pub created_at_ms: i64,
    /// When it was changed last.
    pub updated_at_ms: i64,
    /// Who paused its feed.
    pub paused_by: Option<String>,
    /// When.
    pub paused_at_ms: Option<i64>,
}

impl ShownRegistry {
    fn new(row: RegistryRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            host: without_credentials(&row.host),
            source: row.source,
            user_prefix: row.user_prefix,
            change_stream: row.change_stream,
            has_auth_token: row.token.is_some(),
            rate: row.rate,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
            paused_by: None,
            paused_at_ms: None,
        }
    }
}

/// A scope and the registry it belongs to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShownScope {
    /// With its `@`.
    pub scope: String,
    /// Name of the registry.
    pub registry: String,
}

impl From<ScopeRow> for ShownScope {
    fn from(row: ScopeRow) -> Self {
        Self { scope: row.scope, registry: row.registry }
    }
}

/// All registries and scopes.
#[derive(Debug, Serialize, Deserialize)]
pub struct AllRegistries {
    /// The registries; `default` is there also when nothing is known of it but its name.
    pub registries: Vec<ShownRegistry>,
    /// Scopes that are bound.
    pub scopes: Vec<ShownScope>,
}

/// Asks for all.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRegistries {}

impl Operation for ListRegistries {
    type Answer = AllRegistries;
    const PATH: &'static str = "registries/list";
    const READS: bool = true;

    fn perform(self, rows: &mut AnyConnection, _: &Surroundings) -> Performed<Self::Answer> {
        let mut found = registries::list(rows)?;
        if !found.iter().any(|row| row.name == DEFAULT) {
            found.insert(0, RegistryRow::new(DEFAULT, "", "", 0));
        }
        let feeds = feeds::list(rows)?;
        let registries = found.into_iter().map(|row| {
            let feed = feeds.iter().find(|feed| feed.registry == row.name);
            let mut shown = ShownRegistry::new(row);
            shown.paused_by = feed.and_then(|feed| feed.paused_by.clone());
            shown.paused_at_ms = feed.and_then(|feed| feed.paused_at_ms);
            shown
        });
        let registries = registries.collect();
        let scopes = scopes::list(rows)?.into_iter().map(ShownScope::from).collect();
        Ok(Ok(AllRegistries { registries, scopes }))
    }
}

/// A change of registries or scopes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRegistries {
    /// What is to be changed.
    pub change: Change,
}

/// What is as it should be afterwards.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    /// This registry.
    pub registry: Option<ShownRegistry>,
    /// This scope.
    pub scope: Option<ShownScope>,
}

impl Operation for ChangeRegistries {
    type Answer = Changed;
    const PATH: &'static str = "registries/change";
    const NEWS: News = News::Registries;

    fn perform(self, rows: &mut AnyConnection, with: &Surroundings) -> Performed<Self::Answer> {
        if let Err(refused) = self.change.check(&with.rules) {
            return Ok(Err(refused));
        }
        let done = apply(rows, &with.rules, &with.by, &self.change)?;
        Ok(done.map(|done| match done {
            Done::Registry(row) => Changed { registry: Some(ShownRegistry::new(row)), scope: None },
            Done::Scope(row) => Changed { registry: None, scope: Some(row.into()) },
            Done::Gone => Changed { registry: None, scope: None },
        }))
    }
}
