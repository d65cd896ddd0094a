//! The lines of a log, in the marks and the order of the wire contract, section 1.9.

use std::collections::HashMap;
use std::time::Duration;

use store::tasks::TaskRow;
use store::versions::VersionRow;
use store::{PackageChange, StoreError, dist_tags};

use super::JobDeps;
use super::plan::WantedVersions;
use super::sync::Sync;
use super::tags;
use crate::change_builder::DocumentPlan;
use crate::events::SyncSummary;
use crate::log_writer::TaskLog;
use crate::upstream::{FetchedDocument, Upstream};

/// Maintainers named in a line; documents with hundreds of them exist.
const MOST_PEOPLE: usize = 20;

/// The lines before the first request.
pub(super) async fn begin(deps: &JobDeps, task: &TaskRow, upstream: &Upstream, log: &TaskLog) {
    let (options, name) = (&task.options, task.name.url_path());
    let waiting = deps.queue_length.look(&deps.store, &deps.registry).await;
    log.line(
        "🚧",
        format_args!(
            "🚧🚧🚧🚧 Syncing from {}{name}, skipDependencies: {}, syncUpstream: false, \
             syncDownloadData: {}, forceSyncHistory: {}, attempts: {}, worker: {}, \
             taskQueue: {waiting}/{} 🚧🚧🚧🚧🚧",
            upstream.settings().url,
            options.skip_dependencies,
            options.sync_download_data,
            options.force_sync_history,
            task.attempts,
            deps.worker,
            deps.limits.high_water,
        ),
    );
    if let Some(versions) = &options.specific_versions {
        log.line("👉", format_args!("Only these versions: {}", versions.join(", ")));
    }
    log_url(task, log);
}

fn log_url(task: &TaskRow, log: &TaskLog) {
    let (name, id) = (task.name.url_path(), task.id);
    log.line("📝", format_args!("Log URL: /-/package/{name}/syncs/{id}/log"));
}

fn maintainers_text(people: &[String]) -> String {
    let named = people.get(..MOST_PEOPLE).unwrap_or(people);
    let more = match people.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("maintainers: {}{more}", named.join(", "))
}

impl Sync<'_> {
    /// The answer to the request for the document; `None` for one that did not change.
    pub(super) fn log_answer(&self, document: Option<&FetchedDocument>, took: Duration) {
        let took_ms = took.as_millis();
        match document {
            None => self.log.line(
                "🟢",
                format_args!("HTTP 304, the document is unchanged, timing: {took_ms} ms"),
            ),
            Some(fetched) => self.log.line(
                "🟢",
                format_args!(
                    "HTTP 200, body size: {}, stored as {} bytes, timing: {took_ms} ms",
                    fetched.body.len(),
                    fetched.stored.len()
                ),
            ),
        }
    }

    /// What a new document says, and what of it is new.
    pub(super) fn log_plan(&self, plan: &DocumentPlan) {
        let latest = plan.dist_tags.iter().find(|(tag, _)| tag == "latest");
        let latest = latest.map_or("none", |(_, version)| version.as_str());
        let published = plan.latest_published.as_deref().unwrap_or("unknown");
        let modified = plan.modified.as_deref().unwrap_or("unknown");
        self.log.line(
            "📖",
            format_args!(
                "latest version: {latest}, published time: {published}, modified: {modified}"
            ),
        );
        self.log.line("📖", maintainers_text(&plan.maintainers));
        self.log.line(
            "🚧",
            format_args!(
                "Syncing versions {} => {}, {} new or changed",
                self.known.versions.len(),
                plan.total,
                plan.versions.len()
            ),
        );
        let changed = self.changed(plan);
        if !changed.is_empty() {
            let list = serde_json::to_string(&changed).unwrap_or_default();
            self.log.line("🟢", format_args!("metadata differs in {}: {list}", changed.len()));
        }
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

    /// Known versions whose manifest is another one now.
    fn changed<'p>(&self, plan: &'p DocumentPlan) -> Vec<&'p str> {
        if plan.versions.is_empty() || self.known.versions.is_empty() {
            return Vec::new();
        }
        let known: HashMap<&str, &VersionRow> =
            self.known.versions.iter().map(|row| (row.version.as_str(), row)).collect();
        let differs = plan.versions.iter().filter(|change| {
            let before = known.get(change.version.as_str());
            before.is_some_and(|row| row.removed_at_ms.is_none() && row.manifest != change.manifest)
        });
        differs.map(|change| change.version.as_str()).collect()
    }

    /// The sums of a sync, in the words of the contract first.
    pub(super) fn log_totals(&self, change: &PackageChange, summary: &SyncSummary) {
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
        if let Some(took) = self.refreshed {
            self.log.line("🟢", format_args!("Refreshed the document in {} ms", took.as_millis()));
        }
    }

    /// What a new document does to the dist-tags.
    pub(super) async fn log_tags(&self, change: &PackageChange) -> Result<(), StoreError> {
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

    /// The lines after everything else; `banner` when the task ends well.
    pub(super) fn log_end(&self, has_document: bool, banner: bool) {
        let name = &self.task.name;
        if has_document {
            self.log.line("🗑️", "Clean cache: readers get the new document from now on");
        }
        if banner {
            self.log.line("🟢", format_args!("🟢🟢🟢🟢 {name} 🟢🟢🟢🟢🟢"));
        }
        log_url(self.task, self.log);
        self.log.line("🔗", format_args!("{}{}", self.upstream.settings().url, name.url_path()));
    }
}

/// Says when the download of a version starts and how large it is said to be.
pub(super) struct VersionLines<'a> {
    log: &'a TaskLog,
    wanted: &'a WantedVersions,
    /// For each digest the number of its first version, from 1.
    firsts: Vec<usize>,
}

impl<'a> VersionLines<'a> {
    pub(super) fn new(log: &'a TaskLog, wanted: &'a WantedVersions) -> Self {
        let mut next = 1;
        let numbered = wanted.versions.iter().map(|group| {
            let first = next;
            next += group.len();
            first
        });
        let firsts = numbered.collect();
        Self { log, wanted, firsts }
    }

    /// The request for a tarball is about to be sent.
    pub(super) fn starts(&self, index: usize) {
        let Some(tarball) = self.wanted.tarballs.get(index) else { return };
        let first = self.firsts.get(index).copied().unwrap_or(0);
        for (at, version) in self.wanted.versions.get(index).into_iter().flatten().enumerate() {
            let (number, version) = (first + at, &version.version);
            let text =
                format_args!("[{number}] Syncing version {version}, tarball: {}", tarball.url);
            self.log.line("🚧", text);
        }
    }

    /// Its body begins.
    pub(super) fn answered(&self, index: usize, announced: Option<u64>) {
        let first = self.firsts.get(index).copied().unwrap_or(0);
        match announced {
            Some(bytes) => {
                self.log.line("🚧", format_args!("[{first}] HTTP 200, content-length: {bytes}"));
            }
            None => {
                self.log.line("🚧", format_args!("[{first}] HTTP 200, content-length unknown"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_maintainers_is_counted() {
        let people = |count: usize| -> Vec<String> {
            (0..count).map(|number| format!("p{number} <>")).collect()
        };
        assert_eq!(maintainers_text(&people(2)), "maintainers: p0 <>, p1 <>");
        let text = maintainers_text(&people(23));
        assert!(text.ends_with("p19 <> and 3 more"), "{text}");
    }
}
