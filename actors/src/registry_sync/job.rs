//! One sync of one package, from the conditional request to the durable change.

use std::collections::HashSet;
use std::time::Duration;

use npm::PackageName;
use store::tasks::{self, NewTask, TaskOptions, TaskRow};
use store::{
    Committed, Keeping, PackageChange, StoreError, TaskEnd, TaskId, TaskState, Validators,
    VersionChange, VersionState, dist_tags,
};

use super::JobDeps;
use super::asked::Asked;
use super::plan::{WantedRule, WantedVersions, settle_version};
use super::settle::{JobError, JobFailure, JobResult};
use super::tags;
use super::tarballs::{self, HeldTarball, TarballFailure};
use crate::change_builder::DocumentPlan;
use crate::clock::now_ms;
use crate::committer::{Commit, CommitError};
use crate::engine::DEFAULT_REGISTRY;
use crate::events::{EngineEvent, SyncSummary};
use crate::known::Known;
use crate::log_writer::TaskLog;
use crate::policy::RemovedPolicy;
use crate::removal::{self, Absence};
use crate::task_queue::EnqueueTasks;
use crate::upstream::{PackumentAnswer, Upstream, UpstreamError, Urgency};

/// A package may change while it is synced (a reader's miss); then the diff is made anew.
const TRIES_ON_CONFLICT: usize = 4;

/// A finished sync.
#[derive(Debug)]
pub struct Synced {
    /// `Error` when not a single version could be had, `Success` otherwise.
    pub state: TaskState,
    /// What it did.
    pub summary: SyncSummary,
    /// The last failure of a single version, if any.
    pub error: Option<String>,
}

/// Syncs the package of one claimed task.
pub async fn sync_package(deps: &JobDeps, task: &TaskRow, log: &TaskLog) -> JobResult {
    if let Some(tips) = &task.options.tips {
        log.line("👉", format_args!("👉👉👉👉 Tips: {tips} 👈👈👈👈👈"));
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let failed = match try_sync(deps, task, log).await {
            Ok(synced) => return Ok(synced),
            Err(failed) => failed,
        };
        let again = matches!(
            failed.error,
            JobError::Commit(
                CommitError::Conflict { .. } | CommitError::MissingBlob(_) | CommitError::Restarted
            )
        );
        if !again || tries >= TRIES_ON_CONFLICT {
            return Err(failed);
        }
        log.line("🐛", format_args!("{}; the sync starts over", failed.error));
    }
}

async fn try_sync(deps: &JobDeps, task: &TaskRow, log: &TaskLog) -> JobResult {
    if let Some(reason) = deps.parking.reason() {
        return Err(JobError::Parked(reason).into());
    }
    let upstream = deps.upstream().ok_or(JobError::NoUpstream)?;
    let known = Known::read(&deps.store, &task.name).await?;
    deps.registries.ownership().check(&task.name, known.owner(), &deps.registry)?;
    let known = known.asked_at(&upstream);
    let urgency = urgency(task);
    log.line(
        "🚧",
        format_args!(
            "🚧🚧🚧🚧 Syncing from {}{}, skipDependencies: {}, syncDownloadData: {}, \
             forceSyncHistory: {}, attempts: {}, worker: {} 🚧🚧🚧🚧🚧",
            upstream.settings().url,
            task.name.url_path(),
            task.options.skip_dependencies,
            task.options.sync_download_data,
            task.options.force_sync_history,
            task.attempts,
            std::process::id(),
        ),
    );
    if let Some(versions) = &task.options.specific_versions {
        log.line("👉", format_args!("Only these versions: {}", versions.join(", ")));
    }
    if task.options.sync_download_data {
        log.line("⚠️", "syncDownloadData: no source of download counts is configured");
    }
    let options = &task.options;
    let unconditional = options.force || options.force_sync_history;
    let validators = match unconditional || deps.staleness.is_last(task) {
        true => Validators::default(),
        false => deps.rules.validators(&known),
    };
    let mut sync =
        Sync { deps, task, log, upstream: &upstream, urgency, known: &known, older: None };
    let answer = match upstream.packument(&task.name, &validators, urgency).await {
        Ok(answer) => answer,
        Err(error) => return sync.without_document(error).await,
    };
    let mut dependencies = Vec::new();
    let mut change = match answer {
        PackumentAnswer::NotModified { validators } => {
            log.line("🟢", "HTTP 304, the document is unchanged");
            let held = known.row.as_ref().and_then(|row| row.upstream_rev.as_deref());
            sync.older = deps.staleness.judge(task, held);
            known.touched(validators, "sync")
        }
        PackumentAnswer::Found(mut fetched) => {
            log.line(
                "🟢",
                format_args!(
                    "HTTP 200, body size: {}, stored as {} bytes",
                    fetched.body.len(),
                    fetched.stored.len()
                ),
            );
            let mut plan = deps.rules.plan(&upstream, &known, &mut fetched).await?;
            sync.log_plan(&plan);
            sync.older = deps.staleness.judge(task, plan.upstream_rev.as_deref());
            dependencies = std::mem::take(&mut plan.dependencies);
            known.with_document(&deps.store, fetched, plan, "sync").await?
        }
    };
    change.keep = keep(&known, task);
    sync.finish(change, dependencies).await
}

/// How much of the package is kept from now on.
fn keep(known: &Known, task: &TaskRow) -> Keeping {
    let asked = match task.options.specific_versions {
        Some(_) => Keeping::Cached, // these versions only, not every one to come
        None => task.options.keep,
    };
    known.row.as_ref().map_or(asked, |row| row.keep.raised_by(asked))
}

/// Nobody waits for what the feed or the sweep found; a dependency is part of what was asked.
pub(super) fn urgency(task: &TaskRow) -> Urgency {
    match task.priority {
        tasks::PRIORITY_FEED => Urgency::Feed,
        tasks::PRIORITY_SWEEP => Urgency::Sweep,
        _ => Urgency::Person,
    }
}

/// The second half of a sync: tarballs, commit, dependencies.
struct Sync<'a> {
    deps: &'a JobDeps,
    task: &'a TaskRow,
    log: &'a TaskLog,
    upstream: &'a Upstream,
    urgency: Urgency,
    known: &'a Known,
    /// The document is not the last word: it is taken, and the task goes on later.
    older: Option<JobError>,
}

impl Sync<'_> {
    /// What follows when upstream has no document; a package that is here may be gone.
    async fn without_document(&self, error: UpstreamError) -> JobResult {
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

    async fn finish_absent(&self, change: PackageChange, error: &UpstreamError) -> JobResult {
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

    async fn finish(mut self, mut change: PackageChange, dependencies: Vec<String>) -> JobResult {
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

    fn log_plan(&self, plan: &DocumentPlan) {
        let latest = plan.dist_tags.iter().find(|(tag, _)| tag == "latest");
        let latest = latest.map_or("none", |(_, version)| version.as_str());
        self.log.line(
            "📖",
            format_args!(
                "latest version: {latest}, modified: {}",
                plan.modified.as_deref().unwrap_or("unknown")
            ),
        );
        self.log.line(
            "🚧",
            format_args!(
                "Syncing versions {} => {}, {} new or changed",
                self.known.versions.len(),
                plan.total,
                plan.versions.len()
            ),
        );
        let removed = self.deps.rules.policy.removed;
        for version in &plan.removed {
            let why = format_args!("{version} is gone upstream: {removed} (sync.removed)");
            self.log.line("🗑️", why);
        }
        for alarm in &plan.alarms {
            tracing::warn!(package.name = %self.task.name, alarm, "upstream contradicts itself");
            self.log.line("⚠️", alarm);
        }
    }

    /// Fetches what is missing; answers the last failure of a single version.
    async fn fetch_tarballs(
        &self,
        change: &mut PackageChange,
        summary: &mut SyncSummary,
    ) -> Result<Option<String>, JobError> {
        let asked = match &self.task.options.specific_versions {
            Some(specs) => Some(Asked::read(specs, &self.deps.store, self.known, change).await?),
            None => None,
        };
        let mut error = None;
        for spec in asked.iter().flat_map(|asked| &asked.unknown) {
            error = Some(self.version_failed(spec, "upstream has no such version", summary));
        }
        let only = asked.as_ref().map(|asked| &asked.versions);
        let rule = WantedRule {
            policy: &self.deps.rules.policy,
            keep: change.keep,
            only,
            refresh: self.task.options.refresh,
            force: self.task.options.force,
            history: self.task.options.force_sync_history,
        };
        let mut wanted = WantedVersions::collect(rule, &mut change.versions, &self.known.versions);
        let held = self.known.versions.iter().filter(|row| row.state == VersionState::Held).count();
        summary.versions_here = u64::try_from(held).unwrap_or(0);
        for refused in change.versions.iter().filter(|row| row.state == VersionState::Failed) {
            let reason = refused.reason.as_deref().unwrap_or("its digest cannot be read");
            error = Some(self.version_failed(&refused.version, reason, summary));
        }
        let mut progress = Progress::new(self, &wanted);
        let results = tarballs::fetch_all(
            self.deps,
            self.upstream,
            self.urgency,
            &wanted.tarballs,
            self.task.options.force_sync_history,
            |index, result| progress.settled(index, result),
        )
        .await?;
        for (versions, result) in wanted.versions.iter_mut().zip(&results) {
            note_blob(change, result);
            for mut version in versions.drain(..) {
                settle_version(&mut version, result);
                error = self.count_version(&version, result, summary).or(error);
                change.versions.push(version);
            }
            summary.bytes += result.as_ref().map_or(0, |held| {
                if held.fetched { held.location.length.unsigned_abs() } else { 0 }
            });
        }
        Ok(error)
    }

    fn count_version(
        &self,
        version: &VersionChange,
        result: &Result<HeldTarball, TarballFailure>,
        summary: &mut SyncSummary,
    ) -> Option<String> {
        let number = summary.versions_new + summary.versions_failed + 1;
        match result {
            Ok(held) => {
                summary.versions_new += 1;
                self.log.line(
                    "🎉",
                    format_args!(
                        "[{number}] Synced version {} success, {} bytes{}",
                        version.version,
                        held.location.length,
                        if held.fetched { "" } else { ", already here under the same digest" }
                    ),
                );
                None
            }
            Err(TarballFailure::TooLarge(reason)) => {
                self.log.line("⚠️", format_args!("{} skipped: {reason}", version.version));
                None
            }
            Err(failure) => {
                Some(self.version_failed(&version.version, &failure.to_string(), summary))
            }
        }
    }

    fn version_failed(&self, version: &str, reason: &str, summary: &mut SyncSummary) -> String {
        summary.versions_failed += 1;
        let text = format!("{}@{version}: {reason}", self.task.name);
        self.log.line("❌", &text);
        text
    }

    async fn commit(
        &self,
        mut change: PackageChange,
        error: Option<&str>,
        failed_whole: bool,
    ) -> Result<Committed, JobError> {
        let (name, id) = (self.task.name.url_path(), self.task.id);
        let ends = self.older.is_none();
        if !failed_whole && ends {
            self.log.line("🟢", format_args!("🟢🟢🟢🟢 {} 🟢🟢🟢🟢🟢", self.task.name));
        }
        self.log.line("📝", format_args!("Log URL: /-/package/{name}/syncs/{id}/log"));
        self.log.line("🔗", format_args!("{}{name}", self.upstream.settings().url));
        let state = end_state(failed_whole);
        // a task that goes on later keeps its log for then
        let log = if ends { self.log.take() } else { String::new() };
        change.task = ends.then(|| TaskEnd {
            id: self.task.id,
            state,
            error: error.map(str::to_owned),
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

    fn log_totals(&self, change: &PackageChange, summary: &SyncSummary) {
        self.log.line(
            "🟢",
            format_args!(
                "updated {} versions, removed {} versions, {} were here, {} failed",
                summary.versions_new,
                change.removed_versions.len(),
                summary.versions_here,
                summary.versions_failed,
            ),
        );
    }

    /// What a new document does to the dist-tags.
    async fn log_tags(&self, change: &PackageChange) -> Result<(), StoreError> {
        let Some(document) = &change.document else { return Ok(()) };
        let before = match &self.known.row {
            Some(row) => {
                let name = row.name.clone();
                let read =
                    self.deps.store.read_here(move |rows| dist_tags::of_package(rows, &name));
                read.await?
            }
            None => Vec::new(),
        };
        let changes = tags::changes(&before, &document.dist_tags);
        if !changes.is_empty() {
            let text = serde_json::to_string(&changes).unwrap_or_default();
            self.log.line("🟢", format_args!("Synced {} tags: {text}", changes.len()));
        }
        Ok(())
    }

    /// Whether so much waits already that dependencies are left to whoever asks for them.
    async fn queue_is_full(&self) -> bool {
        let (registry, most) = (self.task.registry.clone(), self.deps.limits.high_water);
        let read = self.deps.store.read_here(move |rows| {
            tasks::has_waiting(rows, &registry, tasks::PRIORITY_DEPENDENCY, most)
        });
        most > 0 && read.await.unwrap_or(false)
    }

    async fn enqueue_dependencies(&self, names: Vec<String>) {
        let tasks: Vec<_> = names
            .iter()
            .filter_map(|name| PackageName::parse(name).ok())
            .map(|name| self.dependency_task(name))
            .collect();
        if tasks.is_empty() {
            return;
        }
        if self.queue_is_full().await {
            let (left, most) = (tasks.len(), self.deps.limits.high_water);
            let why = format_args!(
                "{left} dependencies are left out: {most} tasks wait already (sync.high_water)"
            );
            self.log.line("⚠️", why);
            return;
        }
        let Ok(tasks) = self.deps.registries.assign(tasks).await else {
            tracing::warn!(package.name = %self.task.name, "its dependencies were not queued");
            return;
        };
        let ids: HashSet<TaskId> = tasks.iter().map(|task| task.id).collect();
        let Ok(Ok(rows)) = self.deps.enqueue.send(EnqueueTasks { tasks }).await else {
            tracing::warn!(package.name = %self.task.name, "its dependencies were not queued");
            return;
        };
        for row in rows {
            let (name, id) = (&row.name, row.id);
            if ids.contains(&id) {
                self.log.line("📦", format_args!("Add dependency \"{name}\" sync task: {id}"));
            } else {
                self.log.line("📖", format_args!("Has dependency \"{name}\" sync task: {id}"));
            }
        }
    }

    fn dependency_task(&self, name: PackageName) -> NewTask {
        let options = TaskOptions {
            tips: Some(format!("needed by {}", self.task.name)),
            keep: self.task.options.keep,
            ..TaskOptions::default()
        };
        NewTask {
            id: TaskId::new(),
            name,
            registry: DEFAULT_REGISTRY.to_owned(), // assigned to its owner
            priority: tasks::PRIORITY_DEPENDENCY,
            options,
            author: None,
            author_ip: None,
        }
    }
}

fn end_state(failed_whole: bool) -> TaskState {
    if failed_whole { TaskState::Error } else { TaskState::Success }
}

fn note_blob(change: &mut PackageChange, result: &Result<HeldTarball, TarballFailure>) {
    if let Ok(held) = result {
        if held.fetched {
            change.blobs.push((held.digest, held.location));
        } else {
            change.reused.push(held.digest);
        }
    }
}

/// Tells whoever listens how far the tarballs are.
struct Progress<'a> {
    sync: &'a Sync<'a>,
    weights: Vec<u64>,
    total: u64,
    done: u64,
    bytes: u64,
}

impl<'a> Progress<'a> {
    fn new(sync: &'a Sync<'a>, wanted: &WantedVersions) -> Self {
        let weights =
            wanted.versions.iter().map(|group| u64::try_from(group.len()).unwrap_or(0)).collect();
        let total = u64::try_from(wanted.count()).unwrap_or(0);
        Self { sync, weights, total, done: 0, bytes: 0 }
    }

    fn settled(&mut self, index: usize, result: &Result<HeldTarball, TarballFailure>) {
        self.done += self.weights.get(index).copied().unwrap_or(0);
        if let Ok(HeldTarball { fetched: true, location, .. }) = result {
            self.bytes += location.length.unsigned_abs();
        }
        if self.sync.deps.events.receiver_count() > 0 {
            self.sync.deps.tell(EngineEvent::Versions {
                id: self.sync.task.id,
                name: self.sync.task.name.clone(),
                done: self.done,
                total: self.total,
                bytes: self.bytes,
            });
        }
    }
}
