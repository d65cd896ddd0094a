//! The local home after a stop at any point: nothing durable lost, nothing else visible.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::blobs::record::{FILE_HEADER_BYTES, HEADER_BYTES, HEADER_LENGTH};
use crate::blobs::walk::scrub_blocking;

fn segment_file(folder: &Path, id: i64) -> PathBuf {
    folder.join(format!("segments/{id:010}.segment"))
}

/// Copies the segment file as a stop would leave it: cut after `length` bytes.
fn stopped_at(from: &Path, to: &Path, length: u64) {
    fs::create_dir_all(to.join("segments")).unwrap();
    let bytes = fs::read(segment_file(from, 1)).unwrap();
    fs::write(segment_file(to, 1), &bytes[..length as usize]).unwrap();
}

#[tokio::test]
async fn a_file_cut_anywhere_behind_its_durable_end_reopens_at_that_end() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let mut durable = Vec::new();
    for seed in 0..5 {
        durable.push(put(&store, seed, 900).await);
    }
    store.flush_blocking().unwrap();
    let known = recorded(&store);
    let end = known[0].durable_bytes as u64;
    let lost = put(&store, 50, 700).await;
    put(&store, 51, 700).await;
    store.flush_blocking().unwrap();
    let whole = fs::metadata(segment_file(folder.path(), 1)).unwrap().len();

    let record = HEADER_LENGTH + 700;
    let cuts = [0, 1, HEADER_LENGTH - 1, HEADER_LENGTH, HEADER_LENGTH + 1, record - 1, record];
    let cuts = cuts.into_iter().flat_map(|cut| [end + cut, (end + record + cut).min(whole)]);
    for cut in cuts {
        let after = TempDir::new().unwrap();
        stopped_at(folder.path(), after.path(), cut);
        let store = open(after.path());
        let report = store.resume_blocking(&known).unwrap();
        assert_eq!(report.cut_bytes, cut - end);
        assert_eq!(report.short, [0i64; 0]);
        assert_eq!(fs::metadata(segment_file(after.path(), 1)).unwrap().len(), end);
        assert!(!store.is_durable(lost.location));
        let missing = lost.read(&store).await;
        assert!(matches!(missing, Err(BlobError::Missing { .. })), "cut {cut}: {missing:?}");
        let next = put(&store, 60, 1200).await;
        assert_eq!(next.location.segment, 1, "the open segment goes on");
        store.flush_blocking().unwrap();
        for blob in durable.iter().chain([&next]) {
            blob.assert_readable(&store).await;
        }
        let scrub = scrub_blocking(&store).unwrap();
        assert_eq!((scrub.good, scrub.damaged.len(), scrub.wrong.len()), (6, 0, 0));
    }
}

#[tokio::test]
async fn a_file_shorter_than_its_durable_end_is_reported_and_never_appended_to() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let first = put(&store, 1, 500).await;
    let second = put(&store, 2, 500).await;
    store.flush_blocking().unwrap();
    let known = recorded(&store);
    let end = known[0].durable_bytes as u64;
    let record = HEADER_LENGTH + 500;
    for cut in [end - 1, end - 500, end - record, FILE_HEADER_BYTES, 3, 0] {
        let after = TempDir::new().unwrap();
        stopped_at(folder.path(), after.path(), cut);
        let store = open(after.path());
        assert_eq!(store.resume_blocking(&known).unwrap().short, [1]);
        let next = put(&store, 3, 10).await;
        assert_eq!(next.location.segment, 2);
        store.flush_blocking().unwrap();
        next.assert_readable(&store).await;
        assert!(second.read(&store).await.is_err());
        assert_eq!(first.read(&store).await.is_ok(), cut >= FILE_HEADER_BYTES + record);
    }
    let after = TempDir::new().unwrap();
    let store = open(after.path());
    assert_eq!(store.resume_blocking(&known).unwrap().short, [1], "no file at all");
    let missing = first.read(&store).await;
    assert!(matches!(missing, Err(BlobError::Missing { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_segment_the_database_does_not_know_is_kept_but_not_continued() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let held = put(&store, 1, 500).await;
    store.flush_blocking().unwrap();
    drop(store);
    let store = open(folder.path());
    let report = store.resume_blocking(&[]).unwrap();
    assert_eq!(report.adopted, [1]);
    let sealed = SegmentState { id: 1, durable_bytes: held.location.end(), sealed: true };
    assert_eq!(store.segments(), [sealed], "the next commit tells the database");
    held.assert_readable(&store).await;
    assert_eq!(put(&store, 2, 500).await.location.segment, 2);
}

#[tokio::test]
async fn a_full_segment_is_sealed_and_the_next_begins() {
    let folder = TempDir::new().unwrap();
    let store = Segments::open_blocking(folder.path(), TEST_SEGMENT_BYTES).unwrap();
    let mut held = Vec::new();
    for seed in 0..12 {
        held.push(put(&store, seed, 400_000).await);
    }
    store.flush_blocking().unwrap();
    let states = recorded(&store);
    assert_eq!(states.len(), 6);
    let open: Vec<_> = states.iter().filter(|state| !state.sealed).map(|state| state.id).collect();
    assert_eq!(open, [6]);
    assert_eq!(store.segments(), [], "told once");
    drop(store);
    let store = Segments::open_blocking(folder.path(), TEST_SEGMENT_BYTES).unwrap();
    assert_eq!(store.resume_blocking(&states).unwrap(), ResumeReport::default());
    assert_eq!(store.segments(), []);
    for blob in &held {
        blob.assert_readable(&store).await;
    }
    store.inner.state.lock().seal_open();
    assert_eq!(put(&store, 99, 400_000).await.location.segment, 7);
}

#[tokio::test]
async fn unfinished_uploads_are_removed_at_start() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()));
    fs::write(folder.path().join("tmp/left-over"), b"half").unwrap();
    drop(open(folder.path()));
    assert_eq!(files_in(&folder.path().join("tmp")), 0);
}

#[tokio::test]
async fn a_damaged_record_is_found_and_never_served() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let mut held = Vec::new();
    for seed in 0..3 {
        held.push(put(&store, seed, 5_000).await);
    }
    store.flush_blocking().unwrap();
    let victim = &held[1];
    let start = victim.location.offset as u64;
    let places = [start, start + 2_500, start + 4_999]
        .into_iter()
        .chain((0..HEADER_BYTES as u64).map(|back| start - 1 - back));
    let file = OpenOptions::new().read(true).write(true).open(segment_file(folder.path(), 1));
    let file = file.unwrap();
    for place in places {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
        let read = victim.read(&store).await;
        assert!(matches!(read, Err(BlobError::Damaged { .. })), "byte {place}: {read:?}");
        held[0].assert_readable(&store).await;
        held[2].assert_readable(&store).await;
        let scrub = scrub_blocking(&store).unwrap();
        assert_eq!(scrub.good, 2, "byte {place}: {scrub:?}");
        assert_eq!(scrub.wrong.len() + scrub.damaged.len(), 1, "byte {place}: {scrub:?}");
        file.write_all_at(&byte, place).unwrap();
    }
    victim.assert_readable(&store).await;
}

#[tokio::test]
async fn a_damaged_large_blob_is_replaced_by_storing_it_again() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let held = put(&store, 1, 2 << 20).await;
    held.assert_readable(&store).await;
    let path = store.own_path(&held.digest);
    fs::write(&path, vec![0; 2 << 20]).unwrap();
    assert_ne!(held.read(&store).await.unwrap(), held.bytes);
    fs::write(&path, vec![0; 1 << 20]).unwrap();
    let short = held.read(&store).await;
    assert!(matches!(short, Err(BlobError::Damaged { .. })), "{short:?}");
    put(&store, 1, 2 << 20).await.assert_readable(&store).await;
}
