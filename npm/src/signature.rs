//! Registry signatures: ECDSA P-256 over `name@version:integrity`.
//!
//! A registry signs each version at publish time and lists its public keys under
//! `/-/npm/v1/keys`. A key is judged by the *publish time* of the version, never by today's
//! date: versions signed before a key expired stay good. npm's client checks the same way.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The one key type registries use.
const KEY_TYPE: &str = "ecdsa-sha2-nistp256";

/// One entry of `dist.signatures`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Signature<'a> {
    /// Fingerprint of the key that made it.
    #[serde(borrow)]
    pub keyid: Cow<'a, str>,
    /// The DER signature in base64.
    #[serde(borrow)]
    pub sig: Cow<'a, str>,
}

/// A public key as the keys endpoint lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// When it stopped signing, RFC 3339; `None` while it is in use.
    pub expires: Option<String>,
    /// Its fingerprint, which signatures name.
    pub keyid: String,
    /// `ecdsa-sha2-nistp256`; keys of other types verify nothing here.
    pub keytype: String,
    /// As `keytype`.
    pub scheme: String,
    /// The key as SPKI DER in base64.
    pub key: String,
}

/// The body of the keys endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// The keys.
    pub keys: Vec<SigningKey>,
}

/// What the signatures of a version are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureVerdict {
    /// A signature by a key that was in use when the version was published.
    Valid,
    /// A signature that a listed key did not make: name, version or integrity were changed.
    Invalid,
    /// No signature, from a registry that signs.
    Unsigned,
    /// Signed by a key the registry does not list.
    UnknownKey,
    /// Signed by a key that had expired before the version was published.
    ExpiredKey,
    /// The registry lists no keys: nothing can be said.
    NoKeys,
}

impl SignatureVerdict {
    /// The word that is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Unsigned => "unsigned",
            Self::UnknownKey => "unknown key",
            Self::ExpiredKey => "expired key",
            Self::NoKeys => "no keys",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let all = [
            Self::Valid,
            Self::Invalid,
            Self::Unsigned,
            Self::UnknownKey,
            Self::ExpiredKey,
            Self::NoKeys,
        ];
        all.into_iter().find(|verdict| verdict.as_str() == text)
    }

    /// Whether more keys might say something else about the same signatures.
    #[must_use]
    pub fn depends_on_keys(self) -> bool {
        matches!(self, Self::UnknownKey | Self::NoKeys)
    }
}

impl fmt::Display for SignatureVerdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The keys of one registry, parsed once.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<ParsedKey>,
}

#[derive(Debug)]
struct ParsedKey {
    keyid: String,
    public: ParsedPublicKey,
    expires: Option<SystemTime>,
}

impl Keyring {
    /// Takes the keys that can verify: of the known type, readable, with a readable expiry.
    #[must_use]
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> Self {
        Self { keys: keys.into_iter().filter_map(ParsedKey::new).collect() }
    }

    /// Whether nothing can be verified.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Judges the signatures of one version; costs one verification a signature (about 50 µs).
    ///
    /// Of several signatures one wrong one condemns the version, else one good one suffices.
    /// A version without a readable publish time counts as older than every key, as npm does.
    #[must_use]
    pub fn judge(
        &self,
        name: &str,
        version: &str,
        integrity: Option<&str>,
        signatures: &[Signature<'_>],
        published_at: Option<&str>,
    ) -> SignatureVerdict {
        if self.is_empty() {
            return SignatureVerdict::NoKeys;
        }
        if signatures.is_empty() {
            return SignatureVerdict::Unsigned;
        }
        let Some(integrity) = integrity else { return SignatureVerdict::Invalid };
        let message = format!("{name}@{version}:{integrity}");
        let published_at = published_at.and_then(|text| humantime::parse_rfc3339(text).ok());
        let verdicts = signatures.iter().map(|one| self.judge_one(&message, one, published_at));
        verdicts.min_by_key(|verdict| rank(*verdict)).unwrap_or(SignatureVerdict::Unsigned)
    }

    fn judge_one(
        &self,
        message: &str,
        signature: &Signature<'_>,
        published_at: Option<SystemTime>,
    ) -> SignatureVerdict {
        let Some(key) = self.keys.iter().find(|key| key.keyid == signature.keyid) else {
            return SignatureVerdict::UnknownKey;
        };
        let verified = STANDARD
            .decode(&*signature.sig)
            .is_ok_and(|sig| key.public.verify_sig(message.as_bytes(), &sig).is_ok());
        if !verified {
            return SignatureVerdict::Invalid;
        }
        let too_late = key.expires.zip(published_at).is_some_and(|(end, at)| at >= end);
        if too_late { SignatureVerdict::ExpiredKey } else { SignatureVerdict::Valid }
    }
}

/// Which of several verdicts counts: the lowest.
fn rank(verdict: SignatureVerdict) -> u8 {
    match verdict {
        SignatureVerdict::Invalid => 0,
        SignatureVerdict::Valid => 1,
        SignatureVerdict::ExpiredKey => 2,
        SignatureVerdict::UnknownKey => 3,
        SignatureVerdict::Unsigned | SignatureVerdict::NoKeys => 4,
    }
}

impl ParsedKey {
    fn new(key: &SigningKey) -> Option<Self> {
        if key.keytype != KEY_TYPE {
            return None;
        }
        let expires = key.expires.as_deref().map(humantime::parse_rfc3339).transpose().ok()?;
        let spki = STANDARD.decode(&key.key).ok()?;
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki).ok()?;
        Some(Self { keyid: key.keyid.clone(), public, expires })
    }
}
