//! Rules of the settings about what readers are never given (`security.deny_…`).
//!
//! Pure: a rule sees a name, or what is known of a version. What it says is decided when a document
//! or a tarball is read; nothing about it is written.

pub mod learn;
mod licence;
pub mod pattern;
#[cfg(test)]
mod tests;

use npm::PackageName;
use store::facts::{Facts, ManifestFacts, VersionFactsRow};

use self::pattern::covers;
use crate::words::in_words;

/// What an operator denies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyRules {
    /// `security.deny_names`: names, `@scope/*`, and patterns with `*`.
    pub names: Vec<String>,
    /// `security.deny_licences`: SPDX ids and patterns; `none` for those without a licence.
    pub licences: Vec<String>,
    /// `security.deny_larger_than`: tarballs of more bytes; 0: none.
    pub larger_than_bytes: u64,
    /// `security.deny_install_scripts`.
    pub install_scripts: bool,
    /// `security.deny_except`: names and patterns that none of the rules concerns.
    pub except: Vec<String>,
}

/// A rule that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The setting.
    pub rule: &'static str,
    /// What it found, for people.
    pub found: String,
}

impl Denied {
    fn new(rule: &'static str, found: String) -> Self {
        Self { rule, found }
    }

    /// What readers are told.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{} ({})", self.found, self.rule)
    }
}

impl DenyRules {
    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.judges_versions()
    }

    /// Whether some rule needs more than the name.
    #[must_use]
    pub fn judges_versions(&self) -> bool {
        !self.licences.is_empty() || self.larger_than_bytes > 0 || self.install_scripts
    }

    /// Whether some rule may concern this package.
    #[must_use]
    pub fn concerns(&self, name: &PackageName) -> bool {
        !self.is_empty() && !self.except.iter().any(|rule| covers(rule, name.as_str()))
    }

    /// The rule about the name, for a package that is [concerned](Self::concerns).
    #[must_use]
    pub fn name(&self, name: &PackageName) -> Option<Denied> {
        let rule = self.names.iter().find(|rule| covers(rule, name.as_str()))?;
        Some(Denied::new("security.deny_names", format!("its name matches {rule:?}")))
    }

    /// The rule about the size of a tarball.
    #[must_use]
    pub fn size(&self, bytes: u64) -> Option<Denied> {
        let limit = self.larger_than_bytes;
        if limit == 0 || bytes <= limit {
            return None;
        }
        let found = format!("its tarball has {}, more than {}", in_words(bytes), in_words(limit));
        Some(Denied::new("security.deny_larger_than", found))
    }

    /// The first rule about a version of a package that is concerned.
    ///
    /// A tarball that is here counts with its own size, else with the announced one. What is not
    /// known of a manifest is denied where a rule asks for it.
    #[must_use]
    pub fn version(&self, row: &VersionFactsRow) -> Option<Denied> {
        let facts = match &row.facts {
            Facts::Read(facts) => Some(facts),
            Facts::Gone | Facts::Unread => None,
        };
        let announced = facts.and_then(|facts| facts.announced_bytes);
        let bytes = row.size_bytes.or(announced).and_then(|bytes| u64::try_from(bytes).ok());
        let by_size = bytes.and_then(|bytes| self.size(bytes));
        by_size.or_else(|| self.manifest(facts))
    }

    fn manifest(&self, facts: Option<&ManifestFacts>) -> Option<Denied> {
        let asks = !self.licences.is_empty() || self.install_scripts;
        let Some(facts) = facts else {
            let rule = if self.install_scripts { SCRIPTS } else { LICENCES };
            let found = "its manifest is not here, so nobody can tell".to_owned();
            return asks.then(|| Denied::new(rule, found));
        };
        if self.install_scripts && facts.install_scripts {
            return Some(Denied::new(SCRIPTS, "installing it runs scripts of its own".to_owned()));
        }
        let licence = facts.licence.as_deref();
        let rule = licence::denied(&self.licences, licence)?;
        let found = match licence {
            Some(licence) => format!("its licence {licence:?} matches {rule:?}"),
            None => "it announces no licence".to_owned(),
        };
        Some(Denied::new(LICENCES, found))
    }
}

const LICENCES: &str = "security.deny_licences";
const SCRIPTS: &str = "security.deny_install_scripts";
