//! What became of the tasks of one `sync`: plain state, fed by events and by polled rows.

use std::collections::HashMap;

use actors::{EngineEvent, SyncSummary};
use serde::Serialize;
use store::{TaskFailure, TaskId, TaskState};

use crate::cli::{exit::Exit, problem::Problem, text};
use crate::control::messages::TaskAnswer;

/// A task as this command sees it.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// The package.
    pub name: String,
    /// Its state.
    pub state: TaskState,
    /// Tarballs settled in this run.
    pub done: u64,
    /// Tarballs to settle in this run.
    pub total: u64,
    /// Bytes over the wire.
    pub bytes: u64,
    /// Why it failed or waits.
    pub error: Option<String>,
    /// What kind of failure that is.
    pub failure: Option<TaskFailure>,
    /// What it did, once it ended and its event was seen.
    pub summary: SyncSummary,
}

impl Tracked {
    fn new(name: String, state: TaskState) -> Self {
        Self {
            name,
            state,
            done: 0,
            total: 0,
            bytes: 0,
            error: None,
            failure: None,
            summary: SyncSummary::default(),
        }
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, TaskState::Success | TaskState::Error)
    }
}

/// All tasks of one `sync`.
#[derive(Debug, Default)]
pub struct Tracker {
    tasks: HashMap<TaskId, Tracked>,
    /// Events of tasks nobody has asked about yet: dependencies, or other people's tasks.
    strangers: HashMap<TaskId, Tracked>,
    open: usize,
}

/// The figures of the summary line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Packages asked for, dependencies included.
    pub packages: u64,
    /// Packages synced.
    pub synced: u64,
    /// Packages that failed.
    pub failed: u64,
    /// Versions fetched in this run.
    pub versions_new: u64,
    /// Versions that were here before.
    pub versions_here: u64,
    /// Versions that could not be had.
    pub versions_failed: u64,
    /// Bytes over the wire.
    pub bytes: u64,
}

impl Tracker {
    /// Follows a task from now on, with what was already heard of it.
    pub fn follow(&mut self, id: TaskId, name: &str, state: TaskState) {
        if self.tasks.contains_key(&id) {
            return;
        }
        let heard = self.strangers.remove(&id);
        let task = heard.unwrap_or_else(|| Tracked::new(name.to_owned(), state));
        self.open += usize::from(!task.is_over());
        self.tasks.insert(id, task);
    }

    /// Takes in what a row of the database says; it never undoes what an event said.
    ///
    /// Answers the task when this is how it ended.
    pub fn row(&mut self, row: &TaskAnswer) -> Option<&Tracked> {
        let task = self.tasks.get_mut(&row.id)?;
        if task.is_over() {
            return None;
        }
        task.state = row.state;
        task.error.clone_from(&row.error);
        task.failure = row.failure;
        if !task.is_over() {
            return None;
        }
        self.open -= 1;
        self.tasks.get(&row.id)
    }

    /// Takes in an event; answers the task of ours that it changed.
    pub fn event(&mut self, event: &EngineEvent) -> Option<(TaskId, &Tracked)> {
        let (id, name) = match event {
            EngineEvent::TaskStarted { id, name }
            | EngineEvent::Versions { id, name, .. }
            | EngineEvent::TaskEnded { id, name, .. } => (*id, name),
            _ => return None,
        };
        let ours = self.tasks.contains_key(&id);
        let among = if ours { &mut self.tasks } else { &mut self.strangers };
        let task = among
            .entry(id)
            .or_insert_with(|| Tracked::new(name.to_string(), TaskState::Processing));
        let was_over = task.is_over();
        apply(task, event);
        let ended = !was_over && task.is_over();
        self.open -= usize::from(ours && ended);
        self.tasks.get(&id).map(|task| (id, task))
    }

    /// How many tasks have not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// The tasks that have not ended.
    #[must_use]
    pub fn open_ids(&self) -> Vec<TaskId> {
        self.tasks.iter().filter(|(_, task)| !task.is_over()).map(|(id, _)| *id).collect()
    }

    /// One task.
    #[must_use]
    pub fn find(&self, id: TaskId) -> Option<&Tracked> {
        self.tasks.get(&id)
    }

    /// Tasks in a state.
    pub fn in_state(&self, state: TaskState) -> impl Iterator<Item = (&TaskId, &Tracked)> {
        self.tasks.iter().filter(move |(_, task)| task.state == state)
    }

    /// The figures so far.
    ///
    /// A package may have several tasks, one of its own and some as a dependency; it counts once.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut packages: HashMap<&str, OfPackage> = HashMap::with_capacity(self.tasks.len());
        for task in self.tasks.values() {
            packages.entry(&task.name).or_default().add(task);
        }
        let mut totals = Totals::default();
        for package in packages.values() {
            totals.packages += 1;
            totals.synced += u64::from(package.synced);
            totals.failed += u64::from(package.failed && !package.synced);
            totals.versions_new += package.versions_new;
            totals.versions_here += package.versions.saturating_sub(package.versions_new);
            totals.versions_failed += package.versions_failed;
            totals.bytes += package.bytes;
        }
        totals
    }

    /// Failures by name: package and reason, whole packages first.
    #[must_use]
    pub fn failures(&self) -> Vec<(&str, &str)> {
        let mut failed: Vec<(bool, &str, &str)> = self
            .tasks
            .values()
            .filter(|task| task.state == TaskState::Error || task.summary.versions_failed > 0)
            .map(|task| {
                let reason = task.error.as_deref().unwrap_or("no reason was given");
                (task.state != TaskState::Error, task.name.as_str(), reason)
            })
            .collect();
        failed.sort_unstable();
        failed.into_iter().map(|(_, name, reason)| (name, reason)).collect()
    }

    /// What to say when not one package was synced.
    #[must_use]
    pub fn nothing_synced(&self) -> Option<Problem> {
        let totals = self.totals();
        if totals.synced > 0 || totals.failed == 0 {
            return None;
        }
        let exit = self.exit();
        let failures = self.failures();
        let (name, why) = *failures.first()?;
        let problem = match (exit, failures.len()) {
            (Exit::NotFound, 1) => Problem::new(exit, "NOT_FOUND", format!("{name} is not here"))
                .hint(format!("check the name; recheck with `espejo sync {name} --force`")),
            (Exit::NotFound, count) => {
                Problem::new(exit, "NOT_FOUND", format!("none of {count} packages is there"))
                    .hint("check the names")
            }
            (Exit::Unreachable, _) => {
                Problem::new(exit, "UNREACHABLE", "upstream cannot be asked").hint("espejo doctor")
            }
            (_, 1) => Problem::failed(format!("{name} could not be synced"))
                .hint(format!("espejo task list --name {name}")),
            (_, count) => Problem::failed(format!("none of {count} packages could be synced"))
                .hint("espejo task list --state error"),
        };
        Some(problem.why(why))
    }

    /// How the command ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let totals = self.totals();
        if totals.failed == 0 && totals.versions_failed == 0 {
            return Exit::Done;
        }
        if totals.synced > 0 {
            return Exit::Partly;
        }
        let failed: Vec<Exit> =
            self.in_state(TaskState::Error).map(|(_, task)| exit_of(task.failure)).collect();
        match failed.first() {
            Some(first) if failed.iter().all(|exit| exit == first) => *first,
            _ => Exit::Failed,
        }
    }
}

/// What the tasks of one package did together.
#[derive(Debug, Default)]
struct OfPackage {
    synced: bool,
    failed: bool,
    versions_new: u64,
    versions: u64,
    versions_failed: u64,
    bytes: u64,
}

impl OfPackage {
    fn add(&mut self, task: &Tracked) {
        let summary = &task.summary;
        self.synced |= task.state == TaskState::Success;
        self.failed |= task.state == TaskState::Error;
        self.versions_new += summary.versions_new;
        self.versions = self.versions.max(summary.versions_new + summary.versions_here);
        self.versions_failed = self.versions_failed.max(summary.versions_failed);
        self.bytes += if task.is_over() { summary.bytes } else { task.bytes };
    }
}

fn apply(task: &mut Tracked, event: &EngineEvent) {
    match event {
        EngineEvent::TaskStarted { .. } => task.state = TaskState::Processing,
        EngineEvent::Versions { done, total, bytes, .. } => {
            task.done = *done;
            task.total = *total;
            task.bytes = *bytes;
        }
        EngineEvent::TaskEnded { state, error, failure, summary, .. } => {
            task.state = *state;
            task.error.clone_from(error);
            task.failure = *failure;
            task.summary = summary.clone();
        }
        _ => {}
    }
}

fn exit_of(failure: Option<TaskFailure>) -> Exit {
    match failure {
        Some(TaskFailure::NotFound) => Exit::NotFound,
        Some(TaskFailure::Unreachable) => Exit::Unreachable,
        Some(TaskFailure::Other) | None => Exit::Failed,
    }
}

impl Totals {
    /// `Synced 3 packages, 151 versions, 31.4 MiB in 5.2 s (61 new, 90 already here, 0 failed)`.
    #[must_use]
    pub fn sentence(&self, took: std::time::Duration) -> String {
        let packages = if self.synced == self.packages {
            text::counted(self.packages, "package")
        } else {
            format!("{} of {}", text::count(self.synced), text::counted(self.packages, "package"))
        };
        format!(
            "Synced {packages}, {}, {} in {} ({} new, {} already here, {} failed)",
            text::counted(self.versions_new + self.versions_here, "version"),
            text::bytes(self.bytes),
            text::span(took),
            text::count(self.versions_new),
            text::count(self.versions_here),
            text::count(self.versions_failed),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use npm::PackageName;

    use super::*;

    fn id(number: u128) -> TaskId {
        TaskId(uuid::Uuid::from_u128(number))
    }

    fn name(number: u128) -> String {
        format!("lamp-{number}")
    }

    fn ended(number: u128, state: TaskState, failure: Option<TaskFailure>) -> EngineEvent {
        EngineEvent::TaskEnded {
            id: id(number),
            name: PackageName::parse(&name(number)).unwrap(),
            state,
            error: failure.map(|_| "why".to_owned()),
            failure,
            summary: SyncSummary {
                versions_new: 61,
                versions_here: 90,
                versions_failed: 0,
                bytes: 5,
            },
        }
    }

    fn row(number: u128, state: TaskState, failure: Option<TaskFailure>) -> TaskAnswer {
        TaskAnswer {
            id: id(number),
            name: name(number),
            registry: "default".to_owned(),
            state,
            priority: 0,
            attempts: 1,
            error: failure.map(|_| "why".to_owned()),
            failure,
            author: None,
            created_at_ms: 0,
            updated_at_ms: 0,
            not_before_ms: 0,
            place: None,
        }
    }

    #[test]
    fn a_missed_event_changes_no_exit_code() {
        for (failure, exit) in [
            (TaskFailure::NotFound, Exit::NotFound),
            (TaskFailure::Unreachable, Exit::Unreachable),
            (TaskFailure::Other, Exit::Failed),
        ] {
            let mut tracker = Tracker::default();
            tracker.follow(id(1), &name(1), TaskState::Waiting);
            assert!(tracker.row(&row(1, TaskState::Error, Some(failure))).is_some());
            assert_eq!(tracker.exit(), exit);
        }
    }

    #[test]
    fn events_and_rows_end_a_task_once() {
        let mut tracker = Tracker::default();
        tracker.follow(id(1), &name(1), TaskState::Waiting);
        tracker.follow(id(2), &name(2), TaskState::Waiting);
        assert_eq!(tracker.open(), 2);
        tracker.event(&ended(1, TaskState::Success, None));
        assert!(tracker.row(&row(1, TaskState::Processing, None)).is_none());
        tracker.event(&ended(1, TaskState::Success, None));
        assert_eq!(tracker.open(), 1);
        assert!(tracker.row(&row(2, TaskState::Success, None)).is_some());
        assert_eq!((tracker.open(), tracker.exit()), (0, Exit::Done));
        let totals = tracker.totals();
        assert_eq!((totals.packages, totals.synced, totals.versions_new), (2, 2, 61));
    }

    #[test]
    fn a_stranger_that_turns_out_to_be_ours_keeps_what_was_heard() {
        let mut tracker = Tracker::default();
        assert!(tracker.event(&ended(7, TaskState::Success, None)).is_none());
        assert_eq!(tracker.totals(), Totals::default());
        tracker.follow(id(7), &name(7), TaskState::Waiting);
        assert_eq!((tracker.open(), tracker.totals().versions_here), (0, 90));
    }

    #[test]
    fn a_package_with_several_tasks_counts_once() {
        let mut tracker = Tracker::default();
        for (number, versions_new, versions_here) in [(1, 61, 90), (2, 0, 151)] {
            tracker.follow(id(number), "lamp", TaskState::Waiting);
            let mut event = ended(number, TaskState::Success, None);
            if let EngineEvent::TaskEnded { summary, .. } = &mut event {
                *summary = SyncSummary { versions_new, versions_here, ..SyncSummary::default() };
            }
            tracker.event(&event);
        }
        let totals = tracker.totals();
        assert_eq!((totals.packages, totals.synced), (1, 1));
        assert_eq!((totals.versions_new, totals.versions_here), (61, 90));
    }

    #[test]
    fn a_task_put_back_is_still_open() {
        let mut tracker = Tracker::default();
        tracker.follow(id(1), &name(1), TaskState::Waiting);
        tracker.event(&ended(1, TaskState::Waiting, Some(TaskFailure::Other)));
        assert_eq!((tracker.open(), tracker.open_ids()), (1, vec![id(1)]));
    }

    #[test]
    fn the_exit_code_says_how_it_ended() {
        let exit = |ends: &[(TaskState, Option<TaskFailure>)]| {
            let mut tracker = Tracker::default();
            for (number, (state, failure)) in ends.iter().enumerate() {
                let number = u128::try_from(number).unwrap();
                tracker.follow(id(number), &name(number), TaskState::Waiting);
                tracker.event(&ended(number, *state, *failure));
            }
            tracker.exit()
        };
        let not_found = (TaskState::Error, Some(TaskFailure::NotFound));
        let unreachable = (TaskState::Error, Some(TaskFailure::Unreachable));
        let broken = (TaskState::Error, Some(TaskFailure::Other));
        let success = (TaskState::Success, None);
        let mut tracker = Tracker::default();
        tracker.follow(id(1), "ghost", TaskState::Waiting);
        assert!(tracker.nothing_synced().is_none());
        tracker.event(&ended(1, TaskState::Error, not_found.1));
        let problem = tracker.nothing_synced().unwrap();
        assert_eq!((problem.code, problem.exit), ("NOT_FOUND", Exit::NotFound));
        assert!(problem.to_string().contains("ghost is not here"), "{problem}");
        assert_eq!(exit(&[success, success]), Exit::Done);
        assert_eq!(exit(&[success, not_found]), Exit::Partly);
        assert_eq!(exit(&[not_found, not_found]), Exit::NotFound);
        assert_eq!(exit(&[unreachable]), Exit::Unreachable);
        assert_eq!(exit(&[broken]), Exit::Failed);
        assert_eq!(exit(&[not_found, unreachable]), Exit::Failed);
    }

    #[test]
    fn the_summary_is_one_sentence() {
        let totals = Totals {
            packages: 3,
            synced: 3,
            versions_new: 61,
            versions_here: 90,
            bytes: 31 << 20,
            ..Totals::default()
        };
        assert_eq!(
            totals.sentence(Duration::from_millis(5_240)),
            "Synced 3 packages, 151 versions, 31.0 MiB in 5.2 s (61 new, 90 already here, 0 failed)"
        );
        let totals = Totals { synced: 2, failed: 1, ..totals };
        assert!(totals.sentence(Duration::ZERO).starts_with("Synced 2 of 3 packages, "));
    }
}
