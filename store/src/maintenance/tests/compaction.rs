use tempfile::TempDir;

use super::*;
use crate::blobs::BlobError;
use crate::testing::on_each_database;

/// A sealed segment of which one blob of five is alive.
struct Worn {
    live: Sha512Digest,
    bytes: Bytes,
    dead: Vec<Sha512Digest>,
    segment: i64,
}

fn wear(mirror: &TestStore) -> Worn {
    let tarballs: Vec<Bytes> = (0..5).map(|seed| bytes(seed, 10_000)).collect();
    let digests = hold(mirror, "lamp", &tarballs);
    seal(mirror);
    for patch in 1..5 {
        drop_version(mirror, "lamp", &format!("1.0.{patch}"));
    }
    let segment = place(&mirror.store, &digests[0]).unwrap().segment;
    Worn { live: digests[0], bytes: tarballs[0].clone(), dead: digests[1..].to_vec(), segment }
}

fn collect(mirror: &TestStore) -> GcReport {
    gc_blocking(&mirror.store, &mut mirror.writer(), &everything()).unwrap()
}

#[test]
fn a_segment_mostly_dead_is_rewritten_and_its_readers_go_on() {
    on_each_database(|mirror| {
        let worn = wear(mirror);
        let before = place(&mirror.store, &worn.live).unwrap();
        let reader = block_on(mirror.store.blobs().reader(&worn.live, before)).unwrap();
        let file = segment_file(&mirror.settings, worn.segment);
        assert!(file.exists());

        let report = collect(mirror);
        assert_eq!(report.blobs, 4);
        assert_eq!(report.compaction.segments, 1);
        assert_eq!(report.compaction.moved_bytes, 10_000);
        assert!(report.compaction.freed_bytes > 50_000);
        assert!(!file.exists());
        assert_eq!(block_on_runtime(reader.read_all()).unwrap(), worn.bytes);
        let stale = read_at(&mirror.store, &worn.live, before);
        assert!(matches!(stale, Err(BlobError::Missing { .. })), "{stale:?}");
        assert_eq!(read(&mirror.store, &worn.live), worn.bytes, "looked up again");
        for digest in &worn.dead {
            assert_eq!(place(&mirror.store, digest), None);
        }
        assert_eq!(verified(&mirror.store).damaged, []);
        let reopened = Store::open_blocking(&mirror.settings).unwrap();
        assert_eq!(read(&reopened, &worn.live), worn.bytes);
        assert_eq!(collect(mirror).compaction, CompactionReport::default());
    });
}

#[test]
fn a_segment_half_alive_is_left_alone() {
    on_each_database(|mirror| {
        hold(mirror, "lamp", &[bytes(1, 9_000), bytes(2, 5_000)]);
        seal(mirror);
        drop_version(mirror, "lamp", "1.0.1");
        let report = collect(mirror);
        assert_eq!((report.blobs, report.compaction), (1, CompactionReport::default()));
    });
}

#[test]
fn a_compaction_stopped_at_any_step_loses_nothing() {
    on_each_database(|mirror| {
        let Some(data) = data_folder(&mirror.settings) else { return };
        let worn = wear(mirror);
        let delete_rows = GcOptions { grace_ms: 0, ..everything() };
        // What the disk holds before and after each transaction of the run.
        let stops: Vec<TempDir> = (0..8).map(|_| TempDir::new().unwrap()).collect();
        let mut next = stops.iter();
        let mut writer = mirror.writer();
        let mut watched = |write: WriteFn| {
            copy_folder(&data, next.next().unwrap().path());
            let outcome = writer.write_blocking(Box::new(write));
            copy_folder(&data, next.next().unwrap().path());
            outcome
        };
        let report = gc_blocking(&mirror.store, &mut watched, &delete_rows).unwrap();
        assert_eq!(report.compaction.segments, 1);
        let used = stops.len() - next.len();
        assert_eq!(used, 6, "blob rows, tasks, the move");
        for stop in &stops[..used] {
            let settings = moved_to(&mirror.settings, stop.path());
            let store = Store::open_blocking(&settings).unwrap();
            assert_eq!(read(&store, &worn.live), worn.bytes);
            assert_eq!(verified(&store).damaged, []);
            let mut writer = store.writer_blocking().unwrap();
            gc_blocking(&store, &mut writer, &everything()).unwrap();
            assert!(!segment_file(&settings, worn.segment).exists(), "finished by the next run");
            assert_eq!(read(&store, &worn.live), worn.bytes);
            drop((writer, store));
            let store = Store::open_blocking(&settings).unwrap();
            assert_eq!(read(&store, &worn.live), worn.bytes);
            assert_eq!(verified(&store).damaged, []);
        }
    });
}

#[test]
fn a_move_that_is_refused_leaves_the_segment_as_it_was() {
    on_each_database(|mirror| {
        let worn = wear(mirror);
        let mut writer = mirror.writer();
        let mut writes = 0;
        let mut refusing = |write: WriteFn| {
            writes += 1;
            if writes > 2 {
                return Err(StoreError::Retry("not now".into()));
            }
            writer.write_blocking(Box::new(write))
        };
        let refused = gc_blocking(&mirror.store, &mut refusing, &everything());
        assert!(matches!(refused, Err(StoreError::Retry(_))), "{refused:?}");
        let location = place(&mirror.store, &worn.live).unwrap();
        assert_eq!(location.segment, worn.segment);
        assert!(mirror.store.blobs().is_durable(location), "rows may name it again");
        assert_eq!(collect(mirror).compaction.segments, 1);
        assert_eq!(read(&mirror.store, &worn.live), worn.bytes);
    });
}

#[test]
fn a_change_that_names_a_place_in_a_segment_being_rewritten_is_refused() {
    on_each_database(|mirror| {
        // Put before the segment was sealed, not committed yet.
        let pending = holding(&mirror.store, "slow", &[bytes(90, 10)]);
        let worn = wear(mirror);
        assert_eq!(pending.blobs[0].1.segment, worn.segment);
        let mut writer = mirror.writer();
        let mut pending = Some(pending);
        let mut outcomes = Vec::new();
        let mut writes = 0;
        let mut interleaved = |write: WriteFn| {
            writes += 1;
            if writes == 3 {
                let changes = vec![pending.take().unwrap()];
                let mut batch = CommitBatch { writes: Vec::new(), changes };
                outcomes.extend(writer.commit_blocking(&mut batch)?.changes);
            }
            writer.write_blocking(Box::new(write))
        };
        let report = gc_blocking(&mirror.store, &mut interleaved, &everything()).unwrap();
        assert_eq!(report.compaction.segments, 1);
        let refused = outcomes.pop().unwrap();
        assert!(matches!(refused, Err(StoreError::MissingBlob(_))), "{refused:?}");
        assert_eq!(verified(&mirror.store).damaged, []);
    });
}

#[test]
fn a_segment_with_a_damaged_live_record_is_kept() {
    on_each_database(|mirror| {
        let worn = wear(mirror);
        damage(mirror, &worn.live);
        let report = collect(mirror);
        assert_eq!((report.compaction.segments, report.compaction.damaged), (0, 1));
        assert!(segment_file(&mirror.settings, worn.segment).exists());
        let found = verified(&mirror.store);
        assert_eq!(found.damaged.len(), 1);
        mirror.write(|connection| forget_damaged(connection, &found.damaged));
        assert_eq!(collect(mirror).compaction.segments, 1, "nothing in it is alive now");
    });
}
