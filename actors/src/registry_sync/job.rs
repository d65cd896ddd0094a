//! One sync of one package, from the conditional request to the durable change.

use std::time::Instant;

use store::tasks::{self, TaskRow};
use store::{Keeping, TaskState, Validators};

use super::settle::{JobError, JobResult};
use super::sync::Sync;
use super::{JobDeps, lines};
use crate::clock::now_ms;
use crate::committer::CommitError;
use crate::events::SyncSummary;
use crate::known::Known;
use crate::log_writer::TaskLog;
use crate::upstream::{PackumentAnswer, Urgency};

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
    let urgency = urgency(deps, task);
    lines::begin(deps, task, &upstream, log).await;
    let options = &task.options;
    let unconditional = options.force || options.force_sync_history;
    let validators = match unconditional || deps.staleness.is_last(task) {
        true => Validators::default(),
        false => deps.rules.validators(&known),
    };
    let mut sync = Sync {
        deps,
        task,
        log,
        upstream: &upstream,
        urgency,
        known: &known,
        older: None,
        refreshed: None,
    };
    let asked = Instant::now();
    let answer = match upstream.packument(&task.name, &validators, urgency).await {
        Ok(answer) => answer,
        Err(error) => return sync.without_document(error).await,
    };
    let mut dependencies = Vec::new();
    let mut change = match answer {
        PackumentAnswer::NotModified { validators } => {
            sync.log_answer(None, asked.elapsed());
            let held = known.row.as_ref().and_then(|row| row.upstream_rev.as_deref());
            sync.older = deps.staleness.judge(task, held);
            known.touched(validators, "sync")
        }
        PackumentAnswer::Found(mut fetched) => {
            sync.log_answer(Some(&fetched), asked.elapsed());
            let came = Instant::now();
            let mut plan = deps.rules.plan(&upstream, &known, &mut fetched).await?;
            sync.log_plan(&plan);
            sync.older = deps.staleness.judge(task, plan.upstream_rev.as_deref());
            dependencies = std::mem::take(&mut plan.dependencies);
            let change = known.with_document(&deps.store, fetched, plan, "sync").await?;
            sync.refreshed = Some(came.elapsed());
            change
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
fn urgency(deps: &JobDeps, task: &TaskRow) -> Urgency {
    match task.priority {
        tasks::PRIORITY_FEED | tasks::PRIORITY_SWEEP
            if deps.recent_reads.contains(&task.name, now_ms()) =>
        {
            Urgency::PopularLater
        }
        tasks::PRIORITY_FEED => Urgency::Feed,
        tasks::PRIORITY_SWEEP => Urgency::Sweep,
        _ => Urgency::Person,
    }
}

/// Whether nobody waits for a task.
pub(super) fn is_background(task: &TaskRow) -> bool {
    matches!(task.priority, tasks::PRIORITY_FEED | tasks::PRIORITY_SWEEP)
}
