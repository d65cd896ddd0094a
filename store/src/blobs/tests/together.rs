//! Puts, flushes and reads at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_put_before_a_flush_is_durable_after_it() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(Segments::open_blocking(folder.path(), TEST_SEGMENT_BYTES).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let flusher = {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                store.flush_blocking().unwrap();
            }
        })
    };
    let writers = (0..4u64).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut held = Vec::new();
            for round in 0..150u64 {
                let length = (round * 977 % 30_000) as usize;
                held.push(put(store.as_ref(), writer << 32 | round, length).await);
                let earlier = &held[(round / 2) as usize];
                earlier.assert_readable(store.as_ref()).await;
                if round % 25 == 0 {
                    let flushed = Arc::clone(&store);
                    tokio::task::spawn_blocking(move || flushed.flush_blocking()).await??;
                    assert!(held.iter().all(|blob| store.is_durable(blob.location)));
                }
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(held)
        })
    });
    let mut all = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        all.extend(writer.await.unwrap().unwrap());
    }
    stop.store(true, Ordering::SeqCst);
    flusher.join().unwrap();
    store.flush_blocking().unwrap();
    let states = recorded(store.as_ref());
    assert!(states.len() > 5, "segments were filled: {}", states.len());
    drop(store);
    let store = Segments::open_blocking(folder.path(), TEST_SEGMENT_BYTES).unwrap();
    assert_eq!(store.resume_blocking(&states).unwrap(), ResumeReport::default());
    for blob in &all {
        blob.assert_readable(&store).await;
    }
    let scrub = walk::scrub_blocking(&store).unwrap();
    assert_eq!(scrub.good, all.len() as u64);
}

#[tokio::test]
async fn more_than_the_bound_is_written_out_without_a_flush() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let mut held = Vec::new();
    for seed in 0..40 {
        held.push(put(&store, seed, 1 << 20).await);
    }
    let waiting = store.inner.state.lock().pending.bytes();
    assert!(waiting <= 17 << 20, "{waiting} bytes wait in memory");
    assert!(!store.is_durable(held[0].location), "written is not durable");
    for blob in &held {
        blob.assert_readable(&store).await;
    }
    store.flush_blocking().unwrap();
    assert!(held.iter().all(|blob| store.is_durable(blob.location)));
}
