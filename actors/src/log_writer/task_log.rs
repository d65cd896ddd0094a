//! The log of one running task: lines in memory until they are stored.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use store::TaskId;

use crate::clock::now_text;

/// Most text of one task that waits to be stored; beyond it the oldest lines go first.
const LONGEST_PENDING: usize = 256 * 1024;

/// All logs of running tasks on this node.
#[derive(Clone, Debug, Default)]
pub struct TaskLogs {
    open: Arc<Mutex<HashMap<TaskId, Weak<Inner>>>>,
}

/// The log of one running task; cheap to clone. Lines have the form
/// `[<ISO time>] <mark> <text>` of the wire contract, section 1.9.
#[derive(Clone, Debug)]
pub struct TaskLog {
    inner: Arc<Inner>,
    logs: TaskLogs,
}

#[derive(Debug)]
struct Inner {
    id: TaskId,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    text: String,
    dropped_lines: u64,
}

impl TaskLogs {
    /// Opens the log of a task that starts to run.
    pub fn open(&self, id: TaskId) -> TaskLog {
        let inner = Arc::new(Inner { id, pending: Mutex::default() });
        self.open.lock().insert(id, Arc::downgrade(&inner));
        TaskLog { inner, logs: self.clone() }
    }

    /// How many tasks write a log now.
    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// Whether no task writes a log now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a running task wrote and nobody stored yet.
    pub fn pending(&self, id: TaskId) -> Option<String> {
        let inner = self.open.lock().get(&id)?.upgrade()?;
        Some(inner.pending.lock().with_note())
    }

    /// Takes what a running task wrote and nobody stored yet, for storing.
    pub fn take(&self, id: TaskId) -> String {
        let inner = self.open.lock().get(&id).and_then(Weak::upgrade);
        inner.map(|inner| inner.pending.lock().take()).unwrap_or_default()
    }

    /// Takes what waits in every log, for storing.
    pub fn take_all(&self) -> Vec<(TaskId, String)> {
        let open: Vec<_> = self.open.lock().values().filter_map(Weak::upgrade).collect();
        let taken = open.iter().map(|inner| (inner.id, inner.pending.lock().take()));
        taken.filter(|(_, text)| !text.is_empty()).collect()
    }
}

/// One line in the form of the wire contract, its end included.
pub fn format_line(mark: &str, text: impl std::fmt::Display) -> String {
    let mut line = String::new();
    push_line(&mut line, mark, text);
    line
}

/// Text of others (an upstream's error, a remark) may hold line breaks; a line has none.
fn push_line(log: &mut String, mark: &str, text: impl std::fmt::Display) {
    use std::fmt::Write;
    let start = log.len();
    let _ = write!(log, "[{}] {mark} {text}", now_text());
    let breaks = |c: char| matches!(c, '\n' | '\r');
    if log.get(start..).is_some_and(|line| line.contains(breaks)) {
        let line = log.split_off(start);
        log.push_str(&line.replace(breaks, " "));
    }
    log.push('\n');
}

impl TaskLog {
    /// Adds one line.
    pub fn line(&self, mark: &str, text: impl std::fmt::Display) {
        let mut pending = self.inner.pending.lock();
        push_line(&mut pending.text, mark, text);
        pending.bound();
    }

    /// Takes what is not stored yet, to be stored with the end of the task.
    pub fn take(&self) -> String {
        self.inner.pending.lock().take()
    }
}

impl Drop for TaskLog {
    fn drop(&mut self) {
        if Arc::strong_count(&self.inner) == 1 {
            let mut open = self.logs.open.lock();
            let ours = Arc::downgrade(&self.inner);
            if open.get(&self.inner.id).is_some_and(|listed| listed.ptr_eq(&ours)) {
                open.remove(&self.inner.id);
            }
        }
    }
}

impl Pending {
    fn bound(&mut self) {
        if self.text.len() <= LONGEST_PENDING {
            return;
        }
        let half = self.text.len() / 2;
        let bytes = self.text.as_bytes();
        let cut = bytes.iter().skip(half).position(|byte| *byte == b'\n').map(|at| half + at + 1);
        let cut = cut.unwrap_or(self.text.len());
        let lines = bytes.iter().take(cut).filter(|byte| **byte == b'\n').count();
        self.dropped_lines += u64::try_from(lines).unwrap_or(0);
        self.text.drain(..cut);
    }

    fn with_note(&self) -> String {
        if self.dropped_lines == 0 {
            return self.text.clone();
        }
        format!(
            "[{}] ⚠️ {} older lines were dropped\n{}",
            now_text(),
            self.dropped_lines,
            self.text
        )
    }

    fn take(&mut self) -> String {
        let text =
            if self.dropped_lines == 0 { std::mem::take(&mut self.text) } else { self.with_note() };
        *self = Self::default();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_log_that_grows_too_long_drops_its_oldest_lines_and_says_how_many() {
        let logs = TaskLogs::default();
        let log = logs.open(TaskId(Uuid::nil()));
        let long = "x".repeat(1000);
        for number in 0..1000 {
            log.line("🚧", format_args!("{number} {long}"));
        }
        let text = log.take();
        assert!(text.len() <= LONGEST_PENDING + 200);
        assert!(text.lines().next().unwrap().contains("older lines were dropped"));
        assert!(text.lines().last().unwrap().contains("🚧 999 x"));
        assert_eq!(log.take(), "");
    }

    #[test]
    fn a_finished_task_leaves_no_open_log_behind() {
        let logs = TaskLogs::default();
        let log = logs.open(TaskId(Uuid::nil()));
        let other = log.clone();
        drop(log);
        assert_eq!(logs.len(), 1);
        drop(other);
        assert!(logs.is_empty());
    }
}
