//! Questions about tasks.

use diesel::dsl::{count_star, min, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use npm::PackageName;

use super::row::{RawTask, TaskRow, row, rows};
use crate::dialect::{self, AnyBackend, RowsStatement, Value};
use crate::schema::tasks;
use crate::{AnyConnection, StoreError, TaskId, TaskState};

const HOUR_MS: i64 = 60 * 60 * 1000;

/// Which tasks to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskFilter {
    /// Only in this state.
    pub state: Option<TaskState>,
    /// Only of this registry.
    pub registry: Option<String>,
    /// Only of this package.
    pub name: Option<PackageName>,
    /// Only those that this user asked for.
    pub author: Option<String>,
    /// Only those queued at this time or later, unix milliseconds.
    pub since_ms: Option<i64>,
    /// At most so many.
    pub limit: i64,
    /// Only older than this one: the next page.
    pub before: Option<TaskId>,
}

impl Default for TaskFilter {
    /// The newest hundred.
    fn default() -> Self {
        Self {
            state: None,
            registry: None,
            name: None,
            author: None,
            since_ms: None,
            limit: 100,
            before: None,
        }
    }
}

/// How the queue is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct TaskCounts {
    /// Waiting, those for later included.
    pub waiting: i64,
    /// Leased.
    pub processing: i64,
    /// Ended well within the last hour.
    pub success_last_hour: i64,
    /// Ended badly within the last hour.
    pub error_last_hour: i64,
    /// How long the oldest waiting task has been waiting.
    pub oldest_waiting_ms: Option<i64>,
}

/// A state as a literal: the partial indexes are not used for a bound value.
pub(super) fn is(state: TaskState) -> SqlLiteral<Bool> {
    sql(match state {
        TaskState::Waiting => "tasks.state = 'waiting'",
        TaskState::Processing => "tasks.state = 'processing'",
        TaskState::Success => "tasks.state = 'success'",
        TaskState::Error => "tasks.state = 'error'",
    })
}

/// Ended well or badly, in the words of the partial index.
pub(super) fn is_finished() -> SqlLiteral<Bool> {
    sql("tasks.state IN ('success', 'error')")
}

/// The task with this id.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, id: TaskId) -> Result<Option<TaskRow>, StoreError> {
    let found = tasks::table.find(id.to_string()).get_result::<RawTask>(connection).optional()?;
    found.map(row).transpose()
}

/// The task with this id and, while it waits, its place in the queue.
///
/// # Errors
/// Those of the database.
pub fn find_placed(
    connection: &mut AnyConnection,
    id: TaskId,
) -> Result<Option<(TaskRow, Option<i64>)>, StoreError> {
    let Some(row) = find(connection, id)? else { return Ok(None) };
    let place = place_of(connection, &row)?;
    Ok(Some((row, place)))
}

/// Tasks by age, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    filter: &TaskFilter,
) -> Result<Vec<TaskRow>, StoreError> {
    let mut query = tasks::table.into_boxed::<AnyBackend>();
    if let Some(state) = filter.state {
        query = query.filter(is(state));
    }
    if let Some(registry) = &filter.registry {
        query = query.filter(tasks::registry.eq(registry));
    }
    if let Some(name) = &filter.name {
        query = query.filter(tasks::name.eq(name.as_str()));
    }
    if let Some(author) = &filter.author {
        query = query.filter(tasks::author.eq(author));
    }
    if let Some(since_ms) = filter.since_ms {
        query = query.filter(tasks::id.ge(first_id_of(since_ms)));
    }
    if let Some(before) = filter.before {
        query = query.filter(tasks::id.lt(before.to_string()));
    }
    rows(query.order(tasks::id.desc()).limit(filter.limit).load::<RawTask>(connection)?)
}

/// How the queue is.
///
/// # Errors
/// Those of the database.
pub fn counts(connection: &mut AnyConnection) -> Result<TaskCounts, StoreError> {
    let now = dialect::now_ms(connection)?;
    let all = (count_star(), min(tasks::id));
    let (waiting, first): (i64, Option<String>) =
        tasks::table.filter(is(TaskState::Waiting)).select(all).get_result(connection)?;
    let processing =
        tasks::table.filter(is(TaskState::Processing)).count().get_result(connection)?;
    let ended: Vec<(String, i64)> = tasks::table
        .filter(is_finished())
        .filter(tasks::updated_at_ms.ge(now - HOUR_MS))
        .group_by(tasks::state)
        .select((tasks::state, count_star()))
        .load(connection)?;
    let of = |state: TaskState| {
        ended.iter().find(|(ended, _)| ended == state.as_str()).map_or(0, |(_, count)| *count)
    };
    Ok(TaskCounts {
        waiting,
        processing,
        success_last_hour: of(TaskState::Success),
        error_last_hour: of(TaskState::Error),
        oldest_waiting_ms: oldest(connection, first)?.map(|created| (now - created).max(0)),
    })
}

/// When the task with the smallest id was queued: ids begin with their time.
fn oldest(
    connection: &mut AnyConnection,
    first: Option<String>,
) -> Result<Option<i64>, StoreError> {
    let Some(id) = first else { return Ok(None) };
    let created = tasks::table.find(id).select(tasks::created_at_ms);
    Ok(created.get_result(connection).optional()?)
}

/// The smallest id that a task queued at this time can have: ids begin with their time.
fn first_id_of(at_ms: i64) -> String {
    let at_ms = u128::from(at_ms.max(0).unsigned_abs());
    uuid::Uuid::from_u128(at_ms << 80).to_string()
}

/// Tasks counted before a waiting one at most: everybody may ask for its place, and a queue may
/// hold millions.
pub const FARTHEST_PLACE: i64 = 10_000;

const COUNT_BEFORE: RowsStatement = RowsStatement {
    head: "WITH task(registry, priority, id, most) AS (VALUES ",
    columns: 4,
    tail: ") SELECT COUNT(*) FROM (SELECT 1 FROM tasks \
           WHERE tasks.state = 'waiting' AND tasks.registry = (SELECT registry FROM task) \
           AND (tasks.priority, tasks.id) < ((SELECT priority FROM task), (SELECT id FROM task)) \
           LIMIT (SELECT most FROM task)) AS before",
};

/// The place of a waiting task in its queue, 1 = next, [`FARTHEST_PLACE`] = there or behind;
/// `None` when it is not waiting.
///
/// # Errors
/// Those of the database.
pub fn place(connection: &mut AnyConnection, id: TaskId) -> Result<Option<i64>, StoreError> {
    Ok(find_placed(connection, id)?.and_then(|(_, place)| place))
}

fn place_of(connection: &mut AnyConnection, task: &TaskRow) -> Result<Option<i64>, StoreError> {
    if task.state != TaskState::Waiting {
        return Ok(None);
    }
    let id = task.id.to_string();
    let values = [
        Value::Text(&task.registry),
        Value::Integer(task.priority),
        Value::Text(&id),
        Value::BigInt(FARTHEST_PLACE - 1),
    ];
    let before: Vec<i64> = COUNT_BEFORE.load::<BigInt, _>(connection, &values)?;
    Ok(before.first().map(|before| before + 1))
}
