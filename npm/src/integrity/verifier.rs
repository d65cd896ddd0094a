//! The hash that runs while a tarball passes.

use sha2::Digest;

use super::sri::SriHash;
use super::{ExpectedDigest, HashAlgorithm, Sha512Digest};

/// The bytes are not those that upstream announced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digest of the bytes is {actual}, announced was {expected}")]
pub struct Mismatch {
    /// What was announced, as SRI or shasum.
    pub expected: String,
    /// What the bytes have, in the same form and algorithm.
    pub actual: String,
}

/// Hashes bytes once and compares at the end.
///
/// SHA-512 always runs, because it is the blob's key; a second hash runs only when the
/// announced one is of another algorithm.
#[derive(Debug, Clone)]
pub struct Verifier {
    expected: ExpectedDigest,
    key: sha2::Sha512,
    other: Option<OtherHash>,
}

#[derive(Debug, Clone)]
enum OtherHash {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
}

impl OtherHash {
    fn for_algorithm(algorithm: HashAlgorithm) -> Option<Self> {
        match algorithm {
            HashAlgorithm::Sha1 => Some(Self::Sha1(sha1::Sha1::new())),
            HashAlgorithm::Sha256 => Some(Self::Sha256(sha2::Sha256::new())),
            HashAlgorithm::Sha384 => Some(Self::Sha384(sha2::Sha384::new())),
            HashAlgorithm::Sha512 => None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.finalize().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha384(hash) => hash.finalize().to_vec(),
        }
    }
}

impl Verifier {
    pub(super) fn new(expected: ExpectedDigest) -> Self {
        let other = OtherHash::for_algorithm(expected.algorithm());
        Self { expected, key: sha2::Sha512::new(), other }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.key.update(bytes);
        if let Some(other) = &mut self.other {
            other.update(bytes);
        }
    }

    /// The blob's key, when the bytes are what was announced.
    ///
    /// # Errors
    /// [`Mismatch`] when they are not.
    pub fn finish(self) -> Result<Sha512Digest, Mismatch> {
        let key = Sha512Digest(self.key.finalize().into());
        let algorithm = self.expected.algorithm();
        let actual = self.other.map_or_else(|| key.as_bytes().to_vec(), OtherHash::finish);
        if self.expected.digests(algorithm).any(|digest| digest == actual) {
            return Ok(key);
        }
        let actual = match &self.expected {
            ExpectedDigest::Integrity(_) => SriHash { algorithm, digest: actual }.to_string(),
            ExpectedDigest::Shasum(_) => hex::encode(actual),
        };
        Err(Mismatch { expected: self.expected.text(), actual })
    }
}

/// The digests of bytes of which nothing is known yet.
#[derive(Debug, Clone, Default)]
pub struct Digests {
    key: sha2::Sha512,
    old: sha1::Sha1,
}

impl Digests {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.key.update(bytes);
        self.old.update(bytes);
    }

    /// The blob's key, and the shasum in hexadecimal.
    #[must_use]
    pub fn finish(self) -> (Sha512Digest, String) {
        (Sha512Digest(self.key.finalize().into()), hex::encode(self.old.finalize()))
    }
}
