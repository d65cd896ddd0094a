//! Blobs above 1 MiB carry no checksum beside their bytes: before such a blob is served it is
//! hashed whole, and then trusted for an hour.
//!
//! So rotten bytes reach nobody, and a popular tarball costs one hashing an hour. Homes that
//! check their bytes themselves (object stores) are believed. Losable: hashed again.

use std::sync::Arc;
use std::time::Duration;

use actors::EngineHandle;
use moka::future::Cache;
use npm::{ExpectedDigest, Sha512Digest};
use store::blobs::{BlobError, BlobReader};
use tokio::runtime::Handle;

use super::work_pool::WorkPool;

/// Hashing runs at about 0.5 GB/s: 2 MB cost 4 ms, once in this time.
const TRUSTED_FOR: Duration = Duration::from_secs(60 * 60);

/// Blobs remembered.
const REMEMBERED: u64 = 20_000;

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Which blobs were found whole lately.
#[derive(Clone)]
pub struct Verified {
    cache: Cache<Sha512Digest, ()>,
    pool: Arc<WorkPool>,
    runtime: Handle,
    rots: bool,
}

impl Verified {
    /// Trusts nothing yet.
    #[must_use]
    pub fn new(engine: &EngineHandle, pool: Arc<WorkPool>, runtime: Handle) -> Self {
        let cache = Cache::builder().max_capacity(REMEMBERED).time_to_live(TRUSTED_FOR).build();
        Self { cache, pool, runtime, rots: engine.store().blobs().local().is_some() }
    }

    /// Hashes a blob unless that was done lately; all who ask meanwhile wait for one hashing.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when the bytes are not those of the digest.
    pub async fn check(&self, digest: &Sha512Digest, reader: &BlobReader) -> Result<(), BlobError> {
        if !self.rots {
            return Ok(());
        }
        let checked = self.cache.try_get_with_by_ref(digest, self.hash(*digest, reader.clone()));
        checked.await.map_err(Arc::unwrap_or_clone)
    }

    async fn hash(&self, digest: Sha512Digest, reader: BlobReader) -> Result<(), BlobError> {
        let runtime = self.runtime.clone();
        let work = move || hash_blocking(&runtime, &digest, &reader);
        let length = u64::MAX; // whatever its size, it goes to the lane that disturbs nobody
        let hashed = self.pool.run(length, work).await;
        hashed.map_err(|error| BlobError::Failed(error.to_string()))?
    }
}

fn hash_blocking(
    runtime: &Handle,
    digest: &Sha512Digest,
    reader: &BlobReader,
) -> Result<(), BlobError> {
    let expected = ExpectedDigest::from_text(&digest.to_sri())
        .map_err(|error| BlobError::Failed(error.to_string()))?;
    let mut verifier = expected.verifier();
    let mut at = 0;
    while at < reader.len() {
        let piece = runtime.block_on(reader.read(at, PIECE_BYTES))?;
        verifier.update(&piece);
        at += piece.len() as u64;
    }
    let damaged = |what: String| BlobError::Damaged { digest: *digest, what };
    verifier.finish().map(drop).map_err(|mismatch| damaged(mismatch.to_string()))
}
