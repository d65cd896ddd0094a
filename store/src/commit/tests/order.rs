//! Batches of any size, and several writers and readers at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::batch;
use crate::testing::{bare_change, on_each_database, package, remote};
use crate::{StoreError, changes, packages, versions};

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
