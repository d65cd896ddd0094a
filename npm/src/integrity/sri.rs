//! SRI strings as they stand in `dist.integrity` and in lockfiles.
//!
//! `sha512-<base64>` with optional `?options`, several of them separated by spaces. Any
//! hash of the strongest algorithm present may match; weaker ones are then ignored, as the
//! clients do it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::IntegrityError;

/// An algorithm that a digest may be checked with, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// 20 bytes; the only check of versions published before April 2017.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes; what npm announces today.
    Sha512,
}

impl HashAlgorithm {
    /// The name used in SRI strings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of a digest.
    #[must_use]
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha512, Self::Sha384, Self::Sha256, Self::Sha1]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }
}

/// One hash of an SRI string.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SriHash {
    /// How the digest was made.
    pub algorithm: HashAlgorithm,
    /// The digest itself, of the algorithm's length.
    pub digest: Vec<u8>,
}

impl fmt::Display for SriHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.algorithm.as_str(), STANDARD.encode(&self.digest))
    }
}

/// A parsed SRI string with at least one hash we can check.
///
/// Hashes keep their order; options and unknown algorithms are dropped, so two spellings of
/// one fact compare as equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Integrity {
    hashes: Vec<SriHash>,
}

impl Integrity {
    /// Every hash, in the order given.
    #[must_use]
    pub fn hashes(&self) -> &[SriHash] {
        &self.hashes
    }

    /// The strongest algorithm present and the digests given for it, any of which may match.
    #[must_use]
    pub fn strongest(&self) -> (HashAlgorithm, Vec<Vec<u8>>) {
        let algorithm = self.strongest_algorithm();
        (algorithm, self.digests(algorithm).map(<[u8]>::to_vec).collect())
    }

    /// The strongest algorithm present.
    #[must_use]
    pub fn strongest_algorithm(&self) -> HashAlgorithm {
        // a parsed string is never empty; sha1 would only be weaker, never wrong
        self.hashes.iter().map(|hash| hash.algorithm).max().unwrap_or(HashAlgorithm::Sha1)
    }

    /// The digests of one algorithm.
    pub fn digests(&self, algorithm: HashAlgorithm) -> impl Iterator<Item = &[u8]> {
        self.hashes
            .iter()
            .filter(move |hash| hash.algorithm == algorithm)
            .map(|hash| hash.digest.as_slice())
    }
}

impl FromStr for Integrity {
    type Err = IntegrityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hashes: Vec<SriHash> = Vec::with_capacity(1);
        let mut seen_any = false;
        for part in text.split_ascii_whitespace() {
            seen_any = true;
            match parse_hash(part) {
                Ok(Some(hash)) if hashes.contains(&hash) => {}
                Ok(Some(hash)) => hashes.push(hash),
                Ok(None) => {}
                Err(reason) => {
                    return Err(IntegrityError::Malformed { text: text.to_owned(), reason });
                }
            }
        }
        match (seen_any, hashes.is_empty()) {
            (false, _) => {
                Err(IntegrityError::Malformed { text: text.to_owned(), reason: "it is empty" })
            }
            (true, true) => Err(IntegrityError::Unsupported { text: text.to_owned() }),
            (true, false) => Ok(Self { hashes }),
        }
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, hash) in self.hashes.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            fmt::Display::fmt(hash, f)?;
        }
        Ok(())
    }
}

/// One part; `None` for an algorithm that proves nothing here.
fn parse_hash(part: &str) -> Result<Option<SriHash>, &'static str> {
    let (name, rest) = part.split_once('-').ok_or("a hash is not `algorithm-base64`")?;
    let encoded = rest.split_once('?').map_or(rest, |(encoded, _options)| encoded);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("an algorithm name is not letters and digits");
    }
    let digest = STANDARD.decode(encoded).map_err(|_| "a digest is not padded base64")?;
    let Some(algorithm) = HashAlgorithm::from_name(name) else { return Ok(None) };
    if digest.len() != algorithm.digest_len() {
        return Err("a digest has not the length of its algorithm");
    }
    Ok(Some(SriHash { algorithm, digest }))
}
