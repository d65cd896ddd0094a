//! The `missing_names` table: packages that an upstream lists, that are wanted and are not here.
//!
//! Comparing the upstream's list with what is here fills it ([`crate::reconciliations`]), tasks are
//! made of it as the queue has room ([`queue`]), and a row goes when its package arrives. It holds a
//! few bytes a name, so the whole of a large upstream can wait here instead of among the tasks.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use npm::PackageName;

use crate::dialect::{self, RowsStatement, Value};
use crate::ownership::Ownership;
use crate::packages::package_name;
use crate::schema::missing_names;
use crate::tasks::{self, NewTask, PRIORITY_SWEEP, TaskOptions};
use crate::{AnyConnection, Keeping, StoreError, TaskId};

/// Seen again while still missing: what failed is tried once more, and so is what was queued before
/// it was seen the last time, because its task may have been cancelled.
const SEEN: RowsStatement = RowsStatement {
    head: "INSERT INTO missing_names (registry, name, seen_at_ms) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (registry, name) DO UPDATE SET seen_at_ms = excluded.seen_at_ms, \
           queued_at_ms = CASE WHEN missing_names.reason IS NULL \
           AND missing_names.queued_at_ms > missing_names.seen_at_ms \
           THEN missing_names.queued_at_ms ELSE NULL END",
};

const FORGET: RowsStatement = RowsStatement {
    head: "DELETE FROM missing_names WHERE (registry, name) IN (VALUES ",
    columns: 2,
    tail: ")",
};

const FAILED: RowsStatement = RowsStatement {
    head: "UPDATE missing_names SET reason = ended.column2 FROM (VALUES ",
    columns: 2,
    tail: ") AS ended JOIN tasks ON tasks.id = ended.column1 \
           WHERE missing_names.registry = tasks.registry AND missing_names.name = tasks.name",
};

/// In the words of the partial index.
pub(crate) fn to_queue() -> diesel::expression::SqlLiteral<Bool> {
    sql("missing_names.queued_at_ms IS NULL")
}

/// Notes that an upstream lists these names and they are not here (a write).
pub(crate) fn seen(
    connection: &mut AnyConnection,
    registry: &str,
    names: &[&str],
    at_ms: i64,
) -> Result<(), StoreError> {
    let values = names
        .iter()
        .flat_map(|name| [Value::Text(registry), Value::Text(name), Value::BigInt(at_ms)]);
    SEEN.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

/// Forgets names that an upstream did not list in a round that began then (a write).
pub(crate) fn forget_unseen(
    connection: &mut AnyConnection,
    registry: &str,
    began_at_ms: i64,
) -> Result<(), StoreError> {
    let unseen = missing_names::table
        .filter(missing_names::registry.eq(registry))
        .filter(missing_names::seen_at_ms.lt(began_at_ms));
    diesel::delete(unseen).execute(connection)?;
    Ok(())
}

/// Packages that came, or are not wanted any more: (registry, name) (a write).
pub(crate) fn forget(
    connection: &mut AnyConnection,
    packages: &[(&str, &str)],
) -> Result<(), StoreError> {
    let values = packages
        .iter()
        .flat_map(|(registry, name)| [Value::Text(registry), Value::Text(name)])
        .collect::<Vec<_>>();
    FORGET.execute(connection, &values)?;
    Ok(())
}

/// Keeps why these tasks failed, for those whose package is missing: (id, error) (a write).
pub(crate) fn note_failures<'a>(
    connection: &mut AnyConnection,
    failed: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> Result<(), StoreError> {
    let values = failed.flat_map(|(id, error)| {
        [Value::Text(id), Value::Text(error.unwrap_or("its task failed without saying why"))]
    });
    FAILED.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

/// Whether tasks are to be made.
///
/// # Errors
/// Those of the database.
pub fn any_to_queue(connection: &mut AnyConnection, registry: &str) -> Result<bool, StoreError> {
    let first = missing_names::table
        .filter(missing_names::registry.eq(registry))
        .filter(to_queue())
        .select(missing_names::name)
        .limit(1);
    Ok(first.first::<String>(connection).optional()?.is_some())
}

/// Makes tasks of the next missing names (a write); answers how many. Names that belong to another
/// registry by now, or to none, are forgotten.
///
/// # Errors
/// Those of the database.
pub fn queue(
    connection: &mut AnyConnection,
    registry: &str,
    limit: i64,
    ownership: &Ownership,
) -> Result<usize, StoreError> {
    let next = missing_names::table
        .filter(missing_names::registry.eq(registry))
        .filter(to_queue())
        .order(missing_names::name)
        .limit(limit)
        .select(missing_names::name);
    let names: Vec<String> = next.load(connection)?;
    let (Some(first), Some(last)) = (names.first(), names.last()) else { return Ok(0) };
    let now = dialect::now_ms(connection)?;
    let taken = missing_names::table
        .filter(missing_names::registry.eq(registry))
        .filter(to_queue())
        .filter(missing_names::name.ge(first))
        .filter(missing_names::name.le(last));
    diesel::update(taken)
        .set((missing_names::queued_at_ms.eq(now), missing_names::reason.eq(None::<String>)))
        .execute(connection)?;
    let names: Vec<PackageName> =
        names.iter().map(|name| package_name(name)).collect::<Result<_, _>>()?;
    let (wanted, others): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| ownership.is_asked(registry, name, None));
    if !others.is_empty() {
        let others: Vec<_> = others.iter().map(|name| (registry, name.as_str())).collect();
        forget(connection, &others)?;
    }
    let tasks: Vec<_> = wanted.into_iter().map(|name| new_task(registry, name)).collect();
    let count = tasks.len();
    if count > 0 {
        tasks::enqueue_unanswered(connection, tasks)?;
    }
    Ok(count)
}

fn new_task(registry: &str, name: PackageName) -> NewTask {
    NewTask {
        id: TaskId::new(),
        name,
        registry: registry.to_owned(),
        priority: PRIORITY_SWEEP,
        options: TaskOptions {
            skip_dependencies: true,
            keep: Keeping::Mirrored,
            ..TaskOptions::default()
        },
        author: None,
        author_ip: None,
    }
}
