//! A packument (all versions of a name) split in one pass over its body.
//!
//! Versions stay raw slices of the body and order is kept, so a document can be compared,
//! spliced and served without ever being a tree. Memory beyond the body is one small row
//! per version and per `time` entry.

mod index;
mod scan;
mod shape;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::{self, Broken};
use crate::manifest::{self, ManifestDigest, VersionFacts};

use index::KeyIndex;
pub use shape::PackumentShape;

/// Why a body cannot be read as a packument; fetching it again may help, reading it again
/// does not.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Not JSON, cut off, followed by something else, nested too deep, or not an object.
    #[error("document is not one JSON object: at byte {at} {rule}")]
    Json {
        /// Offset of the byte that breaks it.
        at: usize,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// Bytes that are no UTF-8.
    #[error("document is not UTF-8: {0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// serde_json does not take a slice that was found to be valid.
    #[error("a value of the document was refused: {0}")]
    Raw(#[source] serde_json::Error),
}

impl From<Broken> for ScanError {
    fn from(Broken { at, rule }: Broken) -> Self {
        Self::Json { at, rule }
    }
}

/// A packument split into its members, borrowing from the body.
#[derive(Debug)]
pub struct PackumentScan<'a> {
    /// Every top-level member in order; of duplicates the last value at the first position.
    pub members: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// `name`, when it is a string.
    pub name: Option<Cow<'a, str>>,
    /// `_rev`, when it is a string.
    pub rev: Option<Cow<'a, str>>,
    /// The entries of `dist-tags` with string values.
    pub dist_tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The versions whose value is an object, in document order.
    pub versions: Vec<VersionEntry<'a>>,
    /// The entries of `time` with string values.
    pub time: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Keys of `versions` whose value is no object: nothing of them can be served.
    pub skipped: Vec<Cow<'a, str>>,
    /// `time.unpublished` is there.
    unpublished: bool,
    body_bytes: usize,
    version_index: KeyIndex,
    time_index: KeyIndex,
}

/// One version: its key and its raw manifest.
#[derive(Debug, Clone)]
pub struct VersionEntry<'a> {
    /// The version, byte-exact.
    pub key: Cow<'a, str>,
    /// The manifest as it stands in the body.
    pub raw: &'a RawValue,
}

impl<'a> VersionEntry<'a> {
    /// Digest of the raw bytes.
    #[must_use]
    pub fn digest(&self) -> ManifestDigest {
        ManifestDigest::of(self.raw.get().as_bytes())
    }

    /// The facts a mirror reads.
    ///
    /// # Errors
    /// [`ScanError`] when the manifest is no JSON object.
    pub fn facts(&self) -> Result<VersionFacts<'a>, ScanError> {
        manifest::facts(self.raw)
    }

    /// The text of its deprecation, empty where it has none; `None` when it is not deprecated.
    #[must_use]
    pub fn deprecation(&self) -> Option<Cow<'a, str>> {
        manifest::deprecation(self.raw)
    }
}

impl<'a> PackumentScan<'a> {
    /// Scans a body. A byte order mark before the document is skipped, as clients do.
    ///
    /// # Errors
    /// [`ScanError`] when it is not one JSON object in UTF-8, or nested too deep.
    pub fn parse(body: &'a [u8]) -> Result<Self, ScanError> {
        scan::scan(body)
    }

    /// One version by its exact text.
    #[must_use]
    pub fn version(&self, key: &str) -> Option<&VersionEntry<'a>> {
        self.version_index.find(key, |at| self.versions.get(at).filter(|entry| entry.key == key))
    }

    /// The publish time of a version, as upstream wrote it.
    #[must_use]
    pub fn published_at(&self, version: &str) -> Option<&str> {
        self.time_entry(version)
    }

    /// `time.modified`, else the `modified` that abbreviated documents have.
    #[must_use]
    pub fn modified(&self) -> Option<Cow<'_, str>> {
        match self.time_entry("modified") {
            Some(modified) => Some(Cow::Borrowed(modified)),
            None => self.member("modified").and_then(|value| json::string(value.get())),
        }
    }

    /// The raw value of a top-level member.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// What kind of document it is.
    #[must_use]
    pub fn shape(&self) -> PackumentShape {
        PackumentShape::of(self)
    }

    /// Bytes of the body, the measure for what is rendered from it.
    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn time_entry(&self, key: &str) -> Option<&str> {
        self.time_index
            .find(key, |at| self.time.get(at).filter(|(name, _)| name == key))
            .map(|(_, time)| &**time)
    }
}
