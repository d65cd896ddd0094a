//! The tarballs of a sync: which of them are wanted, and what became of each.

use store::{PackageChange, VersionChange, VersionState};

use super::asked::Asked;
use super::lines::VersionLines;
use super::plan::{WantedRule, WantedVersions, settle_version};
use super::settle::JobError;
use super::sync::Sync;
use super::tarballs::{self, Fetch, HeldTarball, TarballFailure};
use crate::events::{EngineEvent, SyncSummary};

impl Sync<'_> {
    /// Fetches what is missing; answers the last failure of a single version.
    pub(super) async fn fetch_tarballs(
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
        for row in &change.versions {
            let reason = row.reason.as_deref().unwrap_or("its digest cannot be read");
            match row.state {
                VersionState::Failed => {
                    error = Some(self.version_failed(&row.version, reason, summary));
                }
                VersionState::Skipped => {
                    self.log.line("⚠️", format_args!("{} skipped: {reason}", row.version));
                }
                VersionState::Held | VersionState::Remote => {}
            }
        }
        let mut progress = Progress::new(self, &wanted);
        let fetch = Fetch {
            deps: self.deps,
            upstream: self.upstream,
            urgency: self.urgency,
            again: self.task.options.force_sync_history,
            lines: VersionLines::new(self.log, &wanted),
        };
        let settled = |index: usize, result: &_| progress.settled(index, result);
        let results = tarballs::fetch_all(&fetch, &wanted.tarballs, settled).await?;
        let mut number = 0;
        for (versions, result) in wanted.versions.iter_mut().zip(&results) {
            note_blob(change, result);
            for mut version in versions.drain(..) {
                number += 1;
                settle_version(&mut version, result);
                error = self.count_version(number, &version, result, summary).or(error);
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
        number: usize,
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
                        "[{number}] Synced version {} success, {} bytes{}",
                        version.version,
                        held.location.length,
                        if held.fetched { "" } else { ", already here under the same digest" }
                    ),
                );
                None
            }
            Err(TarballFailure::TooLarge(reason)) => {
                self.log
                    .line("⚠️", format_args!("[{number}] {} skipped: {reason}", version.version));
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
