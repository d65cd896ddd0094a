//! The log of one running task: lines in memory until they are stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use store::TaskId;
use tokio::sync::watch;

use crate::clock::now_text;

/// Most text of one task that waits to be stored; beyond it the oldest lines go first.
const LONGEST_PENDING: usize = 256 * 1024;
/// Most text that one try of a task stores while it runs; what follows has to fit the end.
const LONGEST_LOG: usize = 1024 * 1024;
/// Most logs are this long.
const USUAL_LOG: usize = 1024;
/// Of a log that is too long, this much of the end is kept.
const LONGEST_END: usize = 16 * 1024;

/// All logs of running tasks on this node.
#[derive(Clone, Debug, Default)]
pub struct TaskLogs {
    open: Arc<Mutex<HashMap<TaskId, Weak<Inner>>>>,
    stored: Arc<watch::Sender<()>>,
    readers: Arc<AtomicUsize>,
}

/// Somebody who follows logs: while there is one, lines are stored more often.
#[derive(Debug)]
pub struct LogWatch {
    stored: watch::Receiver<()>,
    readers: Arc<AtomicUsize>,
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
    /// Bytes handed out for storing while the task runs.
    taken_bytes: usize,
    /// How often text was handed out.
    takes: u64,
    /// Hand-outs whose text is not known to be stored.
    storing: u32,
}

/// What a running task wrote and nobody stored yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unstored {
    /// The lines.
    pub text: String,
    /// Raised whenever lines leave for the store: two pictures with the same number have the same
    /// stored part before them.
    pub takes: u64,
    /// Whether lines before these are on their way into the store.
    pub storing: bool,
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

    fn find(&self, id: TaskId) -> Option<Arc<Inner>> {
        self.open.lock().get(&id)?.upgrade()
    }

    /// What a running task wrote and nobody stored yet.
    pub fn unstored(&self, id: TaskId) -> Option<Unstored> {
        let inner = self.find(id)?;
        let pending = inner.pending.lock();
        let (takes, storing) = (pending.takes, pending.storing > 0);
        Some(Unstored { text: pending.with_note(), takes, storing })
    }

    /// Takes what a running task wrote and nobody stored yet, for storing.
    pub fn take(&self, id: TaskId) -> String {
        self.find(id).map(|inner| inner.pending.lock().take()).unwrap_or_default()
    }

    /// Takes what waits in every log, for storing; logs that are too long wait for their end.
    pub fn take_all(&self) -> Vec<(TaskId, String)> {
        let open: Vec<_> = self.open.lock().values().filter_map(Weak::upgrade).collect();
        let taken = open.iter().filter_map(|inner| {
            let mut pending = inner.pending.lock();
            let some = !pending.text.is_empty() && !pending.is_full();
            some.then(|| (inner.id, pending.take()))
        });
        taken.collect()
    }

    /// Says what became of the lines of [`take_all`](Self::take_all); those that are not stored
    /// come back to logs that are still written.
    pub fn settle(&self, lines: Vec<(TaskId, String)>, stored: bool) {
        for (id, text) in lines {
            let Some(inner) = self.find(id) else { continue };
            let mut pending = inner.pending.lock();
            pending.storing = pending.storing.saturating_sub(1);
            if !stored {
                pending.text.insert_str(0, &text);
                pending.bound();
            }
        }
        if stored {
            self.tell_readers();
        }
    }

    /// Wakes whoever follows a log.
    pub fn tell_readers(&self) {
        self.stored.send_replace(());
    }

    /// Follows logs until it is dropped.
    pub fn watch(&self) -> LogWatch {
        self.readers.fetch_add(1, Ordering::Relaxed);
        LogWatch { stored: self.stored.subscribe(), readers: Arc::clone(&self.readers) }
    }

    /// Whether somebody follows a log.
    pub fn has_readers(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }
}

impl LogWatch {
    /// Returns when lines were stored, of whatever task, since the last time.
    pub async fn changed(&mut self) {
        if self.stored.changed().await.is_err() {
            std::future::pending::<()>().await; // the engine is gone: nothing will change
        }
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
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
    let breaks = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if log.as_bytes().get(start..).is_some_and(|line| line.iter().any(breaks)) {
        let line = log.split_off(start);
        log.push_str(&line.replace(['\n', '\r'], " "));
    }
    log.push('\n');
}

impl TaskLog {
    /// Adds one line.
    pub fn line(&self, mark: &str, text: impl std::fmt::Display) {
        let mut pending = self.inner.pending.lock();
        if pending.text.capacity() == 0 {
            pending.text.reserve(USUAL_LOG);
        }
        push_line(&mut pending.text, mark, text);
        pending.bound();
    }

    /// Takes what is not stored yet, to be stored with the end of the task.
    pub fn take(&self) -> String {
        self.inner.pending.lock().take()
    }

    /// Takes back what was to be stored with an end that did not come.
    pub fn put_back(&self, text: String) {
        self.logs.settle(vec![(self.inner.id, text)], false);
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
    fn is_full(&self) -> bool {
        self.taken_bytes >= LONGEST_LOG
    }

    fn bound(&mut self) {
        let longest = if self.is_full() { LONGEST_END } else { LONGEST_PENDING };
        if self.text.len() <= longest {
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
        self.text.clear();
        self.dropped_lines = 0;
        self.taken_bytes += text.len();
        self.takes += 1;
        self.storing += 1;
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
    fn a_log_of_any_length_stores_its_beginning_and_its_end() {
        let logs = TaskLogs::default();
        let log = logs.open(TaskId(Uuid::nil()));
        let long = "x".repeat(1000);
        let mut stored = String::new();
        for number in 0..10_000 {
            log.line("🚧", format_args!("{number} {long}"));
            if number % 100 == 0 {
                let lines = logs.take_all();
                stored.extend(lines.iter().map(|(_, text)| text.as_str()));
                logs.settle(lines, true);
            }
        }
        log.line("🔗", "the end");
        stored += &log.take();
        assert!(stored.len() < LONGEST_LOG + LONGEST_PENDING + LONGEST_END, "{}", stored.len());
        let numbers = stored.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        assert!(numbers.iter().take(1000).copied().eq(0..1000), "{numbers:?}");
        assert!(numbers.is_sorted());
        assert_eq!(stored.matches("older lines were dropped").count(), 1);
        assert!(stored.ends_with("🔗 the end\n"));
    }

    #[test]
    fn lines_that_could_not_be_stored_come_back_in_front() {
        let logs = TaskLogs::default();
        let log = logs.open(TaskId(Uuid::nil()));
        log.line("🚧", "one");
        let taken = logs.take_all();
        log.line("🚧", "two\r\nand a half");
        let unstored = logs.unstored(TaskId(Uuid::nil())).unwrap();
        assert!(unstored.storing && !unstored.text.contains("one"));
        logs.settle(taken, false);
        let text = log.take();
        let texts: Vec<_> = text.lines().map(|line| line.split_once("🚧 ").unwrap().1).collect();
        assert_eq!(texts, ["one", "two  and a half"], "a line is one line");
    }

    #[tokio::test]
    async fn readers_are_counted_and_told() {
        let logs = TaskLogs::default();
        let log = logs.open(TaskId(Uuid::nil()));
        log.line("🚧", "one");
        assert!(!logs.has_readers());
        let mut watch = logs.watch();
        assert!(logs.has_readers());
        logs.settle(logs.take_all(), true);
        watch.changed().await;
        drop(watch);
        assert!(!logs.has_readers());
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
