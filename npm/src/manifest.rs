//! The few facts of one version that a mirror reads.
//!
//! Old documents hold every field in several shapes (`deprecated` as boolean, dependencies
//! as list, numbers for strings). A field of another shape than expected counts as absent;
//! only a manifest that is no object at all is an error.

mod licence;
mod scripts;

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::json;
use crate::packument::ScanError;
use crate::signature::Signature;

use scripts::Scripts;

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
    /// `dist.size` in bytes: the size of the tarball, which npm's own documents do not tell.
    pub size: Option<u64>,
    /// `dist.unpackedSize` in bytes.
    pub unpacked_size: Option<u64>,
    /// `dist.signatures`.
    pub signatures: Vec<Signature<'a>>,
    /// `license` as one text, see `licence::read`; `None` when none is announced.
    pub licence: Option<Cow<'a, str>>,
    /// Whether installing it runs something: a script, or a build that clients start by themselves.
    pub install_scripts: bool,
    /// Whether clients would call it deprecated: `true`, or a text that is not empty.
    pub deprecated: bool,
    /// `dependencies` and `optionalDependencies`: name and spec, names once.
    pub dependencies: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Reads the facts of one manifest.
pub(crate) fn facts(raw: &RawValue) -> Result<VersionFacts<'_>, ScanError> {
    let mut facts = VersionFacts::default();
    let (mut dependencies, mut optional) = (Vec::new(), Vec::new());
    let (mut old_licences, mut scripts) = (None, Scripts::default());
    json::each_member(raw.get(), |key, value| match &*key {
        "name" => facts.name = json::string(value),
        "version" => facts.version = json::string(value),
        "deprecated" => facts.deprecated = is_deprecated(value),
        "dist" => read_dist(&mut facts, value),
        "dependencies" => dependencies = texts(value),
        "optionalDependencies" => optional = texts(value),
        "license" => facts.licence = licence::read(value),
        "licenses" => old_licences = licence::read(value),
        "scripts" => scripts.written = scripts::run_on_install(value),
        "hasInstallScript" => scripts.announced = value == "true",
        "gypfile" => scripts.builds = value == "true",
        _ => {}
    })?;
    facts.licence = facts.licence.or(old_licences);
    facts.install_scripts = scripts.any();
    // npm lists optional ones in both maps; the optional spec is the one that counts
    dependencies.append(&mut optional);
    json::fold_duplicates(&mut dependencies, |(name, _)| name);
    facts.dependencies = dependencies;
    Ok(facts)
}

fn read_dist<'a>(facts: &mut VersionFacts<'a>, dist: &'a str) {
    // of two `dist` the later one counts as a whole
    (facts.tarball, facts.integrity, facts.shasum) = Default::default();
    (facts.size, facts.unpacked_size, facts.signatures) = Default::default();
    // the only error is a `dist` that is no object, and then there is nothing to read
    let _ = json::each_member(dist, |key, value| match &*key {
        "tarball" => facts.tarball = json::string(value),
        "integrity" => facts.integrity = json::string(value),
        "shasum" => facts.shasum = json::string(value),
        "size" => facts.size = value.parse().ok(),
        "unpackedSize" => facts.unpacked_size = value.parse().ok(),
        // of another shape than a list of signatures, it counts as absent like any field
        "signatures" => facts.signatures = serde_json::from_str(value).unwrap_or_default(),
        _ => {}
    });
}

/// What clients are told of a deprecated version.
pub(crate) fn deprecation(raw: &RawValue) -> Option<Cow<'_, str>> {
    let mut found = None;
    // the only error is a manifest that is no object, and then there is nothing to read
    let _ = json::each_member(raw.get(), |key, value| {
        if key == "deprecated" {
            let text = || json::string(value).unwrap_or_default();
            found = is_deprecated(value).then(text);
        }
    });
    found
}

fn is_deprecated(value: &str) -> bool {
    match json::string(value) {
        Some(text) => !text.is_empty(),
        None => value == "true",
    }
}

/// Members with string values.
fn texts(map: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut texts = Vec::new();
    // the only error is a value that is no object (an old list): no dependencies then
    let _ = json::each_member(map, |key, value| {
        texts.extend(json::string(value).map(|value| (key, value)));
    });
    texts
}
