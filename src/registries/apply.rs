//! A change in the tables, with its row of the audit log.

use actors::DEFAULT_REGISTRY;
use actors::clock::now_ms;
use serde_json::{Value, json};
use store::audit::{self, By};
use store::registries::{self, RegistryRow, SELF};
use store::scopes::{self, ScopeRow};
use store::{AnyConnection, StoreError, epochs, feeds, packages};

use super::shown::for_audit;
use super::{Change, Done, Refused, Rules, Traits};

type Applied = Result<Result<Done, Refused>, StoreError>;

/// Makes a checked change (a write); nothing is written when it is refused.
///
/// # Errors
/// Those of the database.
pub fn apply(rows: &mut AnyConnection, rules: &Rules, by: &By, change: &Change) -> Applied {
    let done = match change {
        Change::Add { name, host, traits } => add(rows, by, name, host, traits)?,
        Change::Set { name, host, traits } => set(rows, rules, by, name, host.as_deref(), traits)?,
        Change::Remove { name, with_scopes } => remove(rows, by, name, *with_scopes)?,
        Change::Bind { scope, registry, replace } => bind(rows, by, scope, registry, *replace)?,
        Change::Unbind { scope } => unbind(rows, by, scope)?,
        Change::Pause { name } => pause(rows, by, name)?,
        Change::Resume { name, since } => resume(rows, by, name, *since)?,
    };
    if done.is_ok() {
        epochs::raise(rows, epochs::Kind::Registries)?;
    }
    Ok(done)
}

/// The registry of this name or id; `default` also while it has no row.
///
/// # Errors
/// Those of the database.
pub fn resolve(rows: &mut AnyConnection, name: &str) -> Result<Option<RegistryRow>, StoreError> {
    let found = registries::find_by_name_or_id(rows, name)?;
    let default = || RegistryRow::new(DEFAULT_REGISTRY, "", "", now_ms());
    Ok(found.or_else(|| (name == DEFAULT_REGISTRY).then(default)))
}

fn add(rows: &mut AnyConnection, by: &By, name: &str, host: &str, traits: &Traits) -> Applied {
    if name == DEFAULT_REGISTRY || registries::find_by_name_or_id(rows, name)?.is_some() {
        return Ok(Err(Refused::Exists(format!("registry {name}"))));
    }
    let row = RegistryRow::new(name, "", &by.origin, now_ms());
    let row = changed(row, by, Some(host), traits);
    registries::upsert(rows, &row)?;
    audit::record(rows, by, "registry.add", name, None, Some(&for_audit(&row)))?;
    Ok(Ok(Done::Registry(row)))
}

fn set(
    rows: &mut AnyConnection,
    rules: &Rules,
    by: &By,
    name: &str,
    host: Option<&str>,
    traits: &Traits,
) -> Applied {
    let Some(before) = resolve(rows, name)? else {
        return Ok(Err(Refused::NoRegistry(name.to_owned())));
    };
    // found by its id, the name decides about the rules
    let again = Change::Set {
        name: before.name.clone(),
        host: host.map(str::to_owned),
        traits: traits.clone(),
    };
    if let Err(refused) = again.check(rules) {
        return Ok(Err(refused));
    }
    let row = changed(before.clone(), by, host, traits);
    if row.host.is_empty() {
        let text = format!("registry {} has no address yet: give it one", row.name);
        return Ok(Err(Refused::Invalid(text)));
    }
    registries::upsert(rows, &row)?;
    let (old, new) = (for_audit(&before), for_audit(&row));
    audit::record(rows, by, "registry.change", &row.name, Some(&old), Some(&new))?;
    Ok(Ok(Done::Registry(row)))
}

/// The row with what the change names.
fn changed(mut row: RegistryRow, by: &By, host: Option<&str>, traits: &Traits) -> RegistryRow {
    let now_ms = now_ms();
    row.updated_at_ms = now_ms;
    if let Some(host) = host {
        // written as the address it is read as
        row.host = url::Url::parse(host).map_or_else(|_| host.to_owned(), String::from);
        row.source = format!("{} ({})", by.who, by.origin);
        row.stored_at_ms = now_ms;
    }
    if let Some(kind) = &traits.kind {
        row.kind = if kind == "cnpm" { "cnpmcore".to_owned() } else { kind.clone() };
    }
    if let Some(token) = &traits.token {
        row.token = Some(token.clone()).filter(|token| !token.is_empty());
        row.stored_at_ms = now_ms;
    }
    if let Some(rate) = traits.rate {
        row.rate = i64::from(rate);
    }
    if let Some(feed) = &traits.feed {
        row.change_stream.clone_from(feed);
    }
    if let Some(prefix) = &traits.user_prefix {
        row.user_prefix.clone_from(prefix);
    }
    row
}

fn remove(rows: &mut AnyConnection, by: &By, name: &str, with_scopes: bool) -> Applied {
    let Some(row) = registries::find_by_name_or_id(rows, name)? else {
        return Ok(Err(Refused::NoRegistry(name.to_owned())));
    };
    let bound = scopes::of_registry(rows, &row.name)?;
    let packages = packages::count_of(rows, &row.name)?;
    if packages > 0 || !(bound.is_empty() || with_scopes) {
        let scopes = bound.into_iter().map(|row| row.scope).collect();
        return Ok(Err(Refused::InUse { name: row.name, packages, scopes }));
    }
    for scope in bound {
        unbind_row(rows, by, &scope)?;
    }
    registries::delete(rows, &row.name)?;
    audit::record(rows, by, "registry.remove", &row.name, Some(&for_audit(&row)), None)?;
    Ok(Ok(Done::Gone))
}

fn bind(rows: &mut AnyConnection, by: &By, scope: &str, registry: &str, replace: bool) -> Applied {
    let registry = match registry {
        SELF => SELF.to_owned(),
        name => match resolve(rows, name)? {
            Some(row) => row.name,
            None => return Ok(Err(Refused::NoRegistry(name.to_owned()))),
        },
    };
    let before = scopes::find(rows, scope)?;
    if before.is_some() && !replace {
        return Ok(Err(Refused::Exists(format!("scope {scope}"))));
    }
    let row = ScopeRow::new(scope, &registry, now_ms());
    scopes::upsert(rows, &row)?;
    let (old, new) = (before.as_ref().map(bound_to), bound_to(&row));
    audit::record(rows, by, "scope.add", scope, old.as_ref(), Some(&new))?;
    Ok(Ok(Done::Scope(before.map_or(row.clone(), |before| ScopeRow { id: before.id, ..row }))))
}

fn bound_to(row: &ScopeRow) -> Value {
    json!({ "registry": row.registry })
}

fn unbind(rows: &mut AnyConnection, by: &By, scope: &str) -> Applied {
    let Some(row) = scopes::find_by_name_or_id(rows, scope)? else {
        return Ok(Err(Refused::NoScope(scope.to_owned())));
    };
    unbind_row(rows, by, &row)?;
    Ok(Ok(Done::Gone))
}

fn unbind_row(rows: &mut AnyConnection, by: &By, row: &ScopeRow) -> Result<(), StoreError> {
    scopes::delete(rows, &row.scope)?;
    audit::record(rows, by, "scope.remove", &row.scope, Some(&bound_to(row)), None)
}

fn pause(rows: &mut AnyConnection, by: &By, name: &str) -> Applied {
    let Some(row) = resolve(rows, name)? else {
        return Ok(Err(Refused::NoRegistry(name.to_owned())));
    };
    let before = feed(rows, &row.name)?;
    feeds::pause(rows, &row.name, &by.who)?;
    let after = feed(rows, &row.name)?;
    audit::record(rows, by, "registry.pause", &row.name, Some(&before), Some(&after))?;
    Ok(Ok(Done::Registry(row)))
}

fn resume(rows: &mut AnyConnection, by: &By, name: &str, since: Option<i64>) -> Applied {
    let Some(row) = resolve(rows, name)? else {
        return Ok(Err(Refused::NoRegistry(name.to_owned())));
    };
    let before = feed(rows, &row.name)?;
    if let Some(seq) = since
        && !feeds::move_to(rows, &row.name, seq)?
    {
        let text = format!("the feed of registry {} was never read: it has no place yet", row.name);
        return Ok(Err(Refused::NotNow(text)));
    }
    feeds::resume(rows, &row.name)?;
    let after = feed(rows, &row.name)?;
    audit::record(rows, by, "registry.resume", &row.name, Some(&before), Some(&after))?;
    Ok(Ok(Done::Registry(row)))
}

/// How a feed is followed, for the audit log.
fn feed(rows: &mut AnyConnection, registry: &str) -> Result<Value, StoreError> {
    let feed = feeds::find(rows, registry)?;
    let paused = feed.as_ref().and_then(|feed| feed.paused_by.as_deref());
    Ok(json!({ "pausedBy": paused, "seq": feed.as_ref().and_then(|feed| feed.seq) }))
}
