//! What a sync and a miss do alike with a new document: read it, judge its signatures, and
//! decide what of it may be had.

use npm::{Keyring, PackageName, SignatureVerdict};
use store::{Store, Validators, VersionChange, VersionState};

use crate::change_builder::{DocumentPlan, Terms};
use crate::committer::CommitError;
use crate::known::{Known, UnusableDocument};
use crate::policy::{CurrentPolicy, SignaturePolicy, SyncPolicy};
use crate::removal;
use crate::signing_keys::{Keys, SigningKeys, WriteRows};
use crate::upstream::{FetchedDocument, Upstream, UpstreamError};

/// The operator's policy and what following it needs; cheap to clone.
#[derive(Clone)]
pub struct Rules {
    /// What was decided when the engine started; syncs go by it.
    pub policy: SyncPolicy,
    /// The same with the rules about readers as they are now.
    pub current: CurrentPolicy,
    /// Tarballs above this are skipped (`sync.max_tarball`).
    pub max_tarball_bytes: u64,
    /// Keys of registries.
    pub keys: SigningKeys,
    /// Where a document that is kept lies.
    pub(crate) store: Store,
    /// For what goes with no change of a package.
    pub(crate) write: WriteRows,
}

/// Why a document is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unaccepted {
    /// It cannot be used.
    #[error(transparent)]
    Unusable(#[from] UnusableDocument),
    /// Signatures are required, and the keys to verify them cannot be had.
    #[error("signatures are required (sync.signatures), and the keys cannot be had: {0}")]
    NoKeys(UpstreamError),
    /// What upstream took away could not be withheld.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Rules {
    /// What a new document means for the rows of its package.
    pub(crate) async fn plan(
        &self,
        upstream: &Upstream,
        known: &Known,
        fetched: &mut FetchedDocument,
    ) -> Result<DocumentPlan, Unaccepted> {
        let mut plan = self.judge(upstream, known, fetched).await?;
        removal::settle(known, &self.policy, &self.store, &self.write, fetched, &mut plan).await?;
        Ok(plan)
    }

    /// What the next request for a document may carry.
    pub(crate) fn validators(&self, known: &Known) -> Validators {
        match removal::wants_whole_answer(known, &self.policy) {
            true => Validators::default(),
            false => known.validators(),
        }
    }

    async fn judge(
        &self,
        upstream: &Upstream,
        known: &Known,
        fetched: &FetchedDocument,
    ) -> Result<DocumentPlan, Unaccepted> {
        if self.policy.signatures == SignaturePolicy::Off {
            return Ok(known.plan(fetched, self.terms(None))?);
        }
        let keys = self.keys.current(upstream).await;
        self.check(&keys)?;
        let mut plan = known.plan(fetched, self.terms(Some(&keys.ring)))?;
        if plan.lacks_a_key() {
            let newer = self.keys.after_unknown_key(upstream).await;
            if newer.list != keys.list {
                plan = known.plan(fetched, self.terms(Some(&newer.ring)))?;
            }
        }
        self.withhold(&known.name, &mut plan.versions);
        Ok(plan)
    }

    fn terms<'a>(&self, keys: Option<&'a Keyring>) -> Terms<'a> {
        Terms {
            keys,
            max_tarball_bytes: self.max_tarball_bytes,
            now_ms: self.policy.clock.now_ms(),
        }
    }

    fn check(&self, keys: &Keys) -> Result<(), Unaccepted> {
        match &keys.failure {
            Some(failure) if self.policy.signatures == SignaturePolicy::Require => {
                Err(Unaccepted::NoKeys(failure.clone()))
            }
            _ => Ok(()),
        }
    }

    /// What is withheld is not fetched either; what is here stays, unseen.
    fn withhold(&self, name: &PackageName, versions: &mut [VersionChange]) {
        for version in versions {
            if version.state != VersionState::Held && self.policy.withholds(version.signature) {
                version.state = VersionState::Failed;
                version.reason = Some(unsigned_text(name, &version.version, version.signature));
            }
        }
    }
}

/// Why a version without a valid signature is not had.
#[must_use]
pub fn unsigned_text(
    name: &PackageName,
    version: &str,
    verdict: Option<SignatureVerdict>,
) -> String {
    let verdict = verdict.map_or("not verified yet", SignatureVerdict::as_str);
    format!(
        "the registry signature of {name}@{version} is {verdict:?}, and sync.signatures requires \
         a valid one"
    )
}
