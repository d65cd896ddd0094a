//! Digests: what upstream announces for a tarball and what its bytes really are.
//!
//! [`Sha512Digest`] is the key of every blob. [`Integrity`] is a parsed SRI string,
//! [`ExpectedDigest`] the write-once fact of a version, [`Verifier`] the hash that runs
//! while the bytes pass.

mod digest;
mod expected;
mod sri;
mod verifier;

#[cfg(test)]
mod tests;

pub use digest::Sha512Digest;
pub use expected::ExpectedDigest;
pub use sri::{HashAlgorithm, Integrity, SriHash};
pub use verifier::{Digests, Mismatch, Verifier};

/// Why a digest announced by upstream cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// The integrity string breaks the SRI form.
    #[error("integrity {text:?} is malformed: {reason}")]
    Malformed {
        /// The text refused.
        text: String,
        /// The rule that is broken.
        reason: &'static str,
    },
    /// Well-formed, but only with algorithms that prove nothing here (md5 and unknown ones).
    #[error("integrity {text:?} has no sha512, sha384, sha256 or sha1 hash")]
    Unsupported {
        /// The text refused.
        text: String,
    },
    /// A shasum that is not 40 hexadecimal characters.
    #[error("shasum {text:?} is not 40 hexadecimal characters")]
    Shasum {
        /// The text refused.
        text: String,
    },
    /// A sha512 in hexadecimal that is not 128 characters.
    #[error("sha512 {text:?} is not 128 hexadecimal characters")]
    Sha512 {
        /// The text refused.
        text: String,
    },
}
