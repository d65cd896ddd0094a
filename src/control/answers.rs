//! Rows of the store in the words of the control socket; commands that work without a server
//! use them as well, so both say the same.

use std::time::UNIX_EPOCH;

use npm::PackageName;
use store::audit::AuditFilter;
use store::maintenance::{Damage, GcReport, VerifyReport};
use store::packages::Totals;
use store::tasks::{self, TaskFilter, TaskRow};
use store::{AnyConnection, StoreError, TaskId, TaskState};

use super::messages::{
    AuditQuery, DamageAnswer, GcAnswer, StoreCounts, TaskAnswer, TasksQuery, VerifyAnswer,
};

/// Rows of a list when nothing else is asked.
const LIMIT: i64 = 100;
/// Rows of a list at most.
const MOST: i64 = 1_000;

impl From<TaskRow> for TaskAnswer {
    fn from(row: TaskRow) -> Self {
        Self {
            id: row.id,
            name: row.name.to_string(),
            registry: row.registry,
            state: row.state,
            priority: row.priority,
            attempts: row.attempts,
            error: row.error,
            failure: row.failure,
            author: row.author,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
            not_before_ms: row.not_before_ms,
            place: None,
        }
    }
}

/// One task with its place in the queue.
///
/// # Errors
/// Those of the database.
pub fn task(rows: &mut AnyConnection, id: TaskId) -> Result<Option<TaskAnswer>, StoreError> {
    let found = tasks::find_placed(rows, id)?;
    Ok(found.map(|(row, place)| TaskAnswer { place, ..row.into() }))
}

/// Tasks, newest first.
///
/// # Errors
/// Those of the database.
pub fn task_list(
    rows: &mut AnyConnection,
    filter: &TaskFilter,
) -> Result<Vec<TaskAnswer>, StoreError> {
    Ok(tasks::list(rows, filter)?.into_iter().map(TaskAnswer::from).collect())
}

/// A question about tasks that makes no sense; the text names the field and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadQuery(String);

impl TasksQuery {
    /// The question as the store understands it.
    ///
    /// # Errors
    /// For a state, a name, a time, an id that is none, and a limit outside of 1 to 1,000.
    pub fn filter(&self) -> Result<TaskFilter, BadQuery> {
        let limit = limit(self.limit)?;
        let state = self.state.as_deref().map(TaskState::from_text).transpose();
        let name = self.name.as_deref().map(PackageName::parse).transpose();
        let before = self.before.as_deref().map(TaskId::parse).transpose();
        Ok(TaskFilter {
            state: state.map_err(|error| BadQuery(format!("state: {error}")))?,
            registry: self.registry.clone(),
            name: name.map_err(|error| BadQuery(format!("name: {error}")))?,
            author: self.author.clone(),
            since_ms: self.since.as_deref().map(since_ms).transpose()?,
            limit,
            before: before.map_err(|error| BadQuery(format!("before: {error}")))?,
        })
    }
}

impl AuditQuery {
    /// What it asks of the table.
    ///
    /// # Errors
    /// For a time that is none, and a limit outside of 1 to 1,000.
    pub fn filter(&self) -> Result<AuditFilter, BadQuery> {
        Ok(AuditFilter {
            who: self.who.clone(),
            action: self.action.clone(),
            subject: self.subject.clone(),
            since_ms: self.since.as_deref().map(since_ms).transpose()?,
            before: self.before.clone(),
            limit: limit(self.limit)?,
        })
    }
}

fn limit(asked: Option<i64>) -> Result<i64, BadQuery> {
    let limit = asked.unwrap_or(LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(BadQuery(format!("limit: must be 1 to {MOST}, not {limit}")));
    }
    Ok(limit)
}

/// A time as unix milliseconds, or as ISO-8601 in UTC.
fn since_ms(text: &str) -> Result<i64, BadQuery> {
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number);
    }
    let time = humantime::parse_rfc3339_weak(text).ok();
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_millis()).ok()).ok_or_else(|| {
        BadQuery(format!(
            "since: must be unix milliseconds or a time such as 2026-01-31T12:00:00Z, not {text}"
        ))
    })
}

impl VerifyAnswer {
    /// What a check found, and the tasks that mend it.
    #[must_use]
    pub fn new(report: VerifyReport, repairing: Vec<TaskAnswer>) -> Self {
        Self {
            checked: report.checked,
            bytes: report.bytes,
            damaged: report.damaged.into_iter().map(DamageAnswer::from).collect(),
            repairing,
        }
    }
}

impl From<Damage> for DamageAnswer {
    fn from(damage: Damage) -> Self {
        Self {
            name: damage.name.to_string(),
            version: damage.version,
            file: damage.file,
            kind: damage.kind.to_string(),
        }
    }
}

impl From<GcReport> for GcAnswer {
    fn from(report: GcReport) -> Self {
        Self {
            blobs: report.blobs,
            bytes: report.bytes,
            tasks: report.tasks,
            freed_bytes: report.compaction.freed_bytes,
        }
    }
}

impl StoreCounts {
    /// Totals of the rows, and the newest row of the change log.
    #[must_use]
    pub fn new(totals: Totals, last_seq: i64) -> Self {
        let number = |count: i64| u64::try_from(count).unwrap_or_default();
        Self {
            packages: number(totals.packages),
            versions: number(totals.versions),
            held: number(totals.held),
            bytes: number(totals.bytes),
            last_seq,
        }
    }
}
