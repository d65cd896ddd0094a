//! Why something that is not here could not be had either.

use std::time::Duration;

use store::{StoreError, blobs::BlobError};

use crate::committer::CommitError;
use crate::known::UnusableDocument;
use crate::registries::NotAsked;
use crate::rules::Unaccepted;
use crate::upstream::UpstreamError;

/// What a reader is told to wait when nobody said how long.
const COME_BACK: Duration = Duration::from_secs(5);

/// A miss that stayed one. Shared by all who waited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissError {
    /// Upstream does not have it either.
    #[error("upstream does not have it")]
    NotFound,
    /// It is not here, and the name is one that no upstream is asked for.
    #[error(transparent)]
    NotAsked(#[from] NotAsked),
    /// Upstream took it away or refuses it: 403, 410, 451.
    #[error("upstream answered {0}")]
    Gone(u16),
    /// Upstream cannot be asked right now.
    #[error("{reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The bytes are not those that were announced, or cannot be checked at all.
    #[error("{0}")]
    Integrity(String),
    /// Larger than what is fetched.
    #[error("{0}")]
    TooLarge(String),
    /// A rule of the settings denies it; the text says which.
    #[error("denied: {0}")]
    Denied(String),
    /// Upstream gave an answer that cannot be used.
    #[error("{0}")]
    BadUpstream(String),
    /// Upstream asks a mirror that asks us, or ourselves; this is the id of the one that noticed.
    #[error("upstream leads back to the mirror {0}; mirrors cannot be each other's upstream")]
    Loop(String),
    /// Fetching is parked, the text says why.
    #[error("fetching is parked: {0}")]
    Parked(String),
    /// The store failed.
    #[error("{0}")]
    Store(String),
}

impl MissError {
    /// There is nobody to ask.
    pub(crate) fn no_upstream() -> Self {
        Self::unavailable("no upstream is known, see upstream.url")
    }

    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: COME_BACK }
    }
}

impl From<UnusableDocument> for MissError {
    fn from(refused: UnusableDocument) -> Self {
        Self::BadUpstream(refused.0)
    }
}

impl From<Unaccepted> for MissError {
    fn from(error: Unaccepted) -> Self {
        match error {
            Unaccepted::Unusable(refused) => refused.into(),
            Unaccepted::Commit(CommitError::DiskFull(reason)) => Self::Parked(reason),
            Unaccepted::NoKeys(_) | Unaccepted::Commit(_) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<UpstreamError> for MissError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::NotFound => Self::NotFound,
            UpstreamError::Gone { status } | UpstreamError::Refused { status: status @ 403 } => {
                Self::Gone(status)
            }
            UpstreamError::Loop { instance_id, .. } => Self::Loop(instance_id),
            UpstreamError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            UpstreamError::Refused { .. }
            | UpstreamError::BadBody(_)
            | UpstreamError::BadRedirect(_)
            | UpstreamError::BadAddress(_)
            | UpstreamError::Misconfigured(_) => Self::BadUpstream(error.to_string()),
            UpstreamError::Offline
            | UpstreamError::OverBudget { .. }
            | UpstreamError::NotReserved(_)
            | UpstreamError::RateLimited { .. }
            | UpstreamError::Resting { .. }
            | UpstreamError::Unreachable(_)
            | UpstreamError::Status { .. }
            | UpstreamError::Stalled { .. }
            | UpstreamError::TooSlow { .. }
            | UpstreamError::Truncated(_) => {
                let retry_after = error.retry_after().unwrap_or(COME_BACK).max(COME_BACK / 5);
                Self::Unavailable { reason: error.to_string(), retry_after }
            }
        }
    }
}

impl From<StoreError> for MissError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull(text) => Self::Parked(text),
            StoreError::Retry(text) => Self::unavailable(text),
            other => Self::Store(other.to_string()),
        }
    }
}

impl From<BlobError> for MissError {
    fn from(error: BlobError) -> Self {
        StoreError::from(error).into()
    }
}
