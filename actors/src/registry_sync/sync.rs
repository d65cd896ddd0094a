//! The second half of a sync: what follows once upstream has answered for the document.

use std::time::Duration;

use store::tasks::TaskRow;
use store::{Committed, PackageChange, TaskEnd, TaskFailure, TaskState};

use super::JobDeps;
use super::job::Synced;
use super::settle::{JobError, JobFailure, JobResult};
use crate::clock::now_ms;
use crate::committer::{Commit, CommitError};
use crate::events::SyncSummary;
use crate::hook_news;
use crate::known::Known;
use crate::log_writer::TaskLog;
use crate::policy::RemovedPolicy;
use crate::removal::{self, Absence};
use crate::upstream::{Upstream, UpstreamError, Urgency};

/// The second half of a sync: tarballs, commit, dependencies.
pub(super) struct Sync<'a> {
    pub(super) deps: &'a JobDeps,
    pub(super) task: &'a TaskRow,
    pub(super) log: &'a TaskLog,
    pub(super) upstream: &'a Upstream,
    pub(super) urgency: Urgency,
    pub(super) known: &'a Known,
    /// The document is not the last word: it is taken, and the task goes on later.
    pub(super) older: Option<JobError>,
    /// How long a new document took to be read, compared and stored.
    pub(super) refreshed: Option<Duration>,
}

impl Sync<'_> {
    /// What follows when upstream has no document; a package that is here may be gone.
    pub(super) async fn without_document(&self, error: UpstreamError) -> JobResult {
        let policy = &self.deps.rules.policy;
        let Some(status) = removal::absent_status(&error) else { return Err(error.into()) };
        match removal::absent(self.known, policy, status) {
            None => Err(self.deps.staleness.judge_failure(self.task, error).into()),
            Some(Absence::Noted { change, decided_at_ms }) => {
                let sent = self.deps.commit.send(Commit { change }).await;
                sent.unwrap_or(Err(CommitError::Restarted)).map_err(JobError::Commit)?;
                let wait_ms = decided_at_ms.saturating_sub(now_ms()).max(0).unsigned_abs();
                Err(JobError::Absent { error, wait: Duration::from_millis(wait_ms) }.into())
            }
            Some(Absence::Decided { change }) => self.finish_absent(change, &error).await,
        }
    }

    async fn finish_absent(&self, mut change: PackageChange, error: &UpstreamError) -> JobResult {
        hook_news::tell_absence(&self.deps.store, self.known, &mut change).await;
        let removed = self.deps.rules.policy.removed;
        if removed == RemovedPolicy::Block {
            let blocked = removal::block_package(&self.deps.rules.write, &self.task.name).await;
            blocked.map_err(JobError::Commit)?;
        }
        self.log.line("🗑️", format_args!("{error}, as before: {removed} (sync.removed)"));
        let summary = SyncSummary::default();
        let committed = self.commit(change, None, false).await;
        committed.map_err(|error| JobFailure { error, summary: summary.clone() })?;
        Ok(Synced { state: TaskState::Success, summary, error: None })
    }

    /// Tarballs, dependencies, commit.
    pub(super) async fn finish(
        mut self,
        mut change: PackageChange,
        dependencies: Vec<String>,
    ) -> JobResult {
        let mut summary = SyncSummary::default();
        let error = self.fetch_tarballs(&mut change, &mut summary).await;
        let error = error.map_err(|error| JobFailure { error, summary: summary.clone() })?;
        self.log_totals(&change, &summary);
        self.log_tags(&change).await.map_err(JobError::Store)?;
        if !self.task.options.skip_dependencies {
            // before the commit: a crash between the two repeats this, it never forgets it
            self.enqueue_dependencies(dependencies).await;
        }
        let failed_whole = error.is_some() && summary.versions_new + summary.versions_here == 0;
        let committed = self.commit(change, error.as_deref(), failed_whole).await;
        committed.map_err(|error| JobFailure { error, summary: summary.clone() })?;
        if let Some(error) = self.older.take() {
            return Err(JobFailure { error, summary });
        }
        Ok(Synced { state: end_state(failed_whole), summary, error })
    }

    async fn commit(
        &self,
        mut change: PackageChange,
        error: Option<&str>,
        failed_whole: bool,
    ) -> Result<Committed, JobError> {
        let ends = self.older.is_none();
        self.log_end(change.document.is_some(), ends && !failed_whole);
        let state = end_state(failed_whole);
        // a task that goes on later keeps its log for then
        let log = if ends { self.log.take() } else { String::new() };
        change.task = ends.then(|| TaskEnd {
            id: self.task.id,
            state,
            error: error.map(str::to_owned),
            failure: failed_whole.then_some(TaskFailure::Other),
            log: log.clone(),
        });
        let sent = self.deps.commit.send(Commit { change }).await;
        let committed = sent.unwrap_or(Err(CommitError::Restarted));
        // of a restarted committer nobody knows whether it stored them
        if committed.as_ref().is_err_and(|error| !matches!(error, CommitError::Restarted)) {
            self.log.put_back(log);
        }
        Ok(committed?)
    }
}

fn end_state(failed_whole: bool) -> TaskState {
    if failed_whole { TaskState::Error } else { TaskState::Success }
}
