//! What an operator decided about signatures and about what upstream takes away.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use npm::SignatureVerdict;
use parking_lot::RwLock;

use crate::clock::Clock;
use crate::deny::DenyRules;
use crate::hold::HoldPolicy;

/// What becomes of versions whose registry signature is not valid (`sync.signatures`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignaturePolicy {
    /// Verified and written down; a wrong one is an alarm.
    #[default]
    Record,
    /// As that, and what is not valid is neither fetched nor served.
    Require,
    /// Nothing is verified.
    Off,
}

/// What becomes of what upstream takes away (`sync.removed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemovedPolicy {
    /// Gone from documents, tarballs stay for old lockfiles.
    #[default]
    Hide,
    /// Stays as it was.
    Keep,
    /// Refused with 451.
    Block,
    /// The bytes go; what they hashed to stays known.
    Delete,
}

/// A word that is none of a setting's choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is none of {choices}")]
pub struct UnknownChoice {
    given: String,
    choices: &'static str,
}

impl FromStr for SignaturePolicy {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "record" => Ok(Self::Record),
            "require" => Ok(Self::Require),
            "off" => Ok(Self::Off),
            _ => Err(UnknownChoice { given: text.into(), choices: "record, require, off" }),
        }
    }
}

impl FromStr for RemovedPolicy {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "hide" => Ok(Self::Hide),
            "keep" => Ok(Self::Keep),
            "block" => Ok(Self::Block),
            "delete" => Ok(Self::Delete),
            _ => Err(UnknownChoice { given: text.into(), choices: "hide, keep, block, delete" }),
        }
    }
}

impl fmt::Display for RemovedPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hide => "hide",
            Self::Keep => "keep",
            Self::Block => "block",
            Self::Delete => "delete",
        })
    }
}

/// The rules a sync and a miss follow alike.
#[derive(Clone, Debug)]
pub struct SyncPolicy {
    /// `sync.signatures`.
    pub signatures: SignaturePolicy,
    /// `sync.removed`.
    pub removed: RemovedPolicy,
    /// `sync.removed_after`: a package that upstream does not have any more counts as gone when an
    /// answer this much later says the same.
    pub removed_after: Duration,
    /// `security.hold` and its exceptions.
    pub hold: HoldPolicy,
    /// `security.deny_…`.
    pub deny: DenyRules,
    /// What ages are measured by.
    pub clock: Clock,
}

impl Default for SyncPolicy {
    fn default() -> Self {
        Self {
            signatures: SignaturePolicy::default(),
            removed: RemovedPolicy::default(),
            removed_after: Duration::from_secs(3600),
            hold: HoldPolicy::default(),
            deny: DenyRules::default(),
            clock: Clock::default(),
        }
    }
}

impl SyncPolicy {
    /// Whether a version with this verdict is withheld from readers.
    #[must_use]
    pub fn withholds(&self, verdict: Option<SignatureVerdict>) -> bool {
        self.signatures == SignaturePolicy::Require && verdict != Some(SignatureVerdict::Valid)
    }
}

/// The policy as readers meet it: what they are not given can be changed while the program runs.
#[derive(Clone, Debug)]
pub struct CurrentPolicy(Arc<RwLock<Arc<SyncPolicy>>>);

impl CurrentPolicy {
    /// Begins with this.
    #[must_use]
    pub fn new(policy: SyncPolicy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> Arc<SyncPolicy> {
        Arc::clone(&self.0.read())
    }

    /// Takes other rules about readers; everything else stays.
    pub(crate) fn change(&self, hold: HoldPolicy, deny: DenyRules) {
        let mut current = self.0.write();
        *current = Arc::new(SyncPolicy { hold, deny, ..SyncPolicy::clone(&current) });
    }
}
