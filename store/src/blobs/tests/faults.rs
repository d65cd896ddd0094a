//! A disk that fails: what is said, what is kept, what is never trusted again.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use rustix::io::Errno;
use tempfile::TempDir;

use super::*;

/// Fails the next writes or flushes with the error that is set.
#[derive(Debug, Default)]
struct FailingDisk {
    write_error: AtomicI32,
    sync_error: AtomicI32,
    syncs: AtomicUsize,
}

impl FailingDisk {
    fn fail_writes(&self, error: Option<Errno>) {
        self.write_error.store(error.map_or(0, Errno::raw_os_error), Ordering::SeqCst);
    }

    fn fail_syncs(&self, error: Option<Errno>) {
        self.sync_error.store(error.map_or(0, Errno::raw_os_error), Ordering::SeqCst);
    }
}

fn outcome(error: &AtomicI32) -> io::Result<()> {
    match error.load(Ordering::SeqCst) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

impl DiskIo for FailingDisk {
    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        if let Err(error) = outcome(&self.write_error) {
            // Half of the first part gets there, as on a disk that fills up.
            let half = &parts[0][..parts[0].len() / 2];
            RealDisk.write_at(file, &[IoSlice::new(half)], offset)?;
            return Err(error);
        }
        RealDisk.write_at(file, parts, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        outcome(&self.sync_error)?;
        RealDisk.sync(file)
    }
}

fn failing(folder: &TempDir) -> (Segments, Arc<FailingDisk>) {
    let disk = Arc::new(FailingDisk::default());
    let io: Arc<dyn DiskIo> = disk.clone();
    (Segments::open_with_blocking(folder.path(), DEFAULT, io).unwrap(), disk)
}

#[tokio::test]
async fn a_full_disk_keeps_what_was_put_until_there_is_room() {
    let folder = TempDir::new().unwrap();
    let (store, disk) = failing(&folder);
    let first = put(&store, 1, 3_000).await;
    store.flush_blocking().unwrap();
    let second = put(&store, 2, 3_000).await;
    disk.fail_writes(Some(Errno::NOSPC));
    for _ in 0..3 {
        let full = store.flush_blocking();
        assert!(matches!(full, Err(BlobError::DiskFull(_))), "{full:?}");
        assert!(!store.is_durable(second.location));
        second.assert_readable(&store).await;
    }
    let third = put(&store, 3, 3_000).await;
    disk.fail_writes(None);
    store.flush_blocking().unwrap();
    for blob in [&first, &second, &third] {
        assert!(store.is_durable(blob.location));
        blob.assert_readable(&store).await;
    }
}

#[tokio::test]
async fn a_full_disk_bounds_what_waits_in_memory() {
    let folder = TempDir::new().unwrap();
    let (store, disk) = failing(&folder);
    disk.fail_writes(Some(Errno::DQUOT));
    let mut taken = 0;
    let refused = loop {
        let (digest, bytes) = blob(taken, 1 << 20);
        match store.put(digest, bytes).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "puts are taken without end");
    };
    assert!(refused.is_disk_full(), "{refused}");
    disk.fail_writes(None);
    store.flush_blocking().unwrap();
    put(&store, 1000, 1 << 20).await.assert_readable(&store).await;
}

#[tokio::test]
async fn after_a_failed_flush_its_puts_are_lost_and_a_new_segment_begins() {
    for write in [false, true] {
        let folder = TempDir::new().unwrap();
        let (store, disk) = failing(&folder);
        let kept = put(&store, 1, 3_000).await;
        store.flush_blocking().unwrap();
        let known = recorded(&store);
        let lost = put(&store, 2, 3_000).await;
        match write {
            true => disk.fail_writes(Some(Errno::IO)),
            false => disk.fail_syncs(Some(Errno::IO)),
        }
        let failed = store.flush_blocking();
        assert!(matches!(failed, Err(BlobError::Failed(_))), "{failed:?}");
        disk.fail_syncs(None);
        disk.fail_writes(None);
        // The second try would succeed without the bytes being there.
        store.flush_blocking().unwrap();
        assert!(!store.is_durable(lost.location));
        assert!(matches!(lost.read(&store).await, Err(BlobError::Missing { .. })));
        assert!(store.is_durable(kept.location));
        kept.assert_readable(&store).await;
        let next = put(&store, 3, 3_000).await;
        assert_eq!(next.location.segment, 2);
        store.flush_blocking().unwrap();
        let states = store.segments();
        assert_eq!(states[0], SegmentState { sealed: true, ..known[0] });
        drop(store);
        let store = open(folder.path());
        assert_eq!(store.resume_blocking(&states).unwrap().short, [0i64; 0]);
        kept.assert_readable(&store).await;
        next.assert_readable(&store).await;
        assert!(matches!(lost.read(&store).await, Err(BlobError::Missing { .. })));
    }
}

#[tokio::test]
async fn a_first_segment_that_never_became_durable_goes() {
    let folder = TempDir::new().unwrap();
    let (store, disk) = failing(&folder);
    put(&store, 1, 3_000).await;
    disk.fail_syncs(Some(Errno::IO));
    assert!(store.flush_blocking().is_err());
    assert_eq!(files_in(&folder.path().join("segments")), 0);
    assert_eq!(store.segments(), []);
    disk.fail_syncs(None);
    let next = put(&store, 2, 3_000).await;
    store.flush_blocking().unwrap();
    next.assert_readable(&store).await;
}

#[tokio::test]
async fn one_flush_covers_everything_put_before() {
    let folder = TempDir::new().unwrap();
    let (store, disk) = failing(&folder);
    for seed in 0..500 {
        put(&store, seed, 200).await;
    }
    store.flush_blocking().unwrap();
    store.flush_blocking().unwrap();
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_large_blob_that_cannot_be_written_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let (store, disk) = failing(&folder);
    let (digest, bytes) = blob(1, 3 << 20);
    disk.fail_writes(Some(Errno::NOSPC));
    assert!(store.put(digest, bytes.clone()).await.unwrap_err().is_disk_full());
    let mut upload = store.upload().await.unwrap();
    let mut error = None;
    for chunk in bytes.chunks(1 << 19) {
        error = upload.write(bytes.slice_ref(chunk)).await.err().or(error);
    }
    let error = match error {
        Some(error) => error,
        None => upload.finish(digest).await.unwrap_err(),
    };
    assert!(error.is_disk_full(), "{error}");
    disk.fail_writes(None);
    disk.fail_syncs(Some(Errno::IO));
    assert!(matches!(store.put(digest, bytes).await, Err(BlobError::Failed(_))));
    assert_eq!(files_in(&folder.path().join("tmp")), 0);
    assert_eq!(files_in(&folder.path().join("large")), 0);
}
