//! Security advisories: what `npm audit` is told, and which versions they concern.
//!
//! The bulk answer of npm's audit endpoint maps names to lists of [`Advisory`]. What this mirror
//! knows itself comes from records in the OSV format ([`osv`]), which name stretches of versions
//! by events; they become [`Stretch`]es, because npm's ranges leave prereleases out and an audit
//! must not.

pub mod osv;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::version::{compare_versions, is_version};

/// Where a registry answers which versions have advisories: `POST` of names with versions.
pub const BULK_PATH: &str = "/-/npm/v1/security/advisories/bulk";

/// One advisory about one package, an element of the bulk answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advisory {
    /// Tells advisories apart; clients show it as the source.
    pub id: u64,
    /// Where people read more; may be empty.
    #[serde(default)]
    pub url: String,
    /// One line.
    #[serde(default)]
    pub title: String,
    /// `info`, `low`, `moderate`, `high` or `critical`.
    #[serde(default)]
    pub severity: String,
    /// A range in npm's words, for clients that look again.
    #[serde(default)]
    pub vulnerable_versions: String,
    /// Kinds of weakness, `CWE-79`.
    #[serde(default)]
    pub cwe: Vec<String>,
    /// How bad it is in numbers.
    #[serde(default)]
    pub cvss: Cvss,
}

/// A score of the Common Vulnerability Scoring System.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cvss {
    /// 0 to 10; 0 where there is none.
    #[serde(default)]
    pub score: f64,
    /// What the score was computed from.
    #[serde(default, rename = "vectorString")]
    pub vector: Option<String>,
}

/// An advisory of this mirror with the versions it concerns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// What clients are told.
    pub advisory: Advisory,
    /// Stretches of versions.
    pub stretches: Vec<Stretch>,
    /// Further single versions.
    pub versions: Vec<String>,
}

/// Versions from one on up to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The first; `None`: from the very first one on.
    pub from: Option<String>,
    /// Where it ends.
    pub end: End,
}

/// The end of a [`Stretch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// There is none.
    Open,
    /// This version is good again.
    Before(String),
    /// This is the last bad version that is known.
    With(String),
}

/// Whether a range in npm's words holds a version, prereleases included, as an audit reads it.
#[must_use]
pub fn range_holds(range: &str, version: &str) -> bool {
    range.split("||").any(|stretch| stretch_holds(stretch.trim(), version))
}

/// Comparisons are made here, because npm's ranges hold no prereleases; anything else is a range.
fn stretch_holds(stretch: &str, version: &str) -> bool {
    let compared: Option<Vec<bool>> =
        stretch.split_whitespace().map(|bound| bound_holds(bound, version)).collect();
    match compared {
        Some(bounds) if !bounds.is_empty() => bounds.into_iter().all(|holds| holds),
        _ => range_of_npm_holds(stretch, version),
    }
}

/// `None` for what is no comparison with a whole version.
fn bound_holds(bound: &str, version: &str) -> Option<bool> {
    if bound == "*" {
        return Some(true);
    }
    let digits = bound.find(|c: char| c.is_ascii_digit())?;
    let (operator, than) = bound.split_at_checked(digits)?;
    if !is_version(than) {
        return None;
    }
    let order = compare_versions(version, than);
    Some(match operator {
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        ">=" => order != Ordering::Less,
        "" | "=" => order == Ordering::Equal,
        _ => return None,
    })
}

fn range_of_npm_holds(range: &str, version: &str) -> bool {
    let (range, version) =
        (nodejs_semver::Range::parse(range), nodejs_semver::Version::parse(version));
    matches!((range, version), (Ok(range), Ok(version)) if range.satisfies(&version))
}

impl Known {
    /// This and another entry of the same record as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let ranges = [&self.advisory, &other.advisory].map(|of| of.vulnerable_versions.as_str());
        self.advisory.vulnerable_versions = ranges.join(" || ");
        self.stretches.extend(other.stretches);
        self.versions.extend(other.versions);
        self
    }

    /// Whether a version is concerned.
    #[must_use]
    pub fn concerns(&self, version: &str) -> bool {
        self.versions.iter().any(|known| known == version)
            || self.stretches.iter().any(|stretch| stretch.holds(version))
    }
}

impl Stretch {
    /// Whether a version lies in it; a text that is no version lies in one without an end only.
    #[must_use]
    pub fn holds(&self, version: &str) -> bool {
        let from = |from: &String| compare_versions(version, from) != Ordering::Less;
        self.from.as_ref().is_none_or(from)
            && match &self.end {
                End::Open => true,
                End::Before(fixed) => compare_versions(version, fixed) == Ordering::Less,
                End::With(last) => compare_versions(version, last) != Ordering::Greater,
            }
    }

    /// In npm's words.
    fn range(&self) -> String {
        let from = self.from.as_ref().map(|from| format!(">={from}"));
        let end = match &self.end {
            End::Open => None,
            End::Before(fixed) => Some(format!("<{fixed}")),
            End::With(last) => Some(format!("<={last}")),
        };
        match (from, end) {
            (None, None) => "*".to_owned(),
            (from, end) => from.into_iter().chain(end).collect::<Vec<_>>().join(" "),
        }
    }
}
