//! Records: what is written is read, and nothing else passes for one.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::blobs::record::{HEADER_BYTES, RecordHeader};
use crate::blobs::walk::{Found, SegmentWalk};

proptest! {
    #[test]
    fn a_header_is_read_back_only_where_it_was_written(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        segment in 1..i64::MAX,
        offset in 0..u64::MAX / 2,
        bit in 0..HEADER_BYTES * 8,
        elsewhere in 1..1000u64,
    ) {
        let digest = Sha512Digest::of(&bytes);
        let header = RecordHeader::new(digest, bytes.len() as u32, &bytes);
        let mut written = header.encode(segment, offset);
        prop_assert_eq!(RecordHeader::decode(&written, segment, offset), Some(header));
        prop_assert!(header.matches(&bytes));
        prop_assert_eq!(RecordHeader::decode(&written, segment, offset + elsewhere), None);
        prop_assert_eq!(RecordHeader::decode(&written, segment - 1, offset), None);
        prop_assert_eq!(RecordHeader::decode(&written[..HEADER_BYTES - 1], segment, offset), None);
        written[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(RecordHeader::decode(&written, segment, offset), None);
    }

    #[test]
    fn changed_bytes_do_not_match(
        mut bytes in proptest::collection::vec(any::<u8>(), 1..2000),
        place in any::<prop::sample::Index>(),
        change in 1..=255u8,
    ) {
        let header = RecordHeader::new(Sha512Digest::of(&bytes), bytes.len() as u32, &bytes);
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        prop_assert!(!header.matches(&bytes));
        prop_assert!(!header.matches(&bytes[..place]));
    }

    #[test]
    fn a_walk_finds_every_record_around_any_damage(
        lengths in proptest::collection::vec(0..3000usize, 1..20),
        damage in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 1..200),
    ) {
        let folder = TempDir::new().unwrap();
        let store = open(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut held = Vec::new();
        for (seed, length) in lengths.into_iter().enumerate() {
            held.push(runtime.block_on(put(&store, seed as u64, length)));
        }
        store.flush_blocking().unwrap();
        let path = store.segment_path(1);
        let mut file = std::fs::read(&path).unwrap();
        let from = damage.index(file.len());
        let to = file.len().min(from + noise.len());
        let touched = from..to;
        let changed = file[touched.clone()] != noise[..to - from];
        file[touched.clone()].copy_from_slice(&noise[..to - from]);
        std::fs::write(&path, &file).unwrap();

        let mut found = Vec::new();
        let mut walk = SegmentWalk::open(&path, 1, u64::MAX).unwrap();
        while let Some(next) = walk.next_blocking().unwrap() {
            if let Found::Record { digest, location } = next
                && Sha512Digest::of(&walk.read_blocking(location).unwrap()) == digest
            {
                found.push((digest, location));
            }
        }
        for blob in held {
            let header_at = blob.location.offset as usize - HEADER_BYTES;
            let end = blob.location.end() as usize;
            let whole = touched.start >= end || touched.end <= header_at;
            let seen = found.contains(&(blob.digest, blob.location));
            prop_assert!(seen || !whole, "record at {} was not found", header_at);
            prop_assert!(whole || !changed || !seen || same(&file, &blob), "damage not seen");
        }
    }
}

/// The noise may have been what stood there.
fn same(file: &[u8], blob: &Held) -> bool {
    let start = blob.location.offset as usize;
    file[start..start + blob.bytes.len()] == blob.bytes
        && RecordHeader::decode(&file[start - HEADER_BYTES..], 1, (start - HEADER_BYTES) as u64)
            .is_some()
}
