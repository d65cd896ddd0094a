//! Frees what nothing names any more: blobs, files without a row, finished tasks and logs.
//!
//! Rows go first, through the writer, which looks once more at whatever was committed since
//! the candidates were found. Then files of their own are removed; bytes in segments become
//! dead space, which [`super::compaction`] gives back.

use std::collections::HashSet;

use npm::Sha512Digest;

use super::compaction::{self, CompactionReport};
use super::{Writes, answer_blocking, rows};
use crate::{Store, StoreError, changes, tasks};

/// Rows read in one page.
const PAGE: i64 = 5_000;
/// Rows removed in one transaction: short enough for commits in between.
const DELETE_AT_ONCE: usize = 2_000;

/// What may go.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// Now, unix milliseconds.
    pub now_ms: i64,
    /// Blobs written less than this long ago stay: a sync may be about to name them.
    pub grace_ms: i64,
    /// Finished tasks and their logs older than this go; `None` keeps them.
    pub tasks_older_than_ms: Option<i64>,
    /// Only say what would go.
    pub dry_run: bool,
}

impl GcOptions {
    /// 24 hours of grace, tasks of 30 days kept.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        const DAY_MS: i64 = 86_400_000;
        Self { now_ms, grace_ms: DAY_MS, tasks_older_than_ms: Some(30 * DAY_MS), dry_run: false }
    }

    /// What was written before this may go.
    #[must_use]
    pub(crate) fn before_ms(&self) -> i64 {
        self.now_ms.saturating_sub(self.grace_ms)
    }
}

/// What went, or with `dry_run` would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs nothing names.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Finished tasks, with their logs.
    pub tasks: u64,
    /// What rewriting segments gave back; of a dry run, what it would without the blobs above.
    pub compaction: CompactionReport,
}

/// A blob that nothing named when the scan began.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    digest: Sha512Digest,
    length: i64,
    own: bool,
}

/// Collects garbage. Safe while everything else runs.
///
/// # Errors
/// Those of the database or of the blobs; what was removed until then stays removed.
pub fn gc_blocking(
    store: &Store,
    writes: &mut dyn Writes,
    options: &GcOptions,
) -> Result<GcReport, StoreError> {
    let _alone = store.blobs().local().map(|local| local.maintenance_lock());
    let mut report = GcReport::default();
    // Read before the scan: whatever becomes visible later has a higher seq.
    let since = store.read_blocking(changes::last_seq)?;
    let candidates = find_candidates(store, options)?;
    if options.dry_run {
        report.count(&candidates);
    } else {
        for candidates in candidates.chunks(DELETE_AT_ONCE) {
            report.count(&delete(store, writes, candidates, since, options)?);
        }
    }
    report.tasks = forget_tasks(store, writes, options)?;
    report.compaction = compaction::run_blocking(store, writes, options)?;
    Ok(report)
}

impl GcReport {
    fn count(&mut self, gone: &[Candidate]) {
        self.blobs += gone.len() as u64;
        self.bytes += gone.iter().map(|blob| blob.length.unsigned_abs()).sum::<u64>();
    }
}

fn find_candidates(store: &Store, options: &GcOptions) -> Result<Vec<Candidate>, StoreError> {
    let referenced = store.read_blocking(rows::referenced)?;
    let is_free =
        |digest: &Sha512Digest| referenced.binary_search(&rows::fingerprint(&digest.0)).is_err();
    let mut found = Vec::new();
    store.blobs().list_own_blocking(&mut |blob| {
        if blob.written_at_ms < options.before_ms() && is_free(&blob.digest) {
            found.push(Candidate { digest: blob.digest, length: blob.length, own: true });
        }
    })?;
    let old = compaction::old_segments(store, options.before_ms());
    let mut after = Vec::new();
    loop {
        let page = store.read_blocking(|c| rows::blobs_after(c, &after, PAGE))?;
        let Some(last) = page.last() else { break };
        after = last.digest.as_bytes().to_vec();
        let free = page.iter().filter(|row| old.contains(&row.location.segment));
        let free = free.filter(|row| is_free(&row.digest));
        found.extend(free.map(|row| Candidate {
            digest: row.digest,
            length: row.location.length,
            own: false,
        }));
    }
    Ok(found)
}

/// Rows, then files. Answers what really went.
fn delete(
    store: &Store,
    writes: &mut dyn Writes,
    candidates: &[Candidate],
    since: i64,
    options: &GcOptions,
) -> Result<Vec<Candidate>, StoreError> {
    let digests: Vec<Sha512Digest> = candidates.iter().map(|blob| blob.digest).collect();
    let gone = answer_blocking(writes, move |connection| {
        rows::delete_unreferenced(connection, &digests, since)
    })?;
    let gone: HashSet<Sha512Digest> = gone.into_iter().collect();
    let mut deleted = Vec::with_capacity(gone.len());
    for blob in candidates.iter().filter(|blob| gone.contains(&blob.digest)) {
        let is_gone =
            !blob.own || store.blobs().delete_own_blocking(&blob.digest, options.before_ms())?;
        deleted.extend(is_gone.then_some(*blob));
    }
    Ok(deleted)
}

fn forget_tasks(
    store: &Store,
    writes: &mut dyn Writes,
    options: &GcOptions,
) -> Result<u64, StoreError> {
    let Some(older_than) = options.tasks_older_than_ms else { return Ok(0) };
    let before = options.now_ms.saturating_sub(older_than);
    if options.dry_run {
        return store.read_blocking(|c| rows::count_finished_before(c, before));
    }
    let limit = i64::try_from(DELETE_AT_ONCE).unwrap_or(i64::MAX);
    let mut all = 0;
    loop {
        let gone =
            answer_blocking(writes, move |c| tasks::delete_finished_before(c, before, limit))?;
        all += gone as u64;
        if gone < DELETE_AT_ONCE {
            return Ok(all);
        }
    }
}
