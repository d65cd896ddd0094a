//! The `sweeps` table: rounds in which the packages here are asked for again, spread over a time.
//!
//! A round knows when it began and how many packages it has to ask for, so at any moment it is
//! clear how many are due. The place and the tasks are one transaction, written only from the place
//! that was read: a crash asks twice for a few, and two nodes share one round.

#[cfg(test)]
mod tests;

use diesel::prelude::*;
use npm::PackageName;

use crate::dialect::{self, RowsStatement, Value};
use crate::ownership::Ownership;
use crate::packages::package_name;
use crate::schema::{packages, renderings, sweeps};
use crate::tasks::{self, NewTask, PRIORITY_SWEEP, TaskOptions};
use crate::{AnyConnection, Keeping, StoreError, TaskId};

/// What a round is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Every package, without validators: finds what is behind an unchanged `ETag`.
    All,
    /// The packages that somebody reads here, in the same way. A ready-made document is made when
    /// it is first read, so there is one for each of them.
    Read,
    /// Every package, with validators; takes the place of a feed.
    Conditional,
}

impl Lane {
    /// All of them.
    pub const EVERY: [Self; 3] = [Self::Read, Self::All, Self::Conditional];

    /// The word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Read => "read",
            Self::Conditional => "conditional",
        }
    }
}

/// Where a round is.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = sweeps)]
pub struct SweepRow {
    /// Id of the package asked for last.
    pub after_id: i64,
    /// When the round began.
    pub began_at_ms: i64,
    /// Packages it began with.
    pub total: i64,
    /// Packages asked for so far.
    pub done: i64,
}

/// One look at a round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SweepStep {
    /// Name of the registry.
    pub registry: String,
    /// Which round.
    pub lane: Lane,
    /// How long a round takes.
    pub period_ms: i64,
    /// Most packages to ask for at once.
    pub limit: i64,
}

const BEGIN: RowsStatement = RowsStatement {
    head: "INSERT INTO sweeps (registry, lane, after_id, began_at_ms, total, done) VALUES ",
    columns: 6,
    tail: " ON CONFLICT (registry, lane) DO UPDATE SET after_id = excluded.after_id, \
           began_at_ms = excluded.began_at_ms, total = excluded.total, done = excluded.done",
};

/// Where a round is; `None` before the first.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    registry: &str,
    lane: Lane,
) -> Result<Option<SweepRow>, StoreError> {
    let row = sweeps::table.find((registry, lane.as_str())).select(SweepRow::as_select());
    Ok(row.first(connection).optional()?)
}

/// How many packages a round should have asked for by now and has not.
///
/// The first is due a package's share of the time after the beginning, the last one at the end.
#[must_use]
pub fn due(row: &SweepRow, period_ms: i64, now_ms: i64) -> i64 {
    let elapsed = now_ms.saturating_sub(row.began_at_ms).clamp(0, period_ms.max(1));
    let by_now = i128::from(row.total) * i128::from(elapsed) / i128::from(period_ms.max(1));
    let by_now = i64::try_from(by_now).unwrap_or(i64::MAX);
    by_now.saturating_sub(row.done).max(0)
}

/// Whether [`step`] would do anything, for a reader to find out.
///
/// # Errors
/// Those of the database.
pub fn is_due(connection: &mut AnyConnection, step: &SweepStep) -> Result<bool, StoreError> {
    let now = dialect::now_ms(connection)?;
    Ok(match find(connection, &step.registry, step.lane)? {
        Some(row) if !is_over(&row, step.period_ms, now) => due(&row, step.period_ms, now) > 0,
        _ => total(connection, step)? > 0,
    })
}

/// Queues what is due of a round, or begins the next one when its time has come (a write); answers
/// how many tasks were made.
///
/// # Errors
/// Those of the database.
pub fn step(
    connection: &mut AnyConnection,
    step: &SweepStep,
    ownership: &Ownership,
) -> Result<usize, StoreError> {
    let now = dialect::now_ms(connection)?;
    let row = match find(connection, &step.registry, step.lane)? {
        Some(row) if !is_over(&row, step.period_ms, now) => row,
        _ => begin(connection, step, now)?,
    };
    let wanted = due(&row, step.period_ms, now).min(step.limit);
    if wanted == 0 {
        return Ok(0);
    }
    let found = next(connection, step, row.after_id, wanted)?;
    let place = sweeps::table
        .find((&step.registry, step.lane.as_str()))
        .filter(sweeps::after_id.eq(row.after_id))
        .filter(sweeps::began_at_ms.eq(row.began_at_ms));
    // Fewer than there were: the round is done with, whatever it counted at its start.
    let (after, done) = match found.last() {
        Some((last, _)) => (*last, row.done + i64::try_from(found.len()).unwrap_or(0)),
        None => (row.after_id, row.total),
    };
    let moved = diesel::update(place)
        .set((sweeps::after_id.eq(after), sweeps::done.eq(done)))
        .execute(connection)?;
    if moved == 0 || found.is_empty() {
        return Ok(0); // another node was faster, or nothing is left
    }
    let names: Vec<PackageName> =
        found.iter().map(|(_, name)| package_name(name)).collect::<Result<_, _>>()?;
    let registry = step.registry.as_str();
    let tasks: Vec<NewTask> = names
        .into_iter()
        .filter(|name| ownership.is_asked(registry, name, Some(registry)))
        .map(|name| task(step, name))
        .collect();
    let count = tasks.len();
    if count > 0 {
        tasks::enqueue_unanswered(connection, tasks)?;
    }
    Ok(count)
}

/// Whether the time of a round is up and all of it was asked for; a round that is late goes on.
fn is_over(row: &SweepRow, period_ms: i64, now: i64) -> bool {
    row.done >= row.total && now >= row.began_at_ms.saturating_add(period_ms)
}

fn begin(
    connection: &mut AnyConnection,
    step: &SweepStep,
    now: i64,
) -> Result<SweepRow, StoreError> {
    let total = total(connection, step)?;
    let zero = Value::BigInt(0);
    let (registry, lane) = (Value::Text(&step.registry), Value::Text(step.lane.as_str()));
    let values = [registry, lane, zero, Value::BigInt(now), Value::BigInt(total), zero];
    BEGIN.execute(connection, &values)?;
    Ok(SweepRow { after_id: 0, began_at_ms: now, total, done: 0 })
}

/// Packages that a round is about.
fn total(connection: &mut AnyConnection, step: &SweepStep) -> Result<i64, StoreError> {
    let here = packages::table.filter(packages::registry.eq(&step.registry));
    Ok(match step.lane {
        Lane::All | Lane::Conditional => here.count().get_result(connection)?,
        Lane::Read => {
            let read = renderings::table.select(renderings::package_id);
            here.filter(packages::id.eq_any(read)).count().get_result(connection)?
        }
    })
}

fn next(
    connection: &mut AnyConnection,
    step: &SweepStep,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>, StoreError> {
    let found = packages::table
        .filter(packages::id.gt(after))
        .filter(packages::registry.eq(&step.registry))
        .order(packages::id)
        .limit(limit)
        .select((packages::id, packages::name));
    Ok(match step.lane {
        Lane::All | Lane::Conditional => found.load(connection)?,
        Lane::Read => {
            let read = renderings::table
                .filter(renderings::package_id.gt(after))
                .select(renderings::package_id);
            found.filter(packages::id.eq_any(read)).load(connection)?
        }
    })
}

fn task(step: &SweepStep, name: PackageName) -> NewTask {
    NewTask {
        id: TaskId::new(),
        name,
        registry: step.registry.clone(),
        priority: PRIORITY_SWEEP,
        options: TaskOptions {
            skip_dependencies: true,
            force: step.lane != Lane::Conditional,
            keep: Keeping::Cached,
            ..TaskOptions::default()
        },
        author: None,
        author_ip: None,
    }
}
