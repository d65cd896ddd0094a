//! The sha512 of a blob.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::IntegrityError;

/// SHA-512 of the bytes themselves: the key every blob is kept under.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha512Digest(pub [u8; 64]);

impl Sha512Digest {
    /// The digest of bytes that are all in memory.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha512::digest(bytes).into())
    }

    /// The 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// 128 lower-case hexadecimal characters.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads [`Self::to_hex`] back; capitals are taken too.
    ///
    /// # Errors
    /// [`IntegrityError::Sha512`] when the text has another length or other characters.
    pub fn from_hex(text: &str) -> Result<Self, IntegrityError> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| IntegrityError::Sha512 { text: text.to_owned() })?;
        Ok(Self(bytes))
    }

    /// Takes exactly 64 bytes, as a database column holds them.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The form of `dist.integrity`: `sha512-…`.
    #[must_use]
    pub fn to_sri(&self) -> String {
        let mut text = String::with_capacity(95);
        text.push_str("sha512-");
        STANDARD.encode_string(self.0, &mut text);
        text
    }
}

impl fmt::Display for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Sha512Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha512Digest({self})")
    }
}
