//! What is refused, and what a refusal or a crash leaves behind.

use super::{batch, ended, queued};
use crate::testing::{held, on_each_database, package, remote};
use crate::{
    CommitBatch, StoreError, TaskEnd, TaskState, VersionState, WriteFn, changes, packages,
    segments, settings, tasks, versions,
};

#[test]
fn a_conflict_or_a_missing_blob_refuses_its_change_alone() {
    on_each_database(|test| {
        test.commit(test.change("a", None, "a1")).unwrap();
        let task = queued(test, "a");
        let mut stale = test.change("a", None, "a2");
        stale.task = Some(ended(task, "never"));
        stale.versions = vec![remote("9.9.9")];
        let mut dangling = test.change("b", None, "b1");
        dangling.reused = vec![npm::Sha512Digest([7; 64])];
        let mut unlisted = test.change("c", None, "c1");
        unlisted.versions = vec![held("1.0.0", npm::Sha512Digest([8; 64]))];
        let unknown = test.change("d", Some(3), "d1");
        let good = test.change("e", None, "e1");
        let changes = vec![stale, dangling, unlisted, unknown, good];
        let outcome = test.writer().commit_blocking(&mut batch(changes)).unwrap().changes;
        assert!(
            matches!(&outcome[0], Err(StoreError::Conflict { expected: None, found: Some(1), .. })),
            "{outcome:?}"
        );
        assert!(matches!(&outcome[1], Err(StoreError::MissingBlob(digest)) if digest.0 == [7; 64]));
        assert!(matches!(&outcome[2], Err(StoreError::MissingBlob(digest)) if digest.0 == [8; 64]));
        assert!(matches!(
            &outcome[3],
            Err(StoreError::Conflict { expected: Some(3), found: None, .. })
        ));
        assert_eq!(outcome[4].as_ref().unwrap().local_seq, 2);
        let names = test.read(|c| packages::names_after(c, "", 10));
        assert_eq!(names, [package("a"), package("e")]);
        assert!(test.read(|c| versions::find(c, &package("a"), "9.9.9")).is_none());
        assert_eq!(test.read(|c| tasks::find(c, task)).unwrap().state, TaskState::Processing);
        assert_eq!(test.read(|c| tasks::log(c, task)), None);
    });
}

#[test]
fn a_failing_or_panicking_write_is_undone_alone() {
    on_each_database(|test| {
        let set = |key: &'static str, end: fn() -> Result<(), StoreError>| -> WriteFn {
            Box::new(move |connection| {
                settings::set(connection, key, "1")?;
                end()
            })
        };
        let writes = vec![
            set("kept", || Ok(())),
            set("undone", || Err(StoreError::Other("no".into()))),
            set("panicked", || panic!("on purpose")),
            set("kept too", || Ok(())),
            Box::new(|connection| {
                use diesel::connection::SimpleConnection;
                Ok(connection.batch_execute("SELECT nonsense FROM nowhere")?)
            }),
        ];
        let changes = vec![test.change("a", None, "a1")];
        let mut writer = test.writer();
        let outcome = writer.commit_blocking(&mut CommitBatch { writes, changes }).unwrap();
        let good: Vec<_> = outcome.writes.iter().map(Result::is_ok).collect();
        assert_eq!(good, [true, false, false, true, false]);
        assert!(outcome.changes[0].is_ok());
        let kept = ["kept", "undone", "panicked", "kept too"]
            .map(|key| test.read(|c| settings::find(c, key)).is_some());
        assert_eq!(kept, [true, false, false, true]);
        test.commit(test.change("b", None, "b1")).unwrap();
    });
}

#[test]
fn a_batch_that_fails_leaves_nothing() {
    on_each_database(|test| {
        let writes: Vec<WriteFn> = vec![
            Box::new(|connection| settings::set(connection, "key", "1")),
            Box::new(|_| Err(StoreError::DiskFull("on purpose".into()))),
        ];
        let mut writer = test.writer();
        let changes = vec![test.change("a", None, "a1")];
        let failed = writer.commit_blocking(&mut CommitBatch { writes, changes: changes.clone() });
        assert!(matches!(failed, Err(StoreError::DiskFull(_))), "{failed:?}");
        assert_eq!(test.read(|c| settings::find(c, "key")), None);
        assert_eq!(test.read(packages::count), 0);
        assert_eq!(test.read(changes::last_seq), 0);
        assert_eq!(test.read(segments::all), []);
        let again = writer.commit_blocking(&mut batch(changes)).unwrap();
        assert_eq!(again.changes[0].as_ref().unwrap().local_seq, 1);
        assert!(!test.read(segments::all).is_empty());
    });
}

#[test]
fn a_panic_in_a_transaction_leaves_nothing_and_the_writer_goes_on() {
    on_each_database(|test| {
        let mut writer = test.writer();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            writer.write_blocking(|connection| -> Result<(), StoreError> {
                settings::set(connection, "key", "1")?;
                panic!("on purpose");
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(test.read(|c| settings::find(c, "key")), None);
        writer.write_blocking(|connection| settings::set(connection, "key", "2")).unwrap();
        assert_eq!(test.read(|c| settings::find(c, "key")).as_deref(), Some("2"));
    });
}

#[test]
fn text_that_a_database_cannot_hold_is_refused_alone() {
    on_each_database(|test| {
        let mut bad = test.change("a", None, "a1");
        bad.versions = vec![remote("1.0.0\0")];
        let mut bad_tag = test.change("b", None, "b1");
        bad_tag.document.as_mut().unwrap().dist_tags.push(("x\0".into(), "1".into()));
        let mut lie = test.change("c", None, "c1");
        lie.versions = vec![crate::VersionChange { state: VersionState::Held, ..remote("1.0.0") }];
        let changes = vec![bad, bad_tag, lie, test.change("d", None, "d1")];
        let outcome = test.writer().commit_blocking(&mut batch(changes)).unwrap().changes;
        for refused in &outcome[..3] {
            assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
        }
        assert!(outcome[3].is_ok());
    });
}

#[test]
fn a_log_with_nul_is_still_a_log() {
    on_each_database(|test| {
        let task = queued(test, "p");
        let mut change = test.change("p", None, "1");
        change.task = Some(TaskEnd {
            id: task,
            state: TaskState::Error,
            error: Some("bad \0 byte".into()),
            failure: None,
            log: "line\0\n".into(),
        });
        test.commit(change).unwrap();
        assert_eq!(test.read(|c| tasks::log(c, task)).as_deref(), Some("line\u{2400}\n"));
        let row = test.read(|c| tasks::find(c, task)).unwrap();
        assert_eq!(row.error.as_deref(), Some("bad \u{2400} byte"));
    });
}
