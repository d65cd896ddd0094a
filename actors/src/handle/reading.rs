//! What readers wait for.

use std::sync::Arc;

use npm::{PackageName, Sha512Digest};
use store::blobs::BlobLocation;

use super::EngineHandle;
use crate::clock::now_ms;
use crate::fetch_through::{MissDocument, MissError, TarballFetch};

impl EngineHandle {
    /// Fetches the document of a package that is not here; all who ask for one name share one
    /// request, and a caller that goes away stops nobody.
    ///
    /// # Errors
    /// See [`MissError`].
    pub async fn fetch_document(&self, name: &PackageName) -> Result<Arc<MissDocument>, MissError> {
        let document = self.shared.fetch.fetch_document(name).await?;
        if self.shared.mirror_misses {
            self.mirror_later(name.clone());
        }
        Ok(document)
    }

    /// Somebody asked for a package: what keeps it fresh matters more from now on.
    pub fn note_read(&self, name: &PackageName) {
        self.shared.parts.recent_reads.note(name, now_ms());
    }

    /// Asks the upstream in the background whether a held document is still current.
    pub fn revalidate(&self, name: &PackageName) {
        self.shared.fetch.revalidate(name);
    }

    /// The same, and waits for the answer.
    ///
    /// # Errors
    /// See [`MissError`]; what is held stays as it was.
    pub async fn revalidate_now(&self, name: &PackageName) -> Result<(), MissError> {
        self.shared.fetch.revalidate_now(name).await
    }

    /// Fetches a tarball that is not here; a large one streams while it is checked.
    ///
    /// # Errors
    /// See [`MissError`].
    pub async fn fetch_tarball(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<TarballFetch, MissError> {
        self.shared.fetch.fetch_tarball(name, version).await
    }

    /// The same for a reader that needs the whole blob first: `HEAD`, `Range`.
    ///
    /// # Errors
    /// See [`MissError`].
    pub async fn fetch_tarball_stored(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<(Sha512Digest, BlobLocation), MissError> {
        self.shared.fetch.fetch_tarball_stored(name, version).await
    }
}
