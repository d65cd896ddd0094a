//! The write path on both databases.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::testing::{TestStore, bare_change, held, on_each_database, package, remote};
use crate::{
    CommitBatch, Keeping, PackageChange, PackageStatus, StoreError, TaskEnd, TaskId, TaskState,
    Validators, VersionState, WriteFn, alarms, blob_rows, changes, dist_tags, packages, segments,
    settings, tasks, versions,
};

fn batch(changes: Vec<PackageChange>) -> CommitBatch {
    CommitBatch { writes: Vec::new(), changes }
}

fn version(test: &TestStore, name: &str, key: &str) -> versions::VersionRow {
    test.read(|connection| versions::find(connection, &package(name), key)).unwrap().row
}

#[test]
fn a_committed_package_is_all_there() {
    on_each_database(|test| {
        let task = queued(test, "@s/p");
        let tarball = test.put("tarball");
        let mut change = test.change("@s/p", None, "document");
        change.blobs.push(tarball);
        change.versions = vec![held("1.0.0", tarball.0), remote("1.1.0")];
        change.alarms = vec!["look at this".into()];
        change.task = Some(ended(task, "all done\n"));
        let committed = test.commit(change.clone()).unwrap();

        let row = test.read(|c| packages::find(c, &package("@s/p"))).unwrap();
        assert_eq!((row.id, row.revision), (committed.package_id, 1));
        assert_eq!((committed.revision, committed.local_seq), (1, 1));
        assert_eq!((row.keep, row.status), (Keeping::Mirrored, PackageStatus::Live));
        assert_eq!(row.validators, change.validators);
        let document = row.document.unwrap();
        assert_eq!(document.digest, change.document.as_ref().unwrap().digest);
        assert_eq!(document.location, change.document.as_ref().unwrap().location);
        assert_eq!((document.stored_bytes, document.body_bytes), (8, 24));
        let versions = test.read(|c| versions::of_package(c, row.id));
        let keys: Vec<_> = versions.iter().map(|row| (row.version.as_str(), row.state)).collect();
        assert_eq!(keys, [("1.0.0", VersionState::Held), ("1.1.0", VersionState::Remote)]);
        assert_eq!(versions[0].expected.as_deref(), Some("sha512-of-1.0.0"));
        let found = test.read(|c| versions::find(c, &package("@s/p"), "1.0.0")).unwrap();
        assert_eq!(found.location, Some(tarball.1));
        let tags = test.read(|c| dist_tags::of_package(c, &package("@s/p")));
        assert_eq!(tags, [("latest".to_owned(), "1.0.0".to_owned())]);
        assert_eq!(test.read(|c| tasks::find(c, task)).unwrap().state, TaskState::Success);
        assert_eq!(test.read(|c| tasks::log(c, task)).as_deref(), Some("all done\n"));
        let log = test.read(|c| changes::since(c, 0, 10));
        assert_eq!((log.len(), log[0].seq, log[0].kind.as_str()), (1, 1, "sync"));
        assert_eq!(test.read(|c| alarms::newest(c, 10))[0].message, "look at this");
        let known = test.read(segments::all);
        assert!(known[0].durable_bytes >= tarball.1.end(), "{known:?} covers the tarball");
        let totals = test.read(packages::totals);
        assert_eq!((totals.packages, totals.versions, totals.held), (1, 2, 1));
        assert_eq!(totals.bytes, 8 + 7);
    });
}

fn queued(test: &TestStore, name: &str) -> TaskId {
    let task = tasks::NewTask {
        id: TaskId::new(),
        name: package(name),
        registry: "default".into(),
        priority: 0,
        options: tasks::TaskOptions::default(),
        author: None,
        author_ip: None,
    };
    test.write(|c| {
        tasks::enqueue(c, vec![task])?;
        tasks::claim(c, "default", "here", 1, 60_000)
    })[0]
        .id
}

fn ended(id: TaskId, log: &str) -> TaskEnd {
    TaskEnd { id, state: TaskState::Success, error: None, log: log.into() }
}

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
fn a_reused_blob_is_found() {
    on_each_database(|test| {
        let tarball = test.put("same bytes");
        let mut first = test.change("a", None, "a1");
        first.blobs.push(tarball);
        test.commit(first).unwrap();
        let mut second = test.change("b", None, "b1");
        second.reused = vec![tarball.0];
        second.versions = vec![held("1.0.0", tarball.0)];
        test.commit(second).unwrap();
        let found = test.read(|c| versions::find(c, &package("b"), "1.0.0")).unwrap();
        assert_eq!(found.location, Some(tarball.1));
    });
}

#[test]
fn a_blob_put_twice_keeps_its_first_place() {
    on_each_database(|test| {
        let first = test.put("same bytes");
        let second = test.put("same bytes");
        let mut change = test.change("a", None, "a1");
        change.blobs.push(first);
        test.commit(change).unwrap();
        let mut change = test.change("b", None, "b1");
        change.blobs.push(second);
        test.commit(change).unwrap();
        assert_eq!(test.read(|c| blob_rows::find(c, &first.0)), Some(first.1));
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
fn what_a_version_must_hash_to_is_written_once() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.versions = vec![remote("1.0.0")];
        change.versions.push(crate::VersionChange { expected: None, ..remote("1.0.1") });
        test.commit(change).unwrap();
        let other = crate::VersionChange { expected: Some("other".into()), ..remote("1.0.0") };
        let late = crate::VersionChange { expected: Some("late".into()), ..remote("1.0.1") };
        let none = crate::VersionChange { expected: None, ..remote("1.0.1") };
        let mut change = test.change("p", Some(1), "2");
        change.versions = vec![other, late];
        test.commit(change).unwrap();
        let mut change = test.change("p", Some(2), "3");
        change.versions = vec![none];
        test.commit(change).unwrap();
        assert_eq!(version(test, "p", "1.0.0").expected.as_deref(), Some("sha512-of-1.0.0"));
        assert_eq!(version(test, "p", "1.0.1").expected.as_deref(), Some("late"));
    });
}

#[test]
fn a_held_version_stays_held_when_the_document_is_read_again() {
    on_each_database(|test| {
        let tarball = test.put("tarball");
        let mut change = test.change("p", None, "1");
        change.blobs.push(tarball);
        change.versions = vec![held("1.0.0", tarball.0)];
        test.commit(change).unwrap();
        let mut change = test.change("p", Some(1), "2");
        let mut again = remote("1.0.0");
        again.manifest = npm::ManifestDigest([2; 16]);
        again.tarball_file = "renamed.tgz".into();
        change.versions = vec![again];
        test.commit(change).unwrap();
        let row = version(test, "p", "1.0.0");
        assert_eq!((row.state, row.blob), (VersionState::Held, Some(tarball.0)));
        assert_eq!(row.size_bytes, Some(9));
        assert_eq!((row.manifest.0, row.tarball_file.as_str()), ([2; 16], "renamed.tgz"));

        let mut change = bare_change("p", Some(2));
        let failed = crate::VersionChange {
            state: VersionState::Failed,
            reason: Some("damaged".into()),
            ..remote("1.0.0")
        };
        change.versions = vec![failed];
        test.commit(change).unwrap();
        let row = version(test, "p", "1.0.0");
        assert_eq!((row.state, row.blob), (VersionState::Failed, None));
        assert_eq!(row.reason.as_deref(), Some("damaged"));
    });
}

#[test]
fn a_removed_version_is_hidden_and_may_come_back() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.versions = vec![remote("1.0.0"), remote("2.0.0")];
        test.commit(change).unwrap();
        let mut change = bare_change("p", Some(1));
        change.removed_versions = vec!["1.0.0".into(), "never was".into()];
        change.checked_at_ms = 5_000;
        let committed = test.commit(change).unwrap();
        assert_eq!(committed.revision, 2);
        assert_eq!(version(test, "p", "1.0.0").removed_at_ms, Some(5_000));
        assert_eq!(version(test, "p", "2.0.0").removed_at_ms, None);
        let mut change = test.change("p", Some(2), "3");
        change.versions = vec![remote("1.0.0")];
        test.commit(change).unwrap();
        assert_eq!(version(test, "p", "1.0.0").removed_at_ms, None);
    });
}

#[test]
fn what_did_not_change_costs_no_revision_and_no_seq() {
    on_each_database(|test| {
        let first = test.commit(test.change("p", None, "1")).unwrap();
        let mut same = test.change("p", Some(1), "1");
        same.checked_at_ms = 9_000;
        same.keep = Keeping::Cached;
        same.validators.last_modified = Some("today".into());
        let again = test.commit(same).unwrap();
        assert_eq!(again, first);
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!((row.checked_at_ms, row.changed_at_ms), (9_000, 1_000));
        assert_eq!(row.keep, Keeping::Mirrored);
        assert_eq!(row.validators.last_modified.as_deref(), Some("today"));

        let mut not_modified = bare_change("p", Some(1));
        not_modified.checked_at_ms = 8_000;
        assert_eq!(test.commit(not_modified).unwrap(), first);
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!(row.checked_at_ms, 9_000);
        assert!(row.validators.etag.is_some(), "validators that are not repeated stay");
        assert!(row.document.is_some());
        let touched = (package("p"), 10_000, Validators { etag: None, last_modified: None });
        test.write(|c| packages::touch_checked(c, &[touched]));
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!(row.checked_at_ms, 10_000);
        assert!(row.validators.etag.is_some());
        assert_eq!(test.read(|c| changes::since(c, 0, 10)).len(), 1);
    });
}

#[test]
fn a_cached_package_becomes_mirrored() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.keep = Keeping::Cached;
        test.commit(change).unwrap();
        test.commit(bare_change("p", Some(1))).unwrap();
        let row = test.read(|c| packages::find(c, &package("p"))).unwrap();
        assert_eq!((row.keep, row.revision), (Keeping::Mirrored, 1));
    });
}

#[test]
fn two_tarballs_of_one_package_go_into_one_batch() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        change.versions = vec![remote("1.0.0"), remote("2.0.0")];
        test.commit(change).unwrap();
        let changes = ["1.0.0", "2.0.0"].map(|key| {
            let tarball = test.put(key);
            PackageChange {
                versions: vec![held(key, tarball.0)],
                blobs: vec![tarball],
                cause: "tarball",
                ..bare_change("p", Some(1))
            }
        });
        let outcome = test.writer().commit_blocking(&mut batch(changes.into())).unwrap();
        let seqs: Vec<_> =
            outcome.changes.iter().map(|one| one.as_ref().unwrap().local_seq).collect();
        assert_eq!(seqs, [2, 3]);
        for key in ["1.0.0", "2.0.0"] {
            assert_eq!(version(test, "p", key).state, VersionState::Held);
        }
        let log = test.read(|c| changes::since(c, 0, 10));
        assert_eq!(log.len(), 1, "one row for a package, its newest: {log:?}");
        assert_eq!((log[0].seq, log[0].kind.as_str()), (3, "tarball"));
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
            log: "line\0\n".into(),
        });
        test.commit(change).unwrap();
        assert_eq!(test.read(|c| tasks::log(c, task)).as_deref(), Some("line\u{2400}\n"));
        let row = test.read(|c| tasks::find(c, task)).unwrap();
        assert_eq!(row.error.as_deref(), Some("bad \u{2400} byte"));
    });
}

#[test]
fn tags_follow_the_document() {
    on_each_database(|test| {
        let tags = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(tag, version)| ((*tag).into(), (*version).into())).collect()
        };
        let mut change = test.change("p", None, "1");
        let first = tags(&[("latest", "1.0.0"), ("next", "2.0.0-rc"), ("old", "0.1.0")]);
        change.document.as_mut().unwrap().dist_tags = first;
        test.commit(change).unwrap();
        let mut change = test.change("p", Some(1), "2");
        let second = tags(&[("beta", "3.0.0"), ("latest", "2.0.0"), ("old", "0.1.0")]);
        change.document.as_mut().unwrap().dist_tags = second.clone();
        test.commit(change).unwrap();
        assert_eq!(test.read(|c| dist_tags::of_package(c, &package("p"))), second);
    });
}

#[test]
fn a_version_or_tag_named_twice_counts_once_and_the_last_wins() {
    on_each_database(|test| {
        let mut change = test.change("p", None, "1");
        let second = crate::VersionChange { tarball_file: "second.tgz".into(), ..remote("1.0.0") };
        change.versions = vec![remote("1.0.0"), second];
        let tags = &mut change.document.as_mut().unwrap().dist_tags;
        tags.push(("latest".into(), "2.0.0".into()));
        test.commit(change).unwrap();
        assert_eq!(version(test, "p", "1.0.0").tarball_file, "second.tgz");
        let tags = test.read(|c| dist_tags::of_package(c, &package("p")));
        assert_eq!(tags, [("latest".to_owned(), "2.0.0".to_owned())]);
    });
}

#[test]
fn a_batch_of_any_size_is_stored_completely() {
    on_each_database(|test| {
        let changes: Vec<_> = (0..171)
            .map(|number| {
                let mut change = test.change(&format!("p{number}"), None, &number.to_string());
                change.versions =
                    (0..=number % 5).map(|minor| remote(&format!("1.{minor}.0"))).collect();
                change
            })
            .collect();
        let expected: usize = changes.iter().map(|change| change.versions.len()).sum();
        let outcome = test.writer().commit_blocking(&mut batch(changes)).unwrap().changes;
        let seqs: Vec<_> = outcome.iter().map(|one| one.as_ref().unwrap().local_seq).collect();
        assert_eq!(seqs, (1..=171).collect::<Vec<i64>>());
        let totals = test.read(packages::totals);
        assert_eq!((totals.packages, totals.versions), (171, i64::try_from(expected).unwrap()));
        let names: Vec<_> = (0..171).map(|number| package(&format!("p{number}"))).collect();
        let rows = test.read(|c| packages::find_many(c, &names));
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let versions = test.read(|c| versions::of_packages(c, &ids));
        assert_eq!(versions.values().map(Vec::len).sum::<usize>(), expected);
        let (id, name) = rows.iter().map(|row| (row.id, row.name.as_str())).next().unwrap();
        let number: usize = name.trim_start_matches('p').parse().unwrap();
        assert_eq!(versions[&id].len(), number % 5 + 1);
    });
}

#[test]
fn a_reader_that_continues_from_a_seq_misses_nothing() {
    const WRITERS: usize = 4;
    const COMMITS: usize = 25;
    on_each_database(|test| {
        let done = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen: Vec<i64> = Vec::new();
                loop {
                    let last_look = done.load(Ordering::SeqCst);
                    let cursor = seen.last().copied().unwrap_or(0);
                    let rows = test.read(|c| changes::since(c, cursor, 3));
                    seen.extend(rows.iter().map(|row| row.seq));
                    if last_look && rows.is_empty() {
                        break seen;
                    }
                }
            });
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn(move || {
                        let mut connection = test.writer();
                        for number in 0..COMMITS {
                            let name = format!("p{writer}-{number}");
                            let change = bare_change(&name, None);
                            let outcome = connection.commit_blocking(&mut batch(vec![change]));
                            outcome.unwrap().changes.remove(0).unwrap();
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::SeqCst);
            reader.join().unwrap()
        });
        let all: Vec<i64> = (1..=i64::try_from(WRITERS * COMMITS).unwrap()).collect();
        assert_eq!(seen, all);
    });
}

#[test]
fn writers_that_add_the_same_package_agree_on_one() {
    on_each_database(|test| {
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer: i64| {
                    scope.spawn(move || {
                        let mut change = bare_change("p", None);
                        change.checked_at_ms = writer;
                        test.commit(change)
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        for refused in refused {
            assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
        }
        assert_eq!(test.read(packages::count), 1);
    });
}
