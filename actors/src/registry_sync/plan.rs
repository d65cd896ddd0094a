//! Which tarballs a task has to have, and which rows come out of it.

use std::collections::{HashMap, HashSet};

use npm::{ExpectedDigest, SignatureVerdict};
use store::versions::VersionRow;
use store::{Keeping, VersionChange, VersionState};

use super::tarballs::{HeldTarball, TarballFailure, WantedTarball};
use crate::policy::SyncPolicy;

/// Versions that share one expected digest, and the tarball they wait for.
#[derive(Debug)]
pub struct WantedVersions {
    /// One entry per different digest.
    pub tarballs: Vec<WantedTarball>,
    /// For each entry the versions it serves, as rows to be completed.
    pub versions: Vec<Vec<VersionChange>>,
}

/// What the task may leave out.
#[derive(Clone, Copy)]
pub struct WantedRule<'a> {
    /// Only mirrored packages want tarballs.
    pub keep: Keeping,
    /// Only these, when given.
    pub only: Option<&'a HashSet<String>>,
    /// Beside them, what the package is kept with.
    pub refresh: bool,
    /// Skipped versions are tried again.
    pub force: bool,
    /// What is here is fetched again, too.
    pub history: bool,
    /// What may be had at all.
    pub policy: &'a SyncPolicy,
}

impl WantedRule<'_> {
    fn wants(
        &self,
        version: &str,
        state: VersionState,
        signature: Option<SignatureVerdict>,
    ) -> bool {
        let missing = match state {
            VersionState::Held => self.history,
            VersionState::Remote | VersionState::Failed => true,
            VersionState::Skipped => self.force,
        };
        missing
            && !self.policy.withholds(signature)
            && match self.only {
                Some(only) if only.contains(version) => true,
                Some(_) => self.refresh && self.keep == Keeping::Mirrored,
                None => self.keep == Keeping::Mirrored,
            }
    }
}

impl WantedVersions {
    /// Takes out of `changed` what wants a tarball, adds known rows that still lack theirs, and
    /// groups both by digest.
    pub fn collect(
        rule: WantedRule<'_>,
        changed: &mut Vec<VersionChange>,
        known: &[VersionRow],
    ) -> Self {
        let touched: HashSet<_> = changed.iter().map(|change| change.version.clone()).collect();
        let lacking = known
            .iter()
            .filter(|row| row.removed_at_ms.is_none() && !touched.contains(&row.version))
            .filter(|row| rule.wants(&row.version, row.state, row.signature))
            .map(VersionChange::from);
        let lacking: Vec<_> = lacking.collect();
        let (wanted, settled) = std::mem::take(changed).into_iter().partition(|change| {
            rule.wants(&change.version, change.state, change.signature)
                && change.tarball_url.is_some()
        });
        *changed = settled;
        let mut groups = Self { tarballs: Vec::new(), versions: Vec::new() };
        let mut places = HashMap::new();
        for change in Vec::into_iter(wanted).chain(lacking) {
            groups.add(change, changed, &mut places);
        }
        groups
    }

    fn add(
        &mut self,
        mut change: VersionChange,
        settled: &mut Vec<VersionChange>,
        places: &mut HashMap<String, usize>,
    ) {
        if change.state == VersionState::Held && change.tarball_url.is_none() {
            return; // here, and nowhere to be had again
        }
        let expected = change.expected.as_deref().map(ExpectedDigest::from_text);
        let (Some(Ok(expected)), Some(url)) = (expected, change.tarball_url.clone()) else {
            // the row says already why it cannot be checked
            change.state = VersionState::Failed;
            settled.push(change);
            return;
        };
        let text = change.expected.clone().unwrap_or_default();
        let place = *places.entry(text).or_insert_with(|| {
            self.tarballs.push(WantedTarball { url, expected });
            self.versions.push(Vec::new());
            self.tarballs.len() - 1
        });
        if let Some(group) = self.versions.get_mut(place) {
            group.push(change);
        }
    }

    /// Versions waiting for a tarball.
    pub fn count(&self) -> usize {
        self.versions.iter().map(Vec::len).sum()
    }
}

/// Writes the outcome of a tarball into the row of one version.
pub fn settle_version(change: &mut VersionChange, result: &Result<HeldTarball, TarballFailure>) {
    match result {
        Ok(held) => {
            change.state = VersionState::Held;
            change.blob = Some(held.digest);
            change.size_bytes = Some(held.location.length);
            change.reason = None;
        }
        // fetched again without success: what is here was verified and stays
        Err(_) if change.state == VersionState::Held => {}
        Err(failure) => {
            let skipped = matches!(failure, TarballFailure::TooLarge(_));
            change.state = if skipped { VersionState::Skipped } else { VersionState::Failed };
            change.reason = Some(failure.to_string());
        }
    }
}
