//! What a version's bytes must hash to: the write-once fact `name@version` → digest.

use super::{HashAlgorithm, Integrity, IntegrityError, Sha512Digest, Verifier};

/// The digest a tarball is checked against: its integrity, else its shasum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExpectedDigest {
    /// From `dist.integrity`.
    Integrity(Integrity),
    /// From `dist.shasum` (SHA-1), where no integrity is given.
    Shasum([u8; 20]),
}

impl ExpectedDigest {
    /// Reads the two fields of `dist`; `None` when there is neither.
    ///
    /// An integrity of only md5 gives way to a shasum, which is no weaker. Anything else
    /// that cannot be read is an error even beside a good shasum: a check is never made
    /// weaker in silence.
    ///
    /// # Errors
    /// [`IntegrityError`] for malformed or unusable values.
    pub fn from_dist(
        integrity: Option<&str>,
        shasum: Option<&str>,
    ) -> Result<Option<Self>, IntegrityError> {
        let given = |text: &&str| !text.trim().is_empty();
        let shasum = shasum.filter(given);
        if let Some(text) = integrity.filter(given) {
            match text.parse() {
                Ok(integrity) => return Ok(Some(Self::Integrity(integrity))),
                Err(IntegrityError::Unsupported { .. }) if shasum.is_some() && is_md5(text) => {}
                Err(error) => return Err(error),
            }
        }
        shasum.map(parse_shasum).transpose().map(|digest| digest.map(Self::Shasum))
    }

    /// A hash that compares with this when the bytes are through.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.clone())
    }

    /// The text kept in the store: SRI, or the shasum in hexadecimal.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Integrity(integrity) => integrity.to_string(),
            Self::Shasum(digest) => hex::encode(digest),
        }
    }

    /// Reads [`Self::text`] back.
    ///
    /// # Errors
    /// [`IntegrityError`] when it is neither SRI nor a shasum.
    pub fn from_text(text: &str) -> Result<Self, IntegrityError> {
        if text.contains('-') {
            return text.parse().map(Self::Integrity);
        }
        parse_shasum(text).map(Self::Shasum)
    }

    /// The blob key, when exactly one sha512 is given: known before any download.
    #[must_use]
    pub fn sha512(&self) -> Option<Sha512Digest> {
        let Self::Integrity(integrity) = self else { return None };
        let mut digests = integrity.digests(HashAlgorithm::Sha512);
        let only = digests.next().and_then(Sha512Digest::from_slice);
        only.filter(|_| digests.next().is_none())
    }

    /// Whether both name a digest of one algorithm and no digest agrees.
    ///
    /// This is the alarm for "same version, other bytes". A document that later gains an
    /// integrity beside its old shasum, or lists one more hash, does not contradict.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        use HashAlgorithm::{Sha1, Sha256, Sha384, Sha512};
        let shared = [Sha512, Sha384, Sha256, Sha1].into_iter().find(|&algorithm| {
            self.digests(algorithm).next().is_some() && other.digests(algorithm).next().is_some()
        });
        shared.is_some_and(|algorithm| {
            !self.digests(algorithm).any(|ours| other.digests(algorithm).any(|its| its == ours))
        })
    }

    /// The strongest algorithm given.
    pub(super) fn algorithm(&self) -> HashAlgorithm {
        match self {
            Self::Integrity(integrity) => integrity.strongest_algorithm(),
            Self::Shasum(_) => HashAlgorithm::Sha1,
        }
    }

    /// Every digest given for one algorithm.
    pub(super) fn digests(&self, algorithm: HashAlgorithm) -> impl Iterator<Item = &[u8]> {
        let (integrity, shasum) = match self {
            Self::Integrity(integrity) => (Some(integrity), None),
            Self::Shasum(digest) => {
                (None, Some(digest.as_slice()).filter(|_| algorithm == HashAlgorithm::Sha1))
            }
        };
        integrity.into_iter().flat_map(move |given| given.digests(algorithm)).chain(shasum)
    }
}

fn is_md5(text: &str) -> bool {
    text.split_ascii_whitespace().all(|part| part.starts_with("md5-"))
}

fn parse_shasum(text: &str) -> Result<[u8; 20], IntegrityError> {
    let mut digest = [0; 20];
    hex::decode_to_slice(text.trim(), &mut digest)
        .map_err(|_| IntegrityError::Shasum { text: text.to_owned() })?;
    Ok(digest)
}
