use super::*;
use crate::testing::on_each_database;

fn collect(mirror: &TestStore, options: &GcOptions) -> GcReport {
    gc_blocking(&mirror.store, &mut mirror.writer(), options).unwrap()
}

#[test]
fn only_old_blobs_that_nothing_names_go_and_a_dry_run_says_so_before() {
    on_each_database(|mirror| {
        let lamp = hold(mirror, "lamp", &[bytes(1, 900), bytes(2, 700), bytes(3, 2 << 20)]);
        hold(mirror, "twin", &[bytes(1, 900)]);
        mirror.commit(mirror.change("paper", None, "the document")).unwrap();
        seal(mirror);
        for version in ["1.0.0", "1.0.1", "1.0.2"] {
            drop_version(mirror, "lamp", version);
        }
        let young = GcOptions { grace_ms: 7_200_000, ..everything() };
        assert_eq!(collect(mirror, &young).blobs, 0, "within the grace");

        let dry = GcOptions { dry_run: true, ..everything() };
        let promised = collect(mirror, &dry);
        assert_eq!((promised.blobs, promised.bytes), (2, 700 + (2 << 20)));
        assert_eq!(read(&mirror.store, &lamp[1]), bytes(2, 700), "a dry run removes nothing");

        let done = collect(mirror, &everything());
        assert_eq!((done.blobs, done.bytes), (promised.blobs, promised.bytes));
        assert_eq!(place(&mirror.store, &lamp[1]), None);
        assert_eq!(place(&mirror.store, &lamp[2]), None);
        assert!(!bundle::large_path(&blobs_folder(&mirror.settings), &lamp[2]).exists());
        assert_eq!(read(&mirror.store, &lamp[0]), bytes(1, 900), "the twin names it");
        assert_eq!(verified(&mirror.store).damaged, []);
        assert_eq!(collect(mirror, &everything()).blobs, 0);
    });
}

#[test]
fn a_blob_named_while_garbage_is_collected_stays() {
    on_each_database(|mirror| {
        let tarballs = [bytes(1, 900), bytes(2, 2 << 20)];
        let lamp = hold(mirror, "lamp", &tarballs);
        seal(mirror);
        drop_version(mirror, "lamp", "1.0.0");
        drop_version(mirror, "lamp", "1.0.1");
        // Another package names the same bytes after the candidates were found.
        let mut late = Some(bare_change("late", None));
        let mut writer = mirror.writer();
        let mut interleaved = |write: WriteFn| {
            if let Some(mut change) = late.take() {
                let named = holding(&mirror.store, "late", &[]);
                change.reused = lamp.clone();
                change.versions = named.versions;
                for (patch, digest) in lamp.iter().enumerate() {
                    change.versions.push(crate::testing::held(&format!("1.0.{patch}"), *digest));
                }
                let changes = vec![change];
                let mut batch = CommitBatch { writes: Vec::new(), changes };
                writer.commit_blocking(&mut batch)?.changes.remove(0)?;
            }
            writer.write_blocking(Box::new(write)).map(drop)
        };
        let report = gc_blocking(&mirror.store, &mut interleaved, &everything()).unwrap();
        assert_eq!(report.blobs, 0);
        for (digest, tarball) in lamp.iter().zip(&tarballs) {
            assert_eq!(read(&mirror.store, digest), *tarball);
        }
    });
}

#[test]
fn a_large_blob_stored_again_while_garbage_is_collected_stays() {
    on_each_database(|mirror| {
        let tarball = bytes(1, 2 << 20);
        let digest = Sha512Digest::of(&tarball);
        let put = || block_on_runtime(mirror.store.blobs().put(digest, tarball.clone())).unwrap();
        let location = put();
        let path = bundle::large_path(&blobs_folder(&mirror.settings), &digest);
        let old = SystemTime::now() - std::time::Duration::from_secs(100_000);
        fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let mut writer = mirror.writer();
        let mut interleaved = |write: WriteFn| {
            put();
            writer.write_blocking(Box::new(write))
        };
        let now = everything().now_ms - 3_600_000;
        let options = GcOptions { now_ms: now, ..GcOptions::new(now) };
        let report = gc_blocking(&mirror.store, &mut interleaved, &options).unwrap();
        assert_eq!(report.blobs, 0);
        assert_eq!(read_at(&mirror.store, &digest, location).unwrap(), tarball);
    });
}

#[test]
fn finished_tasks_go_when_they_are_old() {
    use crate::tasks;
    on_each_database(|mirror| {
        let task = tasks::NewTask {
            id: crate::TaskId::new(),
            name: package("lamp"),
            registry: "default".into(),
            priority: 0,
            options: tasks::TaskOptions::default(),
            author: None,
            author_ip: None,
        };
        let id = task.id;
        mirror.write(move |c| tasks::enqueue(c, vec![task]));
        let end = crate::TaskEnd {
            id,
            state: crate::TaskState::Success,
            error: None,
            failure: None,
            log: "done".into(),
        };
        mirror.write(move |c| tasks::claim(c, "default", "worker", 1, 60_000));
        mirror.write(move |c| tasks::finish(c, &end));
        let kept = GcOptions { tasks_older_than_ms: None, ..everything() };
        assert_eq!(collect(mirror, &kept).tasks, 0);
        let recent = GcOptions { tasks_older_than_ms: Some(7_200_000), ..everything() };
        assert_eq!(collect(mirror, &recent).tasks, 0);
        let dry_run = GcOptions { tasks_older_than_ms: Some(0), dry_run: true, ..everything() };
        assert_eq!(collect(mirror, &dry_run).tasks, 1);
        assert!(mirror.read(|c| tasks::find(c, id)).is_some());
        let old = GcOptions { tasks_older_than_ms: Some(0), ..everything() };
        assert_eq!(collect(mirror, &old).tasks, 1);
        assert!(mirror.read(|c| tasks::find(c, id)).is_none());
    });
}
