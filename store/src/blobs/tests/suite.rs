//! What every home promises, asked of both.

use std::sync::Arc;

use npm::ExpectedDigest;
use tempfile::TempDir;

use super::*;

/// A home and the folder that must live as long.
struct Home {
    store: Arc<dyn BlobStore>,
    folder: Option<TempDir>,
}

fn homes() -> Vec<Home> {
    let folder = TempDir::new().unwrap();
    let local = Arc::new(Segments::open_blocking(folder.path(), TEST_SEGMENT_BYTES).unwrap());
    let memory: Arc<dyn BlobStore> = Arc::new(Objects::memory());
    vec![Home { store: local, folder: Some(folder) }, Home { store: memory, folder: None }]
}

const SIZES: [usize; 8] =
    [0, 1, 4095, 6_700, 300_000, SMALL_BLOB_BYTES, SMALL_BLOB_BYTES + 1, 9 << 20];

#[tokio::test]
async fn what_was_put_is_read_back_before_and_after_a_flush() {
    for home in homes() {
        let store = home.store.as_ref();
        let mut held = Vec::new();
        for (seed, size) in SIZES.into_iter().enumerate() {
            held.push(put(store, seed as u64, size).await);
        }
        for blob in &held {
            assert_eq!(blob.location.length, blob.bytes.len() as i64);
            blob.assert_readable(store).await;
        }
        store.flush_blocking().unwrap();
        for blob in &held {
            assert!(store.is_durable(blob.location));
            blob.assert_readable(store).await;
        }
    }
}

#[tokio::test]
async fn an_upload_in_chunks_is_the_same_blob_as_a_put() {
    for home in homes() {
        let store = home.store.as_ref();
        for (seed, size) in SIZES.into_iter().enumerate() {
            let (digest, bytes) = blob(seed as u64, size);
            let expected = ExpectedDigest::from_dist(Some(&digest.to_sri()), None);
            let expected = expected.unwrap().unwrap();
            for known in [true, false] {
                let upload = match known {
                    true => store.upload_known(digest).await.unwrap(),
                    false => store.upload().await.unwrap(),
                };
                let mut upload = HashingUpload::new(upload, &expected);
                for chunk in bytes.chunks(70_001) {
                    upload.write(bytes.slice_ref(chunk)).await.unwrap();
                }
                let (found, location, length) = upload.finish().await.unwrap();
                assert_eq!((found, length), (digest, size as u64));
                store.flush_blocking().unwrap();
                Held { digest, bytes: bytes.clone(), location }.assert_readable(store).await;
            }
        }
    }
}

#[tokio::test]
async fn wrong_bytes_leave_nothing_behind() {
    for home in homes() {
        let store = home.store.as_ref();
        for size in [5_000, 3 << 20, 20 << 20] {
            let (digest, bytes) = blob(1, size);
            let (other, _) = blob(2, size);
            let expected = ExpectedDigest::from_dist(Some(&other.to_sri()), None);
            let upload = store.upload_known(other).await.unwrap();
            let mut upload = HashingUpload::new(upload, &expected.unwrap().unwrap());
            for chunk in bytes.chunks(64 << 10) {
                upload.write(bytes.slice_ref(chunk)).await.unwrap();
            }
            let refused = upload.finish().await;
            assert!(matches!(refused, Err(HashingError::Mismatch(_))), "{refused:?}");
            for digest in [digest, other] {
                let location = BlobLocation::own_file(size as i64);
                let found = store.reader(&digest, location).await;
                assert!(matches!(found, Err(BlobError::Missing { .. })), "{found:?}");
            }
        }
        store.flush_blocking().unwrap();
        assert_eq!(store.segments(), []);
        let mut listed = 0;
        let store = Arc::clone(&home.store);
        let count = move || {
            store.list_own_blocking(&mut |_| listed += 1).unwrap();
            listed
        };
        assert_eq!(tokio::task::spawn_blocking(count).await.unwrap(), 0);
        if let Some(folder) = &home.folder {
            // The write under way when an upload is dropped ends before its file goes.
            while files_in(&folder.path().join("tmp")) > 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn slices_of_a_blob_are_what_the_whole_holds() {
    for home in homes() {
        let store = home.store.as_ref();
        for size in [100_000, 3 << 20] {
            let held = put(store, 7, size).await;
            store.flush_blocking().unwrap();
            let reader = store.reader(&held.digest, held.location).await.unwrap();
            assert_eq!(reader.len(), size as u64);
            for (offset, length) in [(0, 10), (1, 64 << 10), (size - 5, 5), (size - 5, 500)] {
                let end = size.min(offset + length);
                let slice = reader.read(offset as u64, length).await.unwrap();
                assert_eq!(slice, held.bytes[offset..end]);
            }
            assert!(reader.read(size as u64, 10).await.unwrap().is_empty());
            assert!(reader.read(size as u64 + 9, 10).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_location_without_a_blob_is_missing() {
    for home in homes() {
        let store = home.store.as_ref();
        let held = put(store, 1, 1000).await;
        store.flush_blocking().unwrap();
        let (unknown, _) = blob(2, 10);
        for location in [
            BlobLocation::own_file(10),
            BlobLocation { segment: 99, offset: 104, length: 10 },
            BlobLocation { segment: -1, offset: -1, length: -1 },
        ] {
            let found = store.reader(&unknown, location).await;
            assert!(matches!(found, Err(BlobError::Missing { .. })), "{location:?}: {found:?}");
        }
        held.assert_readable(store).await;
    }
}

#[tokio::test]
async fn large_blobs_are_listed_and_deleted_unless_written_again() {
    for home in homes() {
        let store = Arc::clone(&home.store);
        let held = put(store.as_ref(), 1, 2 << 20).await;
        let reader = store.reader(&held.digest, held.location).await.unwrap();
        let digest = held.digest;
        tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            store.list_own_blocking(&mut |blob| found.push(blob)).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].digest, found[0].length), (digest, 2 << 20));
            let written = found[0].written_at_ms;
            assert!(!store.delete_own_blocking(&digest, written).unwrap());
            assert!(store.delete_own_blocking(&digest, written + 1).unwrap());
            assert!(!store.delete_own_blocking(&digest, written + 1).unwrap());
        })
        .await
        .unwrap();
        let gone = held.read(home.store.as_ref()).await;
        assert!(matches!(gone, Err(BlobError::Missing { .. })), "{gone:?}");
        if home.folder.is_some() {
            assert_eq!(reader.read_all().await.unwrap(), held.bytes, "an open reader goes on");
        }
    }
}
