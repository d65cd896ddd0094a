//! The row of each version of a document.

use std::collections::{HashMap, HashSet};

use npm::{
    ExpectedDigest, Keyring, ManifestDigest, PackageName, PackumentScan, SignatureVerdict,
    VersionEntry, VersionFacts, canonical_tarball_file,
};
use store::facts::ManifestFacts;
use store::versions::VersionRow;
use store::{VersionChange, VersionState};

use super::Terms;
use super::references::{file_of_url, read_time, registry_name};
use crate::upstream::UpstreamError;

/// A comparison on its way.
pub(super) struct Planning<'a, 'd> {
    name: &'a PackageName,
    scan: &'a PackumentScan<'d>,
    terms: Terms<'a>,
    pub(super) judged_anew: bool,
    known: HashMap<&'a str, &'a VersionRow>,
    pub(super) alarms: Vec<String>,
    pub(super) dependencies: Vec<String>,
    seen: HashSet<String>,
    pub(super) added: Option<&'a str>,
}

impl<'a, 'd> Planning<'a, 'd> {
    pub(super) fn new(
        name: &'a PackageName,
        scan: &'a PackumentScan<'d>,
        known: &'a [VersionRow],
        terms: Terms<'a>,
    ) -> Self {
        Self {
            name,
            scan,
            terms,
            judged_anew: false,
            known: known.iter().map(|row| (row.version.as_str(), row)).collect(),
            alarms: Vec::new(),
            dependencies: Vec::new(),
            seen: HashSet::new(),
            added: None,
        }
    }

    /// The row of one version, `None` when it is known as it stands.
    pub(super) fn version(&mut self, entry: &'a VersionEntry<'_>) -> Option<VersionChange> {
        let manifest = entry.digest();
        let known = self.known.get(&*entry.key).copied();
        let same = known.filter(|row| row.manifest == manifest && row.removed_at_ms.is_none());
        if let Some(row) = same {
            return self.judged_anew(entry, row);
        }
        let facts = match entry.facts() {
            Ok(facts) => facts,
            Err(error) => {
                let mut change = self.row(entry, manifest, &VersionFacts::default());
                fail(&mut change, format!("its manifest cannot be read: {error}"));
                return Some(change);
            }
        };
        if known.is_none() {
            self.added = Some(&entry.key);
            self.collect_dependencies(&facts);
        }
        let mut change = self.row(entry, manifest, &facts);
        change.signature = self.judge(entry, &facts);
        if change.signature == Some(SignatureVerdict::Invalid) {
            let (name, version) = (self.name, &change.version);
            self.alarms.push(format!(
                "the registry signature of {name}@{version} is wrong: its name, version or \
                 integrity is not what was signed"
            ));
        }
        let announced =
            ExpectedDigest::from_dist(facts.integrity.as_deref(), facts.shasum.as_deref());
        match known {
            Some(row) => self.keep_first(&mut change, row, announced),
            None => settle_digest(&mut change, announced),
        }
        if change.tarball_url.is_none() && change.state != VersionState::Held {
            fail(&mut change, String::from("the document names no tarball (dist.tarball)"));
        }
        self.skip_if_too_large(&mut change, &facts);
        Some(change)
    }

    fn published_at_ms(&self, version: &str) -> i64 {
        let told = self.scan.published_at(version);
        told.and_then(read_time).unwrap_or(self.terms.now_ms)
    }

    /// `dist.size` is what mirrors of this kind tell; npm's own documents have no field with the
    /// size of a tarball, and there its `Content-Length` ends the download before the first byte.
    fn skip_if_too_large(&self, change: &mut VersionChange, facts: &VersionFacts<'_>) {
        let limit = self.terms.max_tarball_bytes;
        let announced = facts.size.filter(|bytes| *bytes > limit);
        if let Some(announced) = announced.filter(|_| change.state == VersionState::Remote) {
            let error =
                UpstreamError::TooLarge { what: "tarball", limit, announced: Some(announced) };
            change.state = VersionState::Skipped;
            change.reason = Some(error.to_string());
        }
    }

    fn judge(
        &self,
        entry: &VersionEntry<'_>,
        facts: &VersionFacts<'_>,
    ) -> Option<SignatureVerdict> {
        let published_at = self.scan.published_at(&entry.key);
        let (name, integrity) = (self.name.as_str(), facts.integrity.as_deref());
        let keys = self.terms.keys?;
        Some(keys.judge(name, &entry.key, integrity, &facts.signatures, published_at))
    }

    /// A version whose manifest is the same is only looked at again when its signature was
    /// never judged, or by fewer keys.
    fn judged_anew(&mut self, entry: &VersionEntry<'_>, row: &VersionRow) -> Option<VersionChange> {
        let open = row.signature.is_none_or(SignatureVerdict::depends_on_keys);
        if !open || self.terms.keys.is_none_or(Keyring::is_empty) {
            return None;
        }
        let verdict = self.judge(entry, &entry.facts().ok()?);
        if verdict == row.signature {
            return None;
        }
        self.judged_anew = true;
        Some(VersionChange { signature: verdict, ..VersionChange::from(row) })
    }

    fn row(
        &self,
        entry: &VersionEntry<'_>,
        manifest: ManifestDigest,
        facts: &VersionFacts<'_>,
    ) -> VersionChange {
        let tarball_url = facts.tarball.as_deref().filter(|url| !url.is_empty());
        VersionChange {
            version: entry.key.to_string(),
            manifest,
            tarball_file: tarball_url
                .and_then(file_of_url)
                .unwrap_or_else(|| canonical_tarball_file(self.name, &entry.key)),
            tarball_url: tarball_url.map(str::to_owned),
            expected: None,
            state: VersionState::Remote,
            blob: None,
            size_bytes: None,
            reason: None,
            signature: None,
            published_at_ms: Some(self.published_at_ms(&entry.key)),
            facts: Some(ManifestFacts::from(facts)),
        }
    }

    /// A version known before keeps its first digest and what is here of it.
    fn keep_first(
        &mut self,
        change: &mut VersionChange,
        row: &VersionRow,
        announced: Result<Option<ExpectedDigest>, npm::IntegrityError>,
    ) {
        let Some(first) = &row.expected else { return settle_digest(change, announced) };
        let said = match (&announced, ExpectedDigest::from_text(first)) {
            (Ok(Some(now)), Ok(first)) if first.contradicts(now) => Some(now.text()),
            (Ok(_), _) => None,
            (Err(error), _) => Some(error.to_string()),
        };
        if let Some(said) = said {
            let (name, version) = (self.name, &change.version);
            self.alarms.push(format!(
                "integrity of {name}@{version} is {first} since it was first seen; upstream now \
                 announces {said}; the first one is kept"
            ));
        }
        change.expected = Some(first.clone());
        // deleted after upstream took it away, and back
        let was_deleted = row.removed_at_ms.is_some() && row.state == VersionState::Skipped;
        if was_deleted {
            return;
        }
        change.state = row.state;
        change.blob = row.blob;
        change.size_bytes = row.size_bytes;
        change.reason.clone_from(&row.reason);
    }

    fn collect_dependencies(&mut self, facts: &VersionFacts<'_>) {
        for (name, spec) in &facts.dependencies {
            let Some(name) = registry_name(name, spec) else { continue };
            if !self.seen.contains(name) {
                self.seen.insert(name.to_owned());
                self.dependencies.push(name.to_owned());
            }
        }
    }
}

/// The digest of a version seen for the first time with one.
fn settle_digest(
    change: &mut VersionChange,
    announced: Result<Option<ExpectedDigest>, npm::IntegrityError>,
) {
    match announced {
        Ok(Some(expected)) => change.expected = Some(expected.text()),
        Ok(None) => {
            fail(change, String::from("upstream gives neither integrity nor shasum"));
        }
        Err(error) => fail(change, error.to_string()),
    }
}

fn fail(change: &mut VersionChange, reason: String) {
    change.state = VersionState::Failed;
    change.reason = Some(reason);
}
