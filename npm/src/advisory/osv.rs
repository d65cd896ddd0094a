//! Records in the OSV format, as far as they concern packages of npm: the GitHub advisories, and
//! those about malware (`MAL-`), which npm's own audit does not carry.
//!
//! Fields as in the schema of the Open Source Vulnerability format, 1.7; what is unknown is
//! ignored.

use std::cmp::Ordering;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Advisory, Cvss, End, Known, Stretch};
use crate::name::PackageName;
use crate::version::compare_versions;

/// The name of npm's packages in these records.
const ECOSYSTEM: &str = "npm";
/// An event "0" stands before every version.
const BEGINNING: &str = "0";

/// A range that holds no version.
const NOTHING: &str = "<0.0.0-0";

/// Why a text is no record.
#[derive(Debug, thiserror::Error)]
#[error("no OSV record: {0}")]
pub struct OsvError(String);

/// A record.
#[derive(Debug)]
pub struct Record {
    /// Its id, `GHSA-…` or `MAL-…`.
    pub id: String,
    /// It was taken back and concerns nothing any more.
    pub withdrawn: bool,
    /// What it says of each package of npm.
    pub packages: Vec<(PackageName, Known)>,
}

#[derive(Deserialize)]
struct Raw {
    id: String,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    severity: Vec<Severity>,
    #[serde(default)]
    affected: Vec<Affected>,
    #[serde(default)]
    references: Vec<Reference>,
    #[serde(default)]
    database_specific: Option<Specific>,
}

#[derive(Deserialize)]
struct Severity {
    #[serde(rename = "type")]
    kind: String,
    score: String,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(default)]
    package: Option<Package>,
    #[serde(default)]
    ranges: Vec<Ranges>,
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct Ranges {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize, Clone)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "type", default)]
    kind: String,
    url: String,
}

#[derive(Deserialize, Default)]
struct Specific {
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    cwe_ids: Option<Vec<String>>,
}

impl Record {
    /// Reads one record.
    ///
    /// # Errors
    /// [`OsvError`] when it is none. Packages of other ecosystems, and names that no package of
    /// npm can have, are left out.
    pub fn parse(text: &[u8]) -> Result<Self, OsvError> {
        let mut raw: Raw =
            serde_json::from_slice(text).map_err(|error| OsvError(error.to_string()))?;
        let affected = std::mem::take(&mut raw.affected);
        let advisory = raw.advisory();
        let packages = affected.into_iter().filter_map(|affected| {
            let package = affected.package.as_ref().filter(|of| of.ecosystem == ECOSYSTEM)?;
            let name = PackageName::parse(&package.name).ok()?;
            Some((name, affected.known(advisory.clone())))
        });
        Ok(Self { packages: packages.collect(), withdrawn: raw.withdrawn.is_some(), id: raw.id })
    }
}

impl Raw {
    fn advisory(&self) -> Advisory {
        let specific = self.database_specific.as_ref();
        let cvss = self.cvss();
        let severity = specific.and_then(|of| of.severity.as_deref()).map(str::to_lowercase);
        let severity = severity.and_then(|word| known_word(&word));
        Advisory {
            id: number_of(&self.id),
            url: self.url(),
            title: self.summary.clone().unwrap_or_else(|| self.id.clone()),
            severity: severity.unwrap_or_else(|| self.word_of(cvss.score)).to_owned(),
            vulnerable_versions: String::new(),
            cwe: specific.and_then(|of| of.cwe_ids.clone()).unwrap_or_default(),
            cvss,
        }
    }

    /// The first vector that can be read.
    fn cvss(&self) -> Cvss {
        let scored =
            self.severity.iter().filter(|of| of.kind.starts_with("CVSS_")).find_map(|of| {
                let score = cvss::Cvss::from_str(&of.score).ok()?.score();
                Some(Cvss { score, vector: Some(of.score.clone()) })
            });
        scored.unwrap_or_default()
    }

    /// Malware has no score and is as bad as can be; what has neither is called moderate.
    fn word_of(&self, score: f64) -> &'static str {
        match score {
            _ if self.id.starts_with("MAL-") => "critical",
            score if score >= 9.0 => "critical",
            score if score >= 7.0 => "high",
            score if score >= 4.0 => "moderate",
            score if score > 0.0 => "low",
            _ => "moderate",
        }
    }

    fn url(&self) -> String {
        let advisory = self.references.iter().find(|reference| reference.kind == "ADVISORY");
        let reference = advisory.or_else(|| self.references.first());
        reference.map(|reference| reference.url.clone()).unwrap_or_default()
    }
}

impl Affected {
    fn known(self, mut advisory: Advisory) -> Known {
        let of_versions = |range: &&Ranges| matches!(range.kind.as_str(), "SEMVER" | "ECOSYSTEM");
        let ranges = self.ranges.iter().filter(of_versions);
        let stretches: Vec<Stretch> = ranges.flat_map(|range| stretches(&range.events)).collect();
        let mut versions = self.versions;
        versions.retain(|version| !stretches.iter().any(|stretch| stretch.holds(version)));
        let words = stretches.iter().map(Stretch::range).chain(versions.iter().cloned());
        advisory.vulnerable_versions = words.collect::<Vec<_>>().join(" || ");
        if advisory.vulnerable_versions.is_empty() {
            NOTHING.clone_into(&mut advisory.vulnerable_versions); // the empty range is everything
        }
        Known { advisory, stretches, versions }
    }
}

/// Events may stand in any order: each `introduced` reaches to the first end behind it.
fn stretches(events: &[Event]) -> Vec<Stretch> {
    let mut found = Vec::new();
    for from in events.iter().filter_map(|event| event.introduced.as_deref()) {
        let behind =
            |end: &&str| from == BEGINNING || compare_versions(end, from) != Ordering::Less;
        let first = |ends: &mut dyn Iterator<Item = &str>| {
            ends.filter(behind).min_by(|a, b| compare_versions(a, b)).map(str::to_owned)
        };
        let fixed = first(&mut events.iter().filter_map(|event| event.fixed.as_deref()));
        let last = first(&mut events.iter().filter_map(|event| event.last_affected.as_deref()));
        if fixed.as_deref() == Some(from) {
            continue; // nothing lies between
        }
        let end = match (fixed, last) {
            (None, None) => End::Open,
            (Some(fixed), None) => End::Before(fixed),
            (None, Some(last)) => End::With(last),
            (Some(fixed), Some(last)) if compare_versions(&fixed, &last) == Ordering::Greater => {
                End::With(last)
            }
            (Some(fixed), Some(_)) => End::Before(fixed),
        };
        let from = Some(from).filter(|from| *from != BEGINNING).map(str::to_owned);
        found.push(Stretch { from, end });
    }
    found
}

/// The words that clients know.
fn known_word(word: &str) -> Option<&'static str> {
    ["info", "low", "moderate", "high", "critical"]
        .into_iter()
        .find(|known| *known == word)
        .or_else(|| (word == "medium").then_some("moderate"))
}

/// A number for an id that is a text: the same on every mirror, and exact in JavaScript.
fn number_of(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
