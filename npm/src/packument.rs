//! One pass over a packument; versions stay raw slices of the body, order is kept.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json;
use crate::manifest::{self, ManifestDigest, VersionFacts};

/// Why a body is no JSON document that could be a packument.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Not JSON, cut off, or not an object.
    #[error("document is no JSON object: {0}")]
    Json(#[from] serde_json::Error),
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
    /// `dist-tags` with string values.
    pub dist_tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Versions whose value is an object.
    pub versions: Vec<VersionEntry<'a>>,
    /// `time` entries with string values.
    pub time: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Keys of `versions` whose value is no object: nothing of them can be served.
    pub skipped: Vec<Cow<'a, str>>,
}

/// What kind of document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackumentShape {
    /// Has versions.
    Normal,
    /// Has a name and no versions, without saying it was unpublished.
    Emptied,
    /// No versions and `time.unpublished`.
    Unpublished,
    /// Every version was replaced by npm's security placeholder.
    SecurityHolding,
    /// Something else: an error body, another registry's answer.
    NotAPackument,
}

/// One version: its key and its raw manifest.
#[derive(Debug)]
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
}

impl<'a> PackumentScan<'a> {
    /// Scans a body.
    ///
    /// # Errors
    /// [`ScanError`] when it is not one JSON object.
    pub fn parse(body: &'a [u8]) -> Result<Self, ScanError> {
        let text =
            std::str::from_utf8(body).map_err(serde::de::Error::custom).map_err(ScanError::Json)?;
        let mut scan = Self {
            members: last_wins(json::members(text)?),
            name: None,
            rev: None,
            dist_tags: Vec::new(),
            versions: Vec::new(),
            time: Vec::new(),
            skipped: Vec::new(),
        };
        for (key, value) in &scan.members {
            match &**key {
                "name" => scan.name = json::string(value),
                "_rev" => scan.rev = json::string(value),
                "dist-tags" => scan.dist_tags = strings(value),
                "time" => scan.time = strings(value),
                "versions" => {
                    for (key, raw) in last_wins(json::members(value.get()).unwrap_or_default()) {
                        if raw.get().starts_with('{') {
                            scan.versions.push(VersionEntry { key, raw });
                        } else {
                            scan.skipped.push(key);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(scan)
    }

    /// One version by its exact text.
    #[must_use]
    pub fn version(&self, key: &str) -> Option<&VersionEntry<'a>> {
        self.versions.iter().find(|entry| entry.key == key)
    }

    /// The publish time of a version, as upstream wrote it.
    #[must_use]
    pub fn published_at(&self, version: &str) -> Option<&str> {
        self.time.iter().find(|(key, _)| key == version).map(|(_, time)| &**time)
    }

    /// The raw value of a top-level member.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&'a RawValue> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// What kind of document it is.
    #[must_use]
    pub fn shape(&self) -> PackumentShape {
        if !self.versions.is_empty() {
            let holding = |entry: &VersionEntry<'_>| entry.key.contains("-security");
            return if self.versions.iter().all(holding) {
                PackumentShape::SecurityHolding
            } else {
                PackumentShape::Normal
            };
        }
        let is_object = |key: &str| self.member(key).filter(|value| value.get().starts_with('{'));
        let unpublished = is_object("time").is_some_and(|time| {
            json::members(time.get())
                .is_ok_and(|time| time.iter().any(|(key, _)| key == "unpublished"))
        });
        let describes_a_package =
            is_object("versions").is_some() || (self.name.is_some() && is_object("time").is_some());
        match (unpublished, describes_a_package) {
            (true, _) => PackumentShape::Unpublished,
            (false, true) => PackumentShape::Emptied,
            (false, false) => PackumentShape::NotAPackument,
        }
    }
}

fn last_wins(members: Vec<json::Member<'_>>) -> Vec<json::Member<'_>> {
    let mut kept: Vec<json::Member<'_>> = Vec::with_capacity(members.len());
    let mut at = std::collections::HashMap::new();
    for (key, value) in members {
        match at.get(&key) {
            Some(&index) => {
                if let Some(known) = kept.get_mut::<usize>(index) {
                    known.1 = value;
                }
            }
            None => {
                at.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}

fn strings(map: &RawValue) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    last_wins(json::members(map.get()).unwrap_or_default())
        .into_iter()
        .filter_map(|(key, value)| json::string(value).map(|value| (key, value)))
        .collect()
}
