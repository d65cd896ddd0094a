//! An upload that hashes on the way in and compares before anything is visible.

use bytes::Bytes;
use npm::integrity::Verifier;
use npm::{ExpectedDigest, Mismatch, Sha512Digest};
use thiserror::Error;

use super::{BlobError, BlobLocation, BlobUpload};

/// Why a hashed upload did not become a blob. Nothing of it stays.
#[derive(Debug, Clone, Error)]
pub enum HashingError {
    /// The bytes are not what upstream announced.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// They could not be written.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// See the module. The bytes are hashed once, where they are written.
pub struct HashingUpload {
    upload: Box<dyn BlobUpload>,
    verifier: Verifier,
    length: u64,
}

impl HashingUpload {
    /// Starts hashing what goes into `upload`.
    #[must_use]
    pub fn new(upload: Box<dyn BlobUpload>, expected: &ExpectedDigest) -> Self {
        Self { upload, verifier: expected.verifier(), length: 0 }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// Those of the upload.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.verifier.update(&chunk);
        self.length += chunk.len() as u64;
        self.upload.write(chunk).await
    }

    /// Compares the digest and, only if it agrees, makes the blob readable.
    ///
    /// Returns its sha512, its place and its length in bytes.
    ///
    /// # Errors
    /// [`HashingError::Mismatch`] when the bytes are wrong; the upload is dropped.
    pub async fn finish(self) -> Result<(Sha512Digest, BlobLocation, u64), HashingError> {
        let digest = self.verifier.finish()?;
        let location = self.upload.finish(digest).await?;
        Ok((digest, location, self.length))
    }
}
