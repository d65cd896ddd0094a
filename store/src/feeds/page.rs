//! A page of a feed becomes tasks, and the place moves on, in one transaction.
//!
//! Whether a name is here is asked of the database once per page. A set of all names in memory
//! would be as large as the upstream (4.6 million), had to be kept right beside every commit of
//! every node, and saves a few microseconds a name; this way memory is one page, however many
//! names are here.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::Text;
use npm::{Change, PackageName};

use super::{Mover, Seen, hold, save_seen};
use crate::dialect::{self, RowsStatement, Value};
use crate::ownership::Ownership;
use crate::schema::{feeds, packages};
use crate::tasks::{self, FeedTarget, NewTask, PRIORITY_FEED, PRIORITY_SWEEP, TaskOptions};
use crate::{AnyConnection, Keeping, StoreError, TaskId};

/// Names whose rows become tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// Those that are here and of which the registry is asked.
    Held,
    /// Every name of which the registry is asked: `default` what belongs to no other, another one
    /// what is in its scopes.
    All,
}

/// One page, folded to one row a name.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// Who moves the place.
    pub mover: Mover,
    /// The rows.
    pub changes: Vec<Change>,
    /// The place behind them.
    pub next: i64,
    /// Which of them become tasks.
    pub takes: Takes,
    /// Who is asked for which name.
    pub ownership: Arc<Ownership>,
    /// What the look showed besides.
    pub seen: Seen,
    /// The numbers jumped: a new epoch starts with this page, everything here is asked again, and
    /// this is why.
    pub jumped: Option<String>,
}

/// What became of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is written, with so many tasks.
    Written {
        /// New and merged ones.
        tasks: usize,
    },
    /// Somebody else moved the place or took the lease: nothing was written.
    Moved,
}

/// The packages among these names and the registries they belong to.
const WHOSE: RowsStatement = RowsStatement {
    head: "SELECT name, registry FROM packages WHERE name IN (",
    columns: 1,
    tail: ")",
};

/// Takes a page in (a write).
///
/// A row of a deleted package is news only where the package is here: the two million tombstones
/// at the start of npm's feed become no tasks.
///
/// # Errors
/// Those of the database.
pub fn take_page(connection: &mut AnyConnection, page: &FeedPage) -> Result<Taken, StoreError> {
    let now = dialect::now_ms(connection)?;
    if !hold(connection, &page.mover, now)? {
        return Ok(Taken::Moved);
    }
    let epoch = page.mover.epoch.saturating_add(i64::from(page.jumped.is_some()));
    let wanted = wanted(connection, page, epoch, now)?;
    let tasks = wanted.len();
    if !wanted.is_empty() {
        tasks::enqueue_unanswered(connection, wanted)?;
    }
    let row = feeds::table.find(&page.mover.registry);
    diesel::update(row)
        .set((feeds::epoch.eq(epoch), feeds::seq.eq(page.next), feeds::row_at_ms.eq(now)))
        .execute(connection)?;
    if let Some(why) = &page.jumped {
        crate::alarms::insert(connection, &[(page.mover.registry.as_str(), why.as_str())], now)?;
        let again = feeds::recheck_after.eq(Some(String::new()));
        diesel::update(row).set(again).execute(connection)?;
    }
    save_seen(connection, &page.mover, &page.seen, now)?;
    Ok(Taken::Written { tasks })
}

/// The tasks of a page, in the order of their names: rows and ids that follow each other lie on
/// neighbouring pages of every index, and within a page of the feed no order is owed.
fn wanted(
    connection: &mut AnyConnection,
    page: &FeedPage,
    epoch: i64,
    read_at_ms: i64,
) -> Result<Vec<NewTask>, StoreError> {
    let mut changes: Vec<&Change> = page.changes.iter().collect();
    changes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let values: Vec<_> = changes.iter().map(|change| Value::Text(change.name.as_str())).collect();
    let found: Vec<(String, String)> = WHOSE.load::<(Text, Text), _>(connection, &values)?;
    let owners: HashMap<&str, &str> =
        found.iter().map(|(name, registry)| (name.as_str(), registry.as_str())).collect();
    let wants = |change: &&Change| {
        let owner = owners.get(change.name.as_str()).copied();
        let may_be_new = page.takes == Takes::All && !change.deleted;
        (owner.is_some() || may_be_new)
            && page.ownership.is_asked(&page.mover.registry, &change.name, owner)
    };
    let task = |change: &Change| {
        let target = FeedTarget {
            epoch,
            seq: change.seq.map_or(page.next, npm::Seq::number),
            generation: change.generation,
            deleted: change.deleted,
            read_at_ms,
        };
        let name = change.name.clone();
        new_task(&page.mover.registry, name, PRIORITY_FEED, page.takes, Some(target))
    };
    Ok(changes.into_iter().filter(wants).map(task).collect())
}

fn new_task(
    registry: &str,
    name: PackageName,
    priority: i32,
    takes: Takes,
    target: Option<FeedTarget>,
) -> NewTask {
    // a row of the feed never makes a cached package a mirrored one, unless all are to be
    let keep = if takes == Takes::All { Keeping::Mirrored } else { Keeping::Cached };
    NewTask {
        id: TaskId::new(),
        name,
        registry: registry.to_owned(),
        priority,
        options: TaskOptions { skip_dependencies: true, keep, target, ..TaskOptions::default() },
        author: None,
        author_ip: None,
    }
}

/// Lets the next packages of a registry be asked again (a write), after the numbers of its feed
/// changed their meaning; `Moved` when the mover lost its place.
///
/// # Errors
/// Those of the database.
pub fn recheck(
    connection: &mut AnyConnection,
    mover: &Mover,
    limit: i64,
    ownership: &Ownership,
) -> Result<Taken, StoreError> {
    let now = dialect::now_ms(connection)?;
    if !hold(connection, mover, now)? {
        return Ok(Taken::Moved);
    }
    let row = feeds::table.find(&mover.registry);
    let after: Option<String> = row.select(feeds::recheck_after).first(connection)?;
    let Some(after) = after else { return Ok(Taken::Written { tasks: 0 }) };
    let names: Vec<String> = packages::table
        .filter(packages::name.gt(after))
        .filter(packages::registry.eq(&mover.registry))
        .order(packages::name)
        .limit(limit)
        .select(packages::name)
        .load(connection)?;
    let more = i64::try_from(names.len()).is_ok_and(|found| found >= limit);
    let next = names.last().filter(|_| more);
    diesel::update(row).set(feeds::recheck_after.eq(next)).execute(connection)?;
    let names: Vec<PackageName> = names
        .iter()
        .map(|name| crate::packages::package_name(name))
        .collect::<Result<_, StoreError>>()?;
    let registry = mover.registry.as_str();
    let tasks: Vec<_> = names
        .into_iter()
        .filter(|name| ownership.is_asked(registry, name, Some(registry)))
        .map(|name| new_task(registry, name, PRIORITY_SWEEP, Takes::Held, None))
        .collect();
    let count = tasks.len();
    if count > 0 {
        tasks::enqueue_unanswered(connection, tasks)?;
    }
    Ok(Taken::Written { tasks: count })
}
