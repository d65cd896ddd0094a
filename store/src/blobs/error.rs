//! What can go wrong with blobs, grouped by what the caller does next.

use std::io;

use npm::Sha512Digest;
use rustix::io::Errno;
use thiserror::Error;

use super::BlobLocation;

/// Why a blob could not be written or read.
#[derive(Debug, Clone, Error)]
pub enum BlobError {
    /// No space, or a quota: stop fetching, serve what is here, try again later.
    #[error("no space left for blobs: {0}")]
    DiskFull(String),
    /// Nothing at that place. The blob may have been moved: look the digest up again.
    #[error(
        "blob {digest} is not at segment {} offset {} length {}",
        location.segment, location.offset, location.length
    )]
    Missing {
        /// The blob asked for.
        digest: Sha512Digest,
        /// Where it was expected.
        location: BlobLocation,
    },
    /// Bytes are there but are not the blob: fetch it again from upstream.
    #[error("blob {digest} is damaged: {what}")]
    Damaged {
        /// The blob asked for.
        digest: Sha512Digest,
        /// What was found, and what should be there.
        what: String,
    },
    /// Anything else the disk or the object store says; what was being written is lost.
    #[error("{0}")]
    Failed(String),
}

impl BlobError {
    /// Wraps an error of the operating system: `doing` is a verb phrase with its object.
    pub(crate) fn from_io(doing: &str, error: &io::Error) -> Self {
        let text = format!("{doing}: {error}");
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::DiskFull(text),
            _ => Self::Failed(text),
        }
    }

    /// Whether space is what is missing.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull(_))
    }
}
