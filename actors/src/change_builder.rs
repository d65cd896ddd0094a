//! What a document means for the rows of its package.
//!
//! A sync and a miss both come here, so the same document always makes the same rows. Pure:
//! no I/O and no clock. The digest of a version is a fact written once: a later document with
//! another one keeps the first and raises an alarm.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use npm::{
    ExpectedDigest, Keyring, ManifestDigest, PackageName, PackumentScan, PackumentShape,
    SignatureVerdict, VersionEntry, VersionFacts, canonical_tarball_file,
};
use percent_encoding::percent_decode_str;
use store::versions::VersionRow;
use store::{PackageStatus, VersionChange, VersionState};

/// The longest file name kept from an address; longer ones get the canonical name.
const MAX_FILE_NAME_BYTES: usize = 300;

/// Why a document is not accepted for a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedDocument {
    /// Not a packument at all, for example an error body with status 200.
    #[error("the answer for {name} is no package document, it has {}", members(.found))]
    NotAPackument {
        /// The package asked for.
        name: String,
        /// Its first members.
        found: Vec<String>,
    },
    /// The document of another package.
    #[error("asked for {asked}, got the document of {found}; names count with their letter case")]
    OtherPackage {
        /// The package asked for.
        asked: String,
        /// The name in the document.
        found: String,
    },
}

fn members(found: &[String]) -> String {
    if found.is_empty() { String::from("no members") } else { format!("only {}", found.join(", ")) }
}

/// The rows a document makes, compared with what is known.
#[derive(Debug)]
pub struct DocumentPlan {
    /// Rows of added, changed and restored versions, in document order.
    pub versions: Vec<VersionChange>,
    /// Known versions the document no longer has.
    pub removed: Vec<String>,
    /// Contradictions of the upstream, one sentence each.
    pub alarms: Vec<String>,
    /// Registry packages that added versions depend on, each once.
    pub dependencies: Vec<String>,
    /// All dist-tags.
    pub dist_tags: Vec<(String, String)>,
    /// `time.modified`.
    pub modified: Option<String>,
    /// `_rev`.
    pub upstream_rev: Option<String>,
    /// The last version in the document that no row was there for.
    pub added_version: Option<String>,
    /// What the document says about the package.
    pub status: PackageStatus,
    /// Versions in the document.
    pub total: usize,
    /// Some known version has the same manifest and another verdict on its signature.
    pub judged_anew: bool,
    /// The held document stays; this one only says that the package was taken away.
    pub keep_old_document: bool,
}

impl DocumentPlan {
    /// Whether some signature names a key that is not listed.
    #[must_use]
    pub fn lacks_a_key(&self) -> bool {
        self.versions.iter().any(|row| row.signature == Some(SignatureVerdict::UnknownKey))
    }
}

/// Compares a scanned document with the known rows of its package.
///
/// `known` holds all rows, removed ones too: a version that comes back meets its old digest.
/// Without a keyring no signature is judged; else those of versions that are new, changed, or
/// could not be judged by the keys known before.
///
/// # Errors
/// [`RefusedDocument`] when it is not this package's document.
pub fn plan_document(
    name: &PackageName,
    scan: &PackumentScan<'_>,
    known: &[VersionRow],
    keys: Option<&Keyring>,
) -> Result<DocumentPlan, RefusedDocument> {
    let status = accept(name, scan)?;
    let mut planning = Planning {
        name,
        scan,
        keys,
        judged_anew: false,
        known: known.iter().map(|row| (row.version.as_str(), row)).collect(),
        alarms: Vec::new(),
        dependencies: Vec::new(),
        seen: HashSet::new(),
        added: None,
    };
    let versions = scan.versions.iter().filter_map(|entry| planning.version(entry)).collect();
    let here: HashSet<&str> = scan.versions.iter().map(|entry| &*entry.key).collect();
    let removed = known
        .iter()
        .filter(|row| row.removed_at_ms.is_none() && !here.contains(row.version.as_str()))
        .map(|row| row.version.clone())
        .collect();
    let (alarms, dependencies) = (planning.alarms, planning.dependencies);
    let added_version = planning.added.map(str::to_owned);
    let judged_anew = planning.judged_anew;
    Ok(DocumentPlan {
        versions,
        removed,
        alarms,
        dependencies,
        dist_tags: scan.dist_tags.iter().map(owned_pair).collect(),
        modified: scan.published_at("modified").map(str::to_owned),
        upstream_rev: scan.rev.as_deref().map(str::to_owned),
        added_version,
        status,
        total: scan.versions.len(),
        judged_anew,
        keep_old_document: false,
    })
}

fn owned_pair((tag, version): &(Cow<'_, str>, Cow<'_, str>)) -> (String, String) {
    (tag.to_string(), version.to_string())
}

/// Whether this is the package's document, and what it says about the package.
fn accept(name: &PackageName, scan: &PackumentScan<'_>) -> Result<PackageStatus, RefusedDocument> {
    let status = match scan.shape() {
        PackumentShape::Normal => PackageStatus::Live,
        PackumentShape::Emptied => PackageStatus::Emptied,
        PackumentShape::Unpublished => PackageStatus::Unpublished,
        PackumentShape::SecurityHolding => PackageStatus::SecurityHolding,
        PackumentShape::NotAPackument => {
            let found = scan.members.iter().take(5).map(|(key, _)| key.chars().take(40).collect());
            return Err(RefusedDocument::NotAPackument {
                name: name.to_string(),
                found: found.collect(),
            });
        }
    };
    match scan.name.as_deref() {
        Some(found) if found != name.as_str() => Err(RefusedDocument::OtherPackage {
            asked: name.to_string(),
            found: found.chars().take(214).collect(),
        }),
        _ => Ok(status),
    }
}

struct Planning<'a, 'd> {
    name: &'a PackageName,
    scan: &'a PackumentScan<'d>,
    keys: Option<&'a Keyring>,
    judged_anew: bool,
    known: HashMap<&'a str, &'a VersionRow>,
    alarms: Vec<String>,
    dependencies: Vec<String>,
    seen: HashSet<String>,
    added: Option<&'a str>,
}

impl<'a> Planning<'a, '_> {
    /// The row of one version, `None` when it is known as it stands.
    fn version(&mut self, entry: &'a VersionEntry<'_>) -> Option<VersionChange> {
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
        Some(change)
    }

    fn judge(
        &self,
        entry: &VersionEntry<'_>,
        facts: &VersionFacts<'_>,
    ) -> Option<SignatureVerdict> {
        let published_at = self.scan.published_at(&entry.key);
        let (name, integrity) = (self.name.as_str(), facts.integrity.as_deref());
        let keys = self.keys?;
        Some(keys.judge(name, &entry.key, integrity, &facts.signatures, published_at))
    }

    /// A version whose manifest is the same is only looked at again when its signature was
    /// never judged, or by fewer keys.
    fn judged_anew(&mut self, entry: &VersionEntry<'_>, row: &VersionRow) -> Option<VersionChange> {
        let open = row.signature.is_none_or(SignatureVerdict::depends_on_keys);
        if !open || self.keys.is_none_or(Keyring::is_empty) {
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

/// The registry package behind one dependency: aliases name it in their spec, and what comes
/// from a file, a URL or a repository has none.
fn registry_name<'a>(name: &'a str, spec: &'a str) -> Option<&'a str> {
    if let Some(alias) = spec.strip_prefix("npm:") {
        let end = alias.rfind('@').filter(|at| *at > 0).unwrap_or(alias.len());
        return alias.get(..end).filter(|name| !name.is_empty());
    }
    (!spec.contains([':', '/'])).then_some(name)
}

/// The last path segment of an address, decoded once, as clients ask for it.
fn file_of_url(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let (_, path) = path.split_once("://")?;
    let (_, file) = path.rsplit_once('/')?;
    let file = percent_decode_str(file).decode_utf8().ok()?;
    let is_plain = !file.is_empty()
        && file.len() <= MAX_FILE_NAME_BYTES
        && !file.starts_with('.')
        && !file.chars().any(|character| character.is_control() || "/\\".contains(character));
    is_plain.then(|| file.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
    const FIRST_SHASUM: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    fn name() -> PackageName {
        PackageName::parse("left-pad").unwrap()
    }

    fn manifest(version: &str, dist: &str, more: &str) -> String {
        format!(
            "\"{version}\":{{\"name\":\"left-pad\",\"version\":\"{version}\",\"dist\":{{\
             \"tarball\":\"http://h.test/left-pad/-/left-pad-{version}.tgz\"{dist}}}{more}}}"
        )
    }

    fn document(versions: &[String]) -> String {
        format!(
            "{{\"_rev\":\"3-x\",\"name\":\"left-pad\",\"dist-tags\":{{\"latest\":\"1.0.0\"}},\
             \"versions\":{{{}}},\"time\":{{\"modified\":\"2020-01-01T00:00:00.000Z\"}}}}",
            versions.join(",")
        )
    }

    fn plan(body: &str, known: &[VersionRow]) -> Result<DocumentPlan, RefusedDocument> {
        plan_document(&name(), &PackumentScan::parse(body.as_bytes()).unwrap(), known, None)
    }

    fn row(change: &VersionChange, state: VersionState) -> VersionRow {
        VersionRow {
            version: change.version.clone(),
            manifest: change.manifest,
            tarball_url: change.tarball_url.clone(),
            tarball_file: change.tarball_file.clone(),
            expected: change.expected.clone(),
            state,
            blob: None,
            size_bytes: None,
            reason: None,
            removed_at_ms: None,
            signature: None,
        }
    }

    fn dist() -> String {
        format!(",\"integrity\":\"{FIRST}\"")
    }

    #[test]
    fn a_new_document_makes_a_row_for_every_version() {
        let more = ",\"dependencies\":{\"a\":\"^1.0.0\",\"b\":\"npm:@s/real@2\",\"c\":\
                    \"git+ssh://h/x\",\"d\":\"file:../d\",\"e\":\"user/repo\",\"f\":\"latest\"}";
        let body = document(&[manifest("1.0.0", &dist(), more), manifest("1.1.0", &dist(), more)]);
        let plan = plan(&body, &[]).unwrap();
        assert_eq!(plan.total, 2);
        assert_eq!(plan.dependencies, ["a", "@s/real", "f"]);
        assert_eq!(plan.dist_tags, [("latest".to_owned(), "1.0.0".to_owned())]);
        assert_eq!(plan.modified.as_deref(), Some("2020-01-01T00:00:00.000Z"));
        assert_eq!(plan.upstream_rev.as_deref(), Some("3-x"));
        assert_eq!(plan.status, PackageStatus::Live);
        let first = &plan.versions[0];
        assert_eq!(first.tarball_file, "left-pad-1.0.0.tgz");
        assert_eq!(first.expected.as_deref(), Some(FIRST));
        assert_eq!(first.state, VersionState::Remote);
        assert!(plan.alarms.is_empty() && plan.removed.is_empty());
    }

    #[test]
    fn a_known_version_costs_nothing_and_a_missing_one_is_removed() {
        let body = document(&[manifest("1.0.0", &dist(), ""), manifest("1.1.0", &dist(), "")]);
        let known: Vec<_> = plan(&body, &[])
            .unwrap()
            .versions
            .iter()
            .map(|change| row(change, VersionState::Held))
            .collect();
        let again = plan(&body, &known).unwrap();
        assert!(again.versions.is_empty() && again.removed.is_empty());
        let fewer = plan(&document(&[manifest("1.0.0", &dist(), "")]), &known).unwrap();
        assert_eq!(fewer.removed, ["1.1.0"]);
    }

    #[test]
    fn a_version_that_comes_back_is_written_again_with_its_first_digest() {
        let body = document(&[manifest("1.0.0", &dist(), "")]);
        let mut known = row(&plan(&body, &[]).unwrap().versions[0], VersionState::Held);
        known.removed_at_ms = Some(1);
        let back = plan(&body, &[known.clone()]).unwrap();
        assert_eq!(back.versions.len(), 1);
        assert_eq!(back.versions[0].state, VersionState::Held);
        known.manifest = ManifestDigest([9; 16]);
        let other = document(&[manifest(
            "1.0.0",
            ",\"shasum\":\"0000000000000000000000000000000000000001\"",
            "",
        )]);
        let back = plan(&other, &[known]).unwrap();
        assert_eq!(back.versions[0].expected.as_deref(), Some(FIRST));
        assert_eq!(back.alarms.len(), 1);
    }

    #[test]
    fn a_second_digest_alarms_and_the_first_one_stays() {
        let body = document(&[manifest("1.0.0", &dist(), "")]);
        let known = [row(&plan(&body, &[]).unwrap().versions[0], VersionState::Held)];
        for (dist, alarms) in [
            (",\"integrity\":\"sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"".to_owned(), 1),
            (",\"integrity\":\"sha512-broken\"".to_owned(), 1),
            (format!(",\"shasum\":\"{FIRST_SHASUM}\""), 0),
            (String::new(), 0),
        ] {
            let changed = plan(&document(&[manifest("1.0.0", &dist, "")]), &known).unwrap();
            assert_eq!(changed.alarms.len(), alarms, "{dist}");
            assert_eq!(changed.versions[0].expected.as_deref(), Some(FIRST));
            assert_eq!(changed.versions[0].state, VersionState::Held);
        }
    }

    #[test]
    fn a_version_that_cannot_be_checked_fails_with_its_reason() {
        for (dist, reason) in [
            ("", "neither integrity nor shasum"),
            (
                ",\"integrity\":\"sha512-broken\",\"shasum\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"",
                "malformed",
            ),
            (",\"shasum\":\"12\"", "40 hexadecimal"),
        ] {
            let plan = plan(&document(&[manifest("1.0.0", dist, "")]), &[]).unwrap();
            assert_eq!(plan.versions[0].state, VersionState::Failed);
            let said = plan.versions[0].reason.as_deref().unwrap();
            assert!(said.contains(reason), "{said}");
        }
        let body = document(&[
            "\"1.0.0\":{\"dist\":{\"shasum\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"}}"
                .to_owned(),
        ]);
        let said = plan(&body, &[]).unwrap().versions.remove(0).reason.unwrap();
        assert!(said.contains("dist.tarball"), "{said}");
    }

    #[test]
    fn only_the_documents_of_the_package_itself_are_accepted() {
        let other = "{\"name\":\"right-pad\",\"versions\":{}}";
        assert!(matches!(plan(other, &[]), Err(RefusedDocument::OtherPackage { .. })));
        let cased = "{\"name\":\"Left-Pad\",\"versions\":{}}";
        assert!(matches!(plan(cased, &[]), Err(RefusedDocument::OtherPackage { .. })));
        let error = plan("{\"error\":\"not found\"}", &[]).unwrap_err();
        assert!(error.to_string().contains("only error"), "{error}");
    }

    #[test]
    fn what_a_document_says_about_the_package_is_kept() {
        for (body, status) in [
            ("{\"name\":\"left-pad\",\"versions\":{},\"time\":{}}", PackageStatus::Emptied),
            (
                "{\"name\":\"left-pad\",\"time\":{\"unpublished\":{\"time\":\"x\"}}}",
                PackageStatus::Unpublished,
            ),
            (
                "{\"name\":\"left-pad\",\"versions\":{\"0.0.1-security\":{\"dist\":{}}}}",
                PackageStatus::SecurityHolding,
            ),
        ] {
            assert_eq!(plan(body, &[]).unwrap().status, status, "{body}");
        }
    }

    #[test]
    fn file_names_come_from_the_address_when_they_are_plain() {
        for (url, file) in [
            ("http://h/x/-/x-1.0.0.tgz", Some("x-1.0.0.tgz")),
            ("http://h/x/-/x-1.0.0%2bbuild.tgz?a=b/c#d", Some("x-1.0.0+build.tgz")),
            ("http://h/x/-/..%2f..%2fetc", None),
            ("http://h/x/", None),
            ("http://h", None),
            ("x-1.0.0.tgz", None),
        ] {
            assert_eq!(file_of_url(url).as_deref(), file, "{url}");
        }
    }
}
