//! Queueing: new rows, or merging into the waiting ones.

use std::collections::{HashMap, HashSet};

use diesel::sql_types::Text;

use super::PRIORITY_PEOPLE;
use super::row::{NewTask, RawTask, SqlColumns, TaskOptions, TaskRow, rows, without_nul};
use crate::dialect::{self, RowsStatement, Value};
use crate::states::TaskState;
use crate::{AnyConnection, StoreError, TaskId};

/// The partial index lets a second waiting task of a package in silently fail here.
const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO tasks (id, name, registry, state, priority, options, attempts, author, \
           author_ip, created_at_ms, updated_at_ms, not_before_ms) VALUES ",
    columns: 12,
    tail: " ON CONFLICT DO NOTHING",
};

/// Which of these tasks there are.
const THERE: RowsStatement =
    RowsStatement { head: "SELECT id FROM tasks WHERE id IN (", columns: 1, tail: ")" };

const MERGE: RowsStatement = RowsStatement {
    head: "UPDATE tasks SET priority = merged.column2, options = merged.column3, \
           not_before_ms = merged.column4, author = merged.column5, \
           author_ip = merged.column6 FROM (VALUES ",
    columns: 6,
    tail: ") AS merged WHERE tasks.id = merged.column1 AND tasks.state = 'waiting' \
           RETURNING tasks.id",
};

/// How often a task may slip away (claimed by another node) between looking and merging.
const ROUNDS: usize = 8;

type Key = (String, String);

/// Queues tasks (a write); answers with the row that stands for each, in their order.
///
/// A request merges into the waiting task of its package and registry; while one is being
/// processed, a new waiting one is made.
///
/// # Errors
/// Those of the database.
pub fn enqueue(
    connection: &mut AnyConnection,
    tasks: Vec<NewTask>,
) -> Result<Vec<TaskRow>, StoreError> {
    let keys: Vec<Key> = tasks.iter().map(key).collect();
    let rows = place(connection, tasks)?;
    let standing: HashMap<Key, TaskRow> =
        rows.into_iter().map(|row| (row_key(&row), row)).collect();
    let answers = keys.iter().map(|key| standing.get(key).cloned()).collect::<Option<_>>();
    answers.ok_or_else(|| StoreError::Retry("a queued task has no row".into()))
}

/// As [`enqueue`] for whoever needs no answers (a write); says how many rows stand for them.
///
/// # Errors
/// Those of the database.
pub fn enqueue_unanswered(
    connection: &mut AnyConnection,
    tasks: Vec<NewTask>,
) -> Result<usize, StoreError> {
    Ok(place(connection, tasks)?.len())
}

/// Inserts or merges; the rows in no special order, one for each package and registry.
fn place(connection: &mut AnyConnection, tasks: Vec<NewTask>) -> Result<Vec<TaskRow>, StoreError> {
    let mut missing = fold(tasks);
    let mut standing = Vec::with_capacity(missing.len());
    let now = dialect::now_ms(connection)?;
    for _ in 0..ROUNDS {
        let waiting = insert_new(connection, missing, now, &mut standing)?;
        missing = merge_waiting(connection, waiting, &mut standing)?;
        if missing.is_empty() {
            return Ok(standing);
        }
    }
    Err(StoreError::Retry("tasks were claimed while being merged".into()))
}

fn key(task: &NewTask) -> Key {
    (task.registry.clone(), task.name.as_str().to_owned())
}

fn row_key(row: &TaskRow) -> Key {
    (row.registry.clone(), row.name.as_str().to_owned())
}

/// Requests for the same package become one before the database sees them; they are in the order
/// of their keys then: neighbouring index pages, and no deadlock with another node.
fn fold(mut tasks: Vec<NewTask>) -> Vec<NewTask> {
    // stable: who asked first stays the first
    tasks.sort_by(|a, b| (&a.registry, &a.name).cmp(&(&b.registry, &b.name)));
    tasks.dedup_by(|task, first| {
        let same = task.registry == first.registry && task.name == first.name;
        if same {
            first.priority = first.priority.min(task.priority);
            first.options.merge(&task.options);
            if first.author.is_none() {
                (first.author, first.author_ip) = (task.author.take(), task.author_ip.take());
            }
        }
        same
    });
    tasks
}

/// Inserts what has no waiting task yet; gives the others back.
fn insert_new(
    connection: &mut AnyConnection,
    tasks: Vec<NewTask>,
    now: i64,
    standing: &mut Vec<TaskRow>,
) -> Result<Vec<NewTask>, StoreError> {
    let texts = tasks.iter().map(RowText::of).collect::<Result<Vec<_>, _>>()?;
    let values: Vec<_> =
        tasks.iter().zip(&texts).flat_map(|(task, text)| text.values(task, now)).collect();
    if INSERT.execute(connection, &values)? == tasks.len() {
        standing.extend(tasks.into_iter().map(|task| new_row(task, now)));
        return Ok(Vec::new());
    }
    let ids: Vec<_> = texts.iter().map(|text| Value::Text(&text.id)).collect();
    let inserted: Vec<String> = THERE.load::<Text, _>(connection, &ids)?;
    let inserted: HashSet<&str> = inserted.iter().map(String::as_str).collect();
    let mut waiting = Vec::with_capacity(tasks.len() - inserted.len());
    for (task, text) in tasks.into_iter().zip(&texts) {
        if inserted.contains(text.id.as_str()) {
            standing.push(new_row(task, now));
        } else {
            waiting.push(task);
        }
    }
    Ok(waiting)
}

/// The texts that the values of a row borrow from.
struct RowText {
    id: String,
    options: String,
}

impl RowText {
    fn of(task: &NewTask) -> Result<Self, StoreError> {
        Ok(Self { id: task.id.to_string(), options: task.options.to_json()? })
    }

    fn values<'a>(&'a self, task: &'a NewTask, now: i64) -> [Value<'a>; 12] {
        [
            Value::Text(&self.id),
            Value::Text(task.name.as_str()),
            Value::Text(&task.registry),
            Value::Text(TaskState::Waiting.as_str()),
            Value::Integer(task.priority),
            Value::Text(&self.options),
            Value::Integer(0),
            Value::OptionalText(task.author.as_deref()),
            Value::OptionalText(task.author_ip.as_deref()),
            Value::BigInt(now),
            Value::BigInt(now),
            Value::BigInt(0),
        ]
    }
}

fn new_row(task: NewTask, now: i64) -> TaskRow {
    TaskRow {
        id: task.id,
        name: task.name,
        registry: task.registry,
        state: TaskState::Waiting,
        priority: task.priority,
        options: task.options,
        attempts: 0,
        error: None,
        failure: None,
        author: task.author,
        author_ip: task.author_ip,
        created_at_ms: now,
        updated_at_ms: now,
        not_before_ms: 0,
    }
}

/// Merges into waiting tasks; gives back those whose task is not waiting any more.
fn merge_waiting(
    connection: &mut AnyConnection,
    tasks: Vec<NewTask>,
    standing: &mut Vec<TaskRow>,
) -> Result<Vec<NewTask>, StoreError> {
    let mut found = waiting_of(connection, &tasks)?;
    let (mut lost, mut changed) = (Vec::new(), Vec::new());
    for task in tasks {
        match found.remove(&key(&task)) {
            None => lost.push(task),
            Some(mut row) => {
                let unowned = row.author.is_none() && task.author.is_some();
                if unowned {
                    (row.author, row.author_ip) = (task.author, task.author_ip);
                }
                if take_in(&mut row, task.priority, &task.options) || unowned {
                    changed.push(row.clone());
                }
                standing.push(row);
            }
        }
    }
    save_merged(connection, &changed)?;
    Ok(lost)
}

fn waiting_of(
    connection: &mut AnyConnection,
    tasks: &[NewTask],
) -> Result<HashMap<Key, TaskRow>, StoreError> {
    let values: Vec<_> = tasks
        .iter()
        .flat_map(|task| [Value::Text(&task.registry), Value::Text(task.name.as_str())])
        .collect();
    let statement = dialect::waiting_for_merge(connection);
    let found: Vec<RawTask> = statement.load::<SqlColumns, _>(connection, &values)?;
    Ok(rows(found)?.into_iter().map(|row| (row_key(&row), row)).collect())
}

/// The waiting task of a package in a registry, kept from being claimed until the commit.
pub(super) fn waiting_twin(
    connection: &mut AnyConnection,
    row: &TaskRow,
) -> Result<Option<TaskRow>, StoreError> {
    let values = [Value::Text(&row.registry), Value::Text(row.name.as_str())];
    let statement = dialect::waiting_for_merge(connection);
    let found: Vec<RawTask> = statement.load::<SqlColumns, _>(connection, &values)?;
    Ok(rows(found)?.into_iter().next())
}

/// Merges a wish into a waiting row; says whether that changed anything.
pub(super) fn take_in(row: &mut TaskRow, priority: i32, options: &TaskOptions) -> bool {
    let before = (row.priority, row.options.clone(), row.not_before_ms);
    if priority < row.priority || priority <= PRIORITY_PEOPLE {
        row.not_before_ms = 0; // whoever is more urgent or waits does not wait for a retry's delay
    }
    row.priority = row.priority.min(priority);
    let target = row.options.target;
    row.options.merge(options);
    if row.options.target != target {
        row.not_before_ms = 0; // what is to be fetched now is newer than what was waited for
    }
    before != (row.priority, row.options.clone(), row.not_before_ms)
}

/// Writes merged rows back.
pub(super) fn save_merged(
    connection: &mut AnyConnection,
    changed: &[TaskRow],
) -> Result<(), StoreError> {
    let texts: Vec<(String, String)> = changed
        .iter()
        .map(|row| Ok((row.id.to_string(), without_nul(&row.options.to_json()?).into_owned())))
        .collect::<Result<_, StoreError>>()?;
    let values = changed.iter().zip(&texts).flat_map(|(row, (id, options))| {
        [
            Value::Text(id),
            Value::Integer(row.priority),
            Value::Text(options),
            Value::BigInt(row.not_before_ms),
            Value::OptionalText(row.author.as_deref()),
            Value::OptionalText(row.author_ip.as_deref()),
        ]
    });
    let saved: Vec<String> = MERGE.load::<Text, _>(connection, &values.collect::<Vec<_>>())?;
    if saved.len() == changed.len() {
        return Ok(());
    }
    Err(StoreError::Retry("a waiting task was claimed while being merged into".into()))
}

/// Ids in text form, as values.
pub(super) fn id_texts(ids: &[TaskId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
