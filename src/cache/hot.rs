//! Small tarballs that are asked for again and again, in memory.
//!
//! Nine of ten tarballs are below 64 KiB, and reading one costs as much as the rest of its
//! request: a system call, a copy and its checksum. The key is the content's own hash, so what
//! is here is never wrong, whatever becomes of the blob. Losable: read again.

use bytes::Bytes;
use moka::sync::Cache;
use npm::Sha512Digest;

use crate::views::body::SLICE_BYTES;

/// Memory of all of them, with what the cache needs itself.
const KEPT_BYTES: u64 = 16 << 20;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 256;

/// The tarballs.
#[derive(Clone)]
pub struct HotBlobs(Cache<Sha512Digest, Bytes>);

impl HotBlobs {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        let weight = |_: &Sha512Digest, bytes: &Bytes| {
            u32::try_from(bytes.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(KEPT_BYTES).weigher(weight).build())
    }

    /// The bytes, if they are here.
    #[must_use]
    pub fn get(&self, digest: &Sha512Digest) -> Option<Bytes> {
        self.0.get(digest)
    }

    /// Keeps bytes whose checksum was compared; large ones are not for here.
    pub fn keep(&self, digest: Sha512Digest, bytes: &Bytes) {
        if bytes.len() <= SLICE_BYTES {
            self.0.insert(digest, bytes.clone());
        }
    }
}

impl Default for HotBlobs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bytes_stay_and_large_ones_do_not() {
        let hot = HotBlobs::new();
        let (small, large) = (vec![1; SLICE_BYTES], vec![2; SLICE_BYTES + 1]);
        for bytes in [&small, &large] {
            hot.keep(Sha512Digest::of(bytes), &Bytes::from(bytes.clone()));
        }
        assert_eq!(hot.get(&Sha512Digest::of(&small)), Some(Bytes::from(small)));
        assert_eq!(hot.get(&Sha512Digest::of(&large)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let hot = HotBlobs::new();
        for index in 0..2_000_u32 {
            let bytes = Bytes::from(index.to_be_bytes().repeat(SLICE_BYTES / 4));
            hot.keep(Sha512Digest::of(&bytes), &bytes);
        }
        hot.0.run_pending_tasks();
        assert!(hot.0.weighted_size() <= KEPT_BYTES);
    }
}
