//! One sync of one package, from the conditional request to the durable change.

use std::collections::HashSet;

use npm::{PackageName, PackumentScan, Sha512Digest};
use store::packages::PackageRow;
use store::tasks::{self, NewTask, TaskOptions, TaskRow};
use store::versions::{self, VersionRow};
use store::{
    Committed, DocumentChange, Keeping, PackageChange, StoreError, TaskEnd, TaskId, TaskState,
    Validators, VersionChange, VersionState, packages,
};

use super::JobDeps;
use super::plan::{WantedRule, WantedVersions, settle_version};
use super::settle::{JobError, JobFailure, JobResult};
use super::tarballs::{self, HeldTarball, TarballFailure};
use crate::change_builder::{DocumentPlan, plan_document};
use crate::clock::now_ms;
use crate::committer::{Commit, CommitError};
use crate::events::{EngineEvent, SyncSummary};
use crate::log_writer::TaskLog;
use crate::task_queue::EnqueueTasks;
use crate::upstream::{FetchedDocument, PackumentAnswer, Upstream, Urgency, in_place};

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

/// What was known of the package before.
struct Known {
    row: Option<PackageRow>,
    versions: Vec<VersionRow>,
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
    let known = read_known(deps, &task.name).await?;
    let urgency = urgency(task);
    log.line(
        "🚧",
        format_args!(
            "🚧🚧🚧🚧 Syncing from {}{}, skipDependencies: {}, attempts: {}, worker: {} 🚧🚧🚧🚧",
            upstream.settings().url,
            task.name.url_path(),
            task.options.skip_dependencies,
            task.attempts,
            std::process::id(),
        ),
    );
    let validators = known.validators(task);
    let answer = upstream.packument(&task.name, &validators, urgency).await?;
    let mut change = known.unchanged(task, deps);
    let plan = match answer {
        PackumentAnswer::NotModified { validators } => {
            log.line("🟢", "HTTP 304, the document is unchanged");
            change.validators = validators;
            None
        }
        PackumentAnswer::Found(fetched) => {
            Some(take_document(deps, task, &known, fetched, &mut change, log).await?)
        }
    };
    let sync = Sync { deps, task, log, upstream: &upstream, urgency, known: &known };
    sync.finish(change, plan).await
}

fn urgency(task: &TaskRow) -> Urgency {
    if task.priority == tasks::PRIORITY_PEOPLE { Urgency::Person } else { Urgency::Background }
}

async fn read_known(deps: &JobDeps, name: &PackageName) -> Result<Known, StoreError> {
    let name = name.clone();
    deps.store
        .read(move |connection| {
            let row = packages::find(connection, &name)?;
            let versions = match &row {
                Some(row) => versions::of_package(connection, row.id)?,
                None => Vec::new(),
            };
            Ok(Known { row, versions })
        })
        .await
}

impl Known {
    fn validators(&self, task: &TaskRow) -> Validators {
        let held = self.row.as_ref().filter(|row| row.document.is_some() && !task.options.force);
        held.map(|row| row.validators.clone()).unwrap_or_default()
    }

    fn keep(&self, task: &TaskRow) -> Keeping {
        let asked = match task.options.specific_versions {
            Some(_) => Keeping::Cached, // these versions only, not every one to come
            None => task.options.keep,
        };
        self.row.as_ref().map_or(asked, |row| row.keep.raised_by(asked))
    }

    /// The change that says no more than "asked just now".
    fn unchanged(&self, task: &TaskRow, deps: &JobDeps) -> PackageChange {
        PackageChange {
            name: task.name.clone(),
            registry: deps.registry.to_string(),
            keep: self.keep(task),
            base_revision: self.row.as_ref().map(|row| row.revision),
            document: None,
            validators: self.row.as_ref().map(|row| row.validators.clone()).unwrap_or_default(),
            checked_at_ms: now_ms(),
            versions: Vec::new(),
            removed_versions: Vec::new(),
            blobs: Vec::new(),
            reused: Vec::new(),
            task: None,
            cause: "sync",
            alarms: Vec::new(),
        }
    }

    fn held(&self) -> usize {
        self.versions.iter().filter(|row| row.state == VersionState::Held).count()
    }
}

/// Scans a new document, stores its bytes and fills in the change.
async fn take_document(
    deps: &JobDeps,
    task: &TaskRow,
    known: &Known,
    fetched: FetchedDocument,
    change: &mut PackageChange,
    log: &TaskLog,
) -> Result<DocumentPlan, JobError> {
    let body_bytes = fetched.body.len();
    log.line(
        "🟢",
        format_args!("HTTP 200, body size: {body_bytes}, stored as {} bytes", fetched.stored.len()),
    );
    let plan = in_place(body_bytes, || scan(task, known, &fetched))?;
    change.validators = fetched.validators.clone();
    let digest = Sha512Digest::of(&fetched.stored);
    let held = known.row.as_ref().and_then(|row| row.document.as_ref());
    if held.is_some_and(|held| held.digest == digest) {
        return Ok(plan); // the same bytes again
    }
    let location =
        deps.store.blobs().put(digest, fetched.stored.clone()).await.map_err(StoreError::from)?;
    change.blobs.push((digest, location));
    change.document = Some(DocumentChange {
        digest,
        location,
        encoding: fetched.encoding,
        stored_bytes: location.length,
        body_bytes: i64::try_from(body_bytes).unwrap_or(i64::MAX),
        upstream_rev: plan.upstream_rev.clone(),
        dist_tags: plan.dist_tags.clone(),
        modified: plan.modified.clone(),
        status: plan.status,
    });
    Ok(plan)
}

fn scan(
    task: &TaskRow,
    known: &Known,
    fetched: &FetchedDocument,
) -> Result<DocumentPlan, JobError> {
    let refused = |text: String| JobError::Refused(text);
    let scan = PackumentScan::parse(&fetched.body).map_err(|error| {
        refused(format!("the document of {} cannot be read: {error}", task.name))
    })?;
    plan_document(&task.name, &scan, &known.versions).map_err(|error| refused(error.to_string()))
}

/// The second half of a sync: tarballs, commit, dependencies.
struct Sync<'a> {
    deps: &'a JobDeps,
    task: &'a TaskRow,
    log: &'a TaskLog,
    upstream: &'a Upstream,
    urgency: Urgency,
    known: &'a Known,
}

impl Sync<'_> {
    async fn finish(&self, mut change: PackageChange, plan: Option<DocumentPlan>) -> JobResult {
        let mut summary = SyncSummary::default();
        let mut dependencies = Vec::new();
        if let Some(plan) = plan {
            self.log_plan(&plan);
            change.versions = plan.versions;
            change.removed_versions = plan.removed;
            change.alarms = plan.alarms;
            dependencies = plan.dependencies;
        }
        let error = self.fetch_tarballs(&mut change, &mut summary).await;
        let error = error.map_err(|error| JobFailure { error, summary: summary.clone() })?;
        let failed_whole = error.is_some() && summary.versions_new + summary.versions_here == 0;
        let committed = self.commit(change, error.as_deref(), failed_whole, &summary).await;
        let committed =
            committed.map_err(|error| JobFailure { error, summary: summary.clone() })?;
        let name = self.task.name.clone();
        self.deps.tell(EngineEvent::Committed { seq: committed.local_seq, name });
        if !self.task.options.skip_dependencies {
            self.enqueue_dependencies(dependencies).await;
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
        for version in &plan.removed {
            self.log.line("🗑️", format_args!("{version} is gone upstream and hidden here"));
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
        let only: Option<HashSet<String>> =
            self.task.options.specific_versions.as_ref().map(|list| list.iter().cloned().collect());
        let mut error = self.unknown_versions(only.as_ref(), change, summary);
        let rule =
            WantedRule { keep: change.keep, only: only.as_ref(), force: self.task.options.force };
        let mut wanted = WantedVersions::collect(rule, &mut change.versions, &self.known.versions);
        summary.versions_here = u64::try_from(self.known.held()).unwrap_or(0);
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

    /// Versions that were asked for by name and that nobody has.
    fn unknown_versions(
        &self,
        only: Option<&HashSet<String>>,
        change: &PackageChange,
        summary: &mut SyncSummary,
    ) -> Option<String> {
        let mut error = None;
        for asked in only.into_iter().flatten() {
            let there = change.versions.iter().any(|version| version.version == *asked)
                || self.known.versions.iter().any(|row| row.version == *asked);
            if !there {
                error = Some(self.version_failed(asked, "upstream has no such version", summary));
            }
        }
        error
    }

    fn count_version(
        &self,
        version: &VersionChange,
        result: &Result<HeldTarball, TarballFailure>,
        summary: &mut SyncSummary,
    ) -> Option<String> {
        match result {
            Ok(held) => {
                summary.versions_new += 1;
                self.log.line(
                    "🎉",
                    format_args!(
                        "{} {} bytes{}",
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
        summary: &SyncSummary,
    ) -> Result<Committed, JobError> {
        self.log.line(
            "🟢",
            format_args!(
                "updated {} versions, {} were here, {} failed, removed {} versions",
                summary.versions_new,
                summary.versions_here,
                summary.versions_failed,
                change.removed_versions.len()
            ),
        );
        self.log.line(
            "🔗",
            format_args!("{}{}", self.upstream.settings().url, self.task.name.url_path()),
        );
        let state = end_state(failed_whole);
        change.task = Some(TaskEnd {
            id: self.task.id,
            state,
            error: error.map(str::to_owned),
            log: self.log.take(),
        });
        let sent = self.deps.commit.send(Commit { change }).await;
        Ok(sent.unwrap_or(Err(CommitError::Restarted))?)
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
        if !matches!(self.deps.enqueue.send(EnqueueTasks { tasks }).await, Ok(Ok(_))) {
            tracing::warn!(package.name = %self.task.name, "its dependencies were not queued");
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
            registry: self.task.registry.clone(),
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
