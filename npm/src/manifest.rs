//! The few facts of one version that a mirror reads.
//!
//! Old documents hold every field in several shapes (`deprecated` as boolean, dependencies
//! as list, numbers for strings). A field of another shape than expected counts as absent;
//! only a manifest that is no object at all is an error.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::json;
use crate::packument::ScanError;

#[cfg(test)]
mod tests;

/// Digest of a manifest's raw bytes: the first 16 bytes of its BLAKE3.
///
/// It only says "changed or not" between two documents of one package.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ManifestDigest(pub [u8; 16]);

impl ManifestDigest {
    /// The digest of a version's raw JSON.
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(blake3::hash(raw).as_bytes()) {
            *to = *from;
        }
        Self(digest)
    }

    /// Takes exactly 16 bytes, as a database column holds them.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for ManifestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManifestDigest({})", hex::encode(self.0))
    }
}

/// What is read of one version; borrowed from the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionFacts<'a> {
    /// `name` of the manifest itself.
    pub name: Option<Cow<'a, str>>,
    /// `version` of the manifest itself; the key in `versions` is what counts.
    pub version: Option<Cow<'a, str>>,
    /// `dist.tarball`: where upstream keeps the bytes.
    pub tarball: Option<Cow<'a, str>>,
    /// `dist.integrity`.
    pub integrity: Option<Cow<'a, str>>,
    /// `dist.shasum`.
    pub shasum: Option<Cow<'a, str>>,
    /// `dist.unpackedSize` in bytes.
    pub unpacked_size: Option<u64>,
    /// Whether clients would call it deprecated: `true`, or a text that is not empty.
    pub deprecated: bool,
    /// `dependencies` and `optionalDependencies`: name and spec, names once.
    pub dependencies: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Reads the facts of one manifest.
pub(crate) fn facts(raw: &RawValue) -> Result<VersionFacts<'_>, ScanError> {
    let mut facts = VersionFacts::default();
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    for (key, value) in json::members(raw.get())? {
        match &*key {
            "name" => facts.name = json::string(value),
            "version" => facts.version = json::string(value),
            "deprecated" => facts.deprecated = is_deprecated(value),
            "dist" => read_dist(&mut facts, value),
            "dependencies" => required = texts(value),
            "optionalDependencies" => optional = texts(value),
            _ => {}
        }
    }
    // npm lists optional ones in both maps; the optional spec is the one that counts
    required.retain(|(name, _)| !optional.iter().any(|(other, _)| other == name));
    required.append(&mut optional);
    facts.dependencies = required;
    Ok(facts)
}

fn read_dist<'a>(facts: &mut VersionFacts<'a>, dist: &'a RawValue) {
    for (key, value) in json::members(dist.get()).unwrap_or_default() {
        match &*key {
            "tarball" => facts.tarball = json::string(value),
            "integrity" => facts.integrity = json::string(value),
            "shasum" => facts.shasum = json::string(value),
            "unpackedSize" => facts.unpacked_size = value.get().parse().ok(),
            _ => {}
        }
    }
}

fn is_deprecated(value: &RawValue) -> bool {
    match json::string(value) {
        Some(text) => !text.is_empty(),
        None => value.get() == "true",
    }
}

/// Members with string values, each key once, the last one counting.
fn texts(map: &RawValue) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut texts: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for (key, value) in json::members(map.get()).unwrap_or_default() {
        let Some(value) = json::string(value) else { continue };
        match texts.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None => texts.push((key, value)),
        }
    }
    texts
}
