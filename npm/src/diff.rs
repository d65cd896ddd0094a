//! What a new upstream document changes against what is stored.
//!
//! Versions are compared by the digest of their raw bytes, so an unchanged version costs
//! one hash and no parsing.

use std::collections::HashMap;

use crate::manifest::ManifestDigest;
use crate::packument::PackumentScan;

#[cfg(test)]
mod tests;

/// A version as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownVersion {
    /// The version, byte-exact.
    pub version: String,
    /// Digest of its manifest when it was last committed.
    pub digest: ManifestDigest,
}

/// The difference, as indexes into `scan.versions` (in document order).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackumentDiff {
    /// Versions not known yet.
    pub added: Vec<usize>,
    /// Versions whose manifest bytes differ.
    pub changed: Vec<usize>,
    /// Versions that are byte-equal.
    pub unchanged: Vec<usize>,
    /// Known versions the document no longer has, in the order they were given.
    pub removed: Vec<String>,
}

impl PackumentDiff {
    /// Compares what is known with a scanned document.
    ///
    /// A version whose document entry was skipped (not an object) counts as removed: there
    /// is nothing of it that could be served.
    #[must_use]
    pub fn between(known: &[KnownVersion], scan: &PackumentScan<'_>) -> Self {
        let mut diff = Self::default();
        let by_version: HashMap<&str, ManifestDigest> =
            known.iter().map(|known| (known.version.as_str(), known.digest)).collect();
        for (index, entry) in scan.versions.iter().enumerate() {
            match by_version.get(&*entry.key) {
                None => diff.added.push(index),
                Some(digest) if *digest == entry.digest() => diff.unchanged.push(index),
                Some(_) => diff.changed.push(index),
            }
        }
        if diff.changed.len() + diff.unchanged.len() < by_version.len() {
            diff.removed = known
                .iter()
                .filter(|known| scan.version(&known.version).is_none())
                .map(|known| known.version.clone())
                .collect();
        }
        diff
    }
}
