//! What a document means for the rows of its package.
//!
//! A sync and a miss both come here, so the same document always makes the same rows. Pure:
//! no I/O and no clock. The digest of a version is a fact written once: a later document with
//! another one keeps the first and raises an alarm.

mod planning;
mod references;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;

use npm::{Keyring, PackageName, PackumentScan, PackumentShape, SignatureVerdict};
use store::versions::VersionRow;
use store::{PackageStatus, VersionChange};

use self::planning::Planning;

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
    /// When the version that `latest` means was published, as the document says it.
    pub latest_published: Option<String>,
    /// The people the document names: `name <email>` each.
    pub maintainers: Vec<String>,
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

/// What a document is held against.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Keys of the registry. Without them no signature is judged; else those of versions that are
    /// new, changed, or could not be judged by the keys known before.
    pub keys: Option<&'a Keyring>,
    /// Versions whose `dist.size` is above this are skipped before anything is asked for.
    pub max_tarball_bytes: u64,
    /// Now, for versions whose document does not say when they were published.
    pub now_ms: i64,
}

/// Compares a scanned document with the known rows of its package.
///
/// `known` holds all rows, removed ones too: a version that comes back meets its old digest.
///
/// # Errors
/// [`RefusedDocument`] when it is not this package's document.
pub fn plan_document(
    name: &PackageName,
    scan: &PackumentScan<'_>,
    known: &[VersionRow],
    terms: Terms<'_>,
) -> Result<DocumentPlan, RefusedDocument> {
    let status = accept(name, scan)?;
    let mut planning = Planning::new(name, scan, known, terms);
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
    let latest = scan.dist_tags.iter().find(|(tag, _)| tag == "latest");
    let latest_published = latest.and_then(|(_, version)| scan.published_at(version));
    Ok(DocumentPlan {
        versions,
        removed,
        alarms,
        dependencies,
        dist_tags: scan.dist_tags.iter().map(owned_pair).collect(),
        modified: scan.published_at("modified").map(str::to_owned),
        latest_published: latest_published.map(str::to_owned),
        maintainers: references::maintainers(scan),
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
