//! Tasks on the wire of the Package Sync API.

use serde::Serialize;
use store::tasks::{TaskCounts, TaskRow};

use crate::control::messages::TaskAnswer;

/// `PUT /-/package/:fullname/syncs`.
#[derive(Debug, Serialize)]
pub struct Created {
    ok: bool,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    state: &'static str,
}

/// The type of tasks that sync packages.
const PACKAGE: &str = "package";

impl Created {
    /// The row that stands for the request.
    #[must_use]
    pub fn of(row: &TaskRow) -> Self {
        Self { ok: true, id: row.id.to_string(), kind: PACKAGE, state: row.state.as_str() }
    }
}

/// `PUT /:fullname/sync`.
#[derive(Debug, Serialize)]
pub struct LegacyCreated {
    ok: bool,
    #[serde(rename = "logId")]
    log_id: String,
}

impl LegacyCreated {
    /// The row that stands for the request.
    #[must_use]
    pub fn of(row: &TaskRow) -> Self {
        Self { ok: true, log_id: row.id.to_string() }
    }
}

/// `GET /-/package/:fullname/syncs/:taskId`.
#[derive(Debug, Serialize)]
pub struct Status<'a> {
    ok: bool,
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    state: &'static str,
    #[serde(rename = "logUrl")]
    log_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> Status<'a> {
    /// How a task is.
    #[must_use]
    pub fn of(row: &'a TaskRow, log_url: &'a str) -> Self {
        Self {
            ok: true,
            id: row.id.to_string(),
            kind: PACKAGE,
            state: row.state.as_str(),
            log_url,
            error: row.error.as_deref(),
        }
    }
}

/// `GET /:fullname/sync/log/:taskId`.
#[derive(Debug, Serialize)]
pub struct LegacyLog<'a> {
    /// Always true.
    pub ok: bool,
    /// Whether the task ended.
    #[serde(rename = "syncDone")]
    pub sync_done: bool,
    /// One line that says how it is.
    pub log: String,
    /// Where the whole log is.
    #[serde(rename = "logUrl")]
    pub log_url: &'a str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

/// `GET /-/tasks`.
#[derive(Debug, Serialize)]
pub struct TaskList {
    /// The rows, newest first.
    pub tasks: Vec<TaskAnswer>,
    /// Value of `before` for the next page; null on the last one.
    pub next: Option<String>,
    /// The whole queue, whatever the filter.
    pub counts: TaskCounts,
}
