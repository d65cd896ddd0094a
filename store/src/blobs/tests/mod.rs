//! Tests of both homes and of what the local one does when things go wrong.

mod crash;
mod faults;
mod records;
mod suite;
mod together;

use std::path::Path;

use bytes::Bytes;
use npm::Sha512Digest;

use super::*;

/// Small enough that a test fills some: the least a segment may have.
pub(super) const TEST_SEGMENT_BYTES: u64 = 1;

pub(super) fn blob(seed: u64, length: usize) -> (Sha512Digest, Bytes) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let bytes: Vec<u8> = (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect();
    (Sha512Digest::of(&bytes), bytes.into())
}

pub(super) async fn put(store: &dyn BlobStore, seed: u64, length: usize) -> Held {
    let (digest, bytes) = blob(seed, length);
    let location = store.put(digest, bytes.clone()).await.unwrap();
    Held { digest, bytes, location }
}

/// A blob and where the store says it is.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub digest: Sha512Digest,
    pub bytes: Bytes,
    pub location: BlobLocation,
}

impl Held {
    pub async fn read(&self, store: &dyn BlobStore) -> Result<Bytes, BlobError> {
        store.reader(&self.digest, self.location).await?.read_all().await
    }

    pub async fn assert_readable(&self, store: &dyn BlobStore) {
        assert_eq!(self.read(store).await.unwrap(), self.bytes);
    }
}

pub(super) fn open(folder: &Path) -> Segments {
    Segments::open_blocking(folder, DEFAULT).unwrap()
}

pub(super) const DEFAULT: u64 = segments::DEFAULT_SEGMENT_BYTES;

/// What a commit writes down.
pub(super) fn recorded(store: &dyn BlobStore) -> Vec<SegmentState> {
    let states = store.segments();
    store.segments_recorded(&states);
    states
}

pub(super) fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
