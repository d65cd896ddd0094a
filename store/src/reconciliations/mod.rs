//! The `reconciliations` table: how far the list of all names of an upstream was compared with
//! what is here.
//!
//! A page of the list and the place behind it are one transaction, and a page is written only from
//! the place it was read at: a crash repeats a page, and of two nodes one writes it. Nothing that is
//! here is dropped: a name that the list lacks is asked for by a task of its own, and what its
//! upstream answers then decides.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::Text;
use npm::PackageName;

use crate::dialect::{self, RowsStatement, Value};
use crate::ownership::Ownership;
use crate::packages::package_name;
use crate::schema::{packages, reconciliations};
use crate::tasks::{self, NewTask, PRIORITY_SWEEP, TaskOptions};
use crate::{AnyConnection, Keeping, StoreError, TaskId, alarms, missing_names};

/// So many names that a page lacks are believed in any case; above, not more than the page has.
/// A list that lost a part of itself must not make a mirror ask for everything it holds.
const FEW_ABSENT: usize = 100;

/// How far the list of one registry was compared.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct ReconciliationRow {
    /// Name of the registry.
    pub registry: String,
    /// Address of the list.
    pub url: String,
    /// Epoch of the feed when the round began.
    pub epoch: i64,
    /// The last name compared, empty at the start; `None` when no round is under way.
    pub after_name: Option<String>,
    /// When the newest round began.
    pub began_at_ms: i64,
    /// When a round ended last.
    pub ended_at_ms: Option<i64>,
    /// Names of the list in the newest round, so far.
    pub names: i64,
    /// Of those wanted and not here.
    pub missing: i64,
    /// Names here that the list does not have.
    pub absent: i64,
}

/// A page of an upstream's list, and the place it was asked from.
#[derive(Clone, Debug)]
pub struct NamesTaken {
    /// Name of the registry.
    pub registry: String,
    /// Name the page follows on.
    pub after: String,
    /// The names behind it, as they came; also those that are no package names.
    pub names: Vec<String>,
    /// Nothing follows this page.
    pub is_last: bool,
    /// Whether names that are not here are wanted.
    pub wants_missing: bool,
    /// Who is asked for which name.
    pub ownership: Arc<Ownership>,
}

/// What became of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compared {
    /// It is written.
    Written {
        /// Names not here and wanted.
        missing: usize,
        /// Names here and not on it, which are asked for now.
        absent: usize,
    },
    /// Somebody else compared it: nothing was written.
    Moved,
}

const HERE: RowsStatement =
    RowsStatement { head: "SELECT name FROM packages WHERE name IN (", columns: 1, tail: ")" };

const BEGIN: RowsStatement = RowsStatement {
    head: "INSERT INTO reconciliations (registry, url, epoch, after_name, began_at_ms, names, \
           missing, absent) VALUES ",
    columns: 8,
    tail: " ON CONFLICT (registry) DO UPDATE SET url = excluded.url, epoch = excluded.epoch, \
           after_name = excluded.after_name, began_at_ms = excluded.began_at_ms, \
           names = 0, missing = 0, absent = 0",
};

/// How far the list of a registry was compared; `None` before the first round.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    registry: &str,
) -> Result<Option<ReconciliationRow>, StoreError> {
    Ok(reconciliations::table.find(registry).first(connection).optional()?)
}

/// Begins a round at the start of the list (a write).
///
/// # Errors
/// Those of the database.
pub fn begin(
    connection: &mut AnyConnection,
    registry: &str,
    url: &str,
    epoch: i64,
) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    let zero = Value::BigInt(0);
    let (registry, url) = (Value::Text(registry), Value::Text(url));
    let (epoch, now) = (Value::BigInt(epoch), Value::BigInt(now));
    BEGIN.execute(connection, &[registry, url, epoch, Value::Text(""), now, zero, zero, zero])?;
    Ok(())
}

/// Ends a round that cannot be finished (a write): the next one is due after the usual time.
///
/// # Errors
/// Those of the database.
pub fn give_up(connection: &mut AnyConnection, registry: &str) -> Result<(), StoreError> {
    let now = dialect::now_ms(connection)?;
    let ended = reconciliations::ended_at_ms.eq(now);
    diesel::update(reconciliations::table.find(registry))
        .set((reconciliations::after_name.eq(None::<String>), ended))
        .execute(connection)?;
    Ok(())
}

/// Compares a page with what is here and moves the place behind it (a write).
///
/// # Errors
/// Those of the database; [`StoreError::Invalid`] for a list that is not in byte order, which
/// cannot be compared.
pub fn take_names(
    connection: &mut AnyConnection,
    page: &NamesTaken,
) -> Result<Compared, StoreError> {
    let place = reconciliations::table
        .find(&page.registry)
        .filter(reconciliations::after_name.eq(&page.after));
    let end = page.names.last().filter(|_| !page.is_last);
    if diesel::update(place).set(reconciliations::after_name.eq(end)).execute(connection)? == 0 {
        return Ok(Compared::Moved);
    }
    check_order(page)?;
    let now = dialect::now_ms(connection)?;
    let missing = note_missing(connection, page, now)?;
    let absent = ask_for_absent(connection, page, now)?;
    let row = reconciliations::table.find(&page.registry);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    diesel::update(row)
        .set((
            reconciliations::names.eq(reconciliations::names + count(page.names.len())),
            reconciliations::missing.eq(reconciliations::missing + count(missing)),
            reconciliations::absent.eq(reconciliations::absent + count(absent)),
        ))
        .execute(connection)?;
    if page.is_last {
        diesel::update(row).set(reconciliations::ended_at_ms.eq(now)).execute(connection)?;
        let began: i64 = row.select(reconciliations::began_at_ms).first(connection)?;
        missing_names::forget_unseen(connection, &page.registry, began)?;
    }
    Ok(Compared::Written { missing, absent })
}

/// CouchDB and npm's feed list names in byte order, which is what makes a gap in a page mean
/// something.
fn check_order(page: &NamesTaken) -> Result<(), StoreError> {
    let before = std::iter::once(&page.after).chain(&page.names);
    match before.zip(&page.names).find(|(before, name)| before >= name) {
        None => Ok(()),
        Some((before, name)) => Err(StoreError::Invalid(format!(
            "the list of names has {name:?} behind {before:?}; it is compared in byte order only"
        ))),
    }
}

/// Names of the page that this registry is asked for and that are nobody's here.
fn note_missing(
    connection: &mut AnyConnection,
    page: &NamesTaken,
    now: i64,
) -> Result<usize, StoreError> {
    if !page.wants_missing {
        return Ok(0);
    }
    let is_ours = |name: &PackageName| page.ownership.is_asked(&page.registry, name, None);
    let names: Vec<&str> = page
        .names
        .iter()
        .map(String::as_str)
        .filter(|name| PackageName::parse(name).is_ok_and(|name| is_ours(&name)))
        .collect();
    let values: Vec<_> = names.iter().map(|name| Value::Text(name)).collect();
    let here: Vec<String> = HERE.load::<Text, _>(connection, &values)?;
    let here: HashSet<&str> = here.iter().map(String::as_str).collect();
    let missing: Vec<&str> = names.into_iter().filter(|name| !here.contains(name)).collect();
    missing_names::seen(connection, &page.registry, &missing, now)?;
    Ok(missing.len())
}

/// Names that are here, belong to this registry and would stand on the page if upstream had them.
fn ask_for_absent(
    connection: &mut AnyConnection,
    page: &NamesTaken,
    now: i64,
) -> Result<usize, StoreError> {
    let most = page.names.len().max(FEW_ABSENT);
    let listed: HashSet<&str> = page.names.iter().map(String::as_str).collect();
    let held = packages::table
        .filter(packages::registry.eq(&page.registry))
        .filter(packages::name.gt(&page.after))
        .order(packages::name)
        .limit(i64::try_from(most + page.names.len() + 1).unwrap_or(i64::MAX))
        .select(packages::name);
    let held: Vec<String> = match page.names.last().filter(|_| !page.is_last) {
        Some(end) => held.filter(packages::name.le(end)).load(connection)?,
        None => held.load(connection)?,
    };
    let absent: Vec<&String> = held.iter().filter(|name| !listed.contains(name.as_str())).collect();
    if absent.len() > most {
        let text = format!(
            "the list of names of {} lacks more than {most} packages behind {:?} that are here; \
             it is not believed",
            page.registry, page.after
        );
        alarms::insert(connection, &[(page.registry.as_str(), text.as_str())], now)?;
        return Ok(0);
    }
    let absent: Vec<PackageName> =
        absent.into_iter().map(|name| package_name(name)).collect::<Result<_, _>>()?;
    let registry = page.registry.as_str();
    let tasks: Vec<NewTask> = absent
        .into_iter()
        .filter(|name| page.ownership.is_asked(registry, name, Some(registry)))
        .map(|name| question(registry, name))
        .collect();
    let count = tasks.len();
    if count > 0 {
        tasks::enqueue_unanswered(connection, tasks)?;
    }
    Ok(count)
}

/// Asks for a package as if nothing of it were here; keeps it as it is kept.
fn question(registry: &str, name: PackageName) -> NewTask {
    NewTask {
        id: TaskId::new(),
        name,
        registry: registry.to_owned(),
        priority: PRIORITY_SWEEP,
        options: TaskOptions {
            skip_dependencies: true,
            force: true,
            keep: Keeping::Cached,
            tips: Some("the upstream's list of names lacks it".to_owned()),
            ..TaskOptions::default()
        },
        author: None,
        author_ip: None,
    }
}
