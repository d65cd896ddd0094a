//! The change log on both databases.

use std::sync::mpsc;
use std::time::Instant;

use diesel::prelude::*;

use super::{NewChange, append, count_names, last_seq, names_from, since};
use crate::plans::plan;
use crate::testing::{TestStore, bare_change, on_each_database, remote};
use crate::{AnyConnection, PackageStatus};

fn change<'a>(name: &'a str, version: Option<&'a str>, deleted: bool) -> NewChange<'a> {
    NewChange { name, kind: "sync", rev: "1-a", version, deleted }
}

fn seqs(test: &TestStore, after: i64) -> Vec<(i64, String)> {
    test.read(|c| since(c, after, 1_000)).into_iter().map(|row| (row.seq, row.name)).collect()
}

#[test]
fn a_name_has_one_row_and_moves_to_the_end() {
    on_each_database(|test| {
        let rows = ["a", "b", "c"].map(|name| change(name, None, false));
        assert_eq!(test.write(|c| append(c, &rows, 1)), 1);
        assert_eq!(test.write(|c| append(c, &[change("a", Some("1.0.0"), false)], 2)), 4);
        let expected = [(2, "b".to_owned()), (3, "c".to_owned()), (4, "a".to_owned())];
        assert_eq!(seqs(test, 0), expected);
        let newest = test.read(|c| since(c, 3, 10)).remove(0);
        assert_eq!((newest.version.as_deref(), newest.at_ms), (Some("1.0.0"), 2));
        // twice in one transaction: both seqs are taken, the later row stands
        let twice = [change("b", Some("1.0.0"), false), change("b", Some("2.0.0"), false)];
        assert_eq!(test.write(|c| append(c, &twice, 3)), 5);
        let newest = test.read(|c| since(c, 4, 10));
        assert_eq!(newest.len(), 1, "{newest:?}");
        assert_eq!((newest[0].seq, newest[0].version.as_deref()), (6, Some("2.0.0")));
        assert_eq!(test.read(last_seq), 6);
        assert_eq!(test.read(|c| since(c, 6, 10)), []);
        assert_eq!(test.read(|c| since(c, i64::MAX, 10)), []);
    });
}

#[test]
fn a_name_that_is_gone_stays_in_the_feed_and_leaves_the_list() {
    on_each_database(|test| {
        // in byte order capitals come first, and a scope before any letter
        let rows = ["b", "@s/p", "a", "B", "~"].map(|name| change(name, None, false));
        test.write(|c| append(c, &rows, 1));
        test.write(|c| append(c, &[change("a", None, true)], 2));
        assert!(test.read(|c| since(c, 5, 10))[0].deleted);
        let list = |start: &str, skip, limit| -> Vec<String> {
            let names = test.read(|c| names_from(c, start, skip, limit));
            names.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(list("", 0, 10), ["@s/p", "B", "b", "~"]);
        assert_eq!(list("B", 0, 2), ["B", "b"]);
        assert_eq!(list("B", 1, 2), ["b", "~"]);
        assert_eq!(list("a", 0, 1), ["b"]);
        let count = |end: Option<&str>| test.read(|c| count_names(c, end));
        assert_eq!(
            (count(None), count(Some("b")), count(Some("")), count(Some("~x"))),
            (4, 2, 0, 4)
        );
        test.write(|c| append(c, &[change("a", None, false)], 3));
        assert_eq!(list("B", 1, 1), ["a"], "published again");
        assert_eq!(count(Some("b")), 3);
    });
}

#[test]
fn a_commit_tells_the_feed_what_it_did() {
    on_each_database(|test| {
        let mut first = test.change("lamp", None, "one");
        first.document.as_mut().unwrap().added_version = Some("1.0.0".into());
        first.versions = vec![remote("1.0.0")];
        test.commit(first).unwrap();
        let row = test.read(|c| since(c, 0, 10)).remove(0);
        let told = (row.rev.as_str(), row.version.as_deref(), row.deleted);
        assert_eq!(told, ("7-abc", Some("1.0.0"), false));
        let mut without_rev = test.change("lamp", Some(1), "two");
        without_rev.document.as_mut().unwrap().upstream_rev = None;
        test.commit(without_rev).unwrap();
        let row = test.read(|c| since(c, 1, 10)).remove(0);
        let hash = row.rev.strip_prefix("2-").unwrap();
        assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
        assert_eq!(row.version, None);
        let mut gone = test.change("lamp", Some(2), "three");
        gone.document.as_mut().unwrap().status = PackageStatus::Unpublished;
        test.commit(gone).unwrap();
        assert!(test.read(|c| since(c, 2, 10))[0].deleted);
        assert_eq!(test.read(|c| count_names(c, None)), 0);
        test.commit(test.change("lamp", Some(3), "four")).unwrap();
        assert!(!test.read(|c| since(c, 3, 10))[0].deleted, "published again");
    });
}

/// The hole that a counter without a lock would have: a later seq is visible while an earlier one
/// is still being committed.
#[test]
fn no_seq_becomes_visible_before_an_earlier_one() {
    on_each_database(|test| {
        let (taken, was_taken) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let (ended, has_ended) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                test.write(|c| {
                    let seq = append(c, &[change("slow", None, false)], 1)?;
                    taken.send(seq).unwrap();
                    may_go_on.recv().unwrap(); // the transaction stays open here
                    Ok(())
                });
            });
            let slow = was_taken.recv().unwrap();
            scope.spawn(move || {
                let committed = test.commit(bare_change("quick", None)).unwrap();
                ended.send(committed.local_seq).unwrap();
            });
            wait_until_somebody_waits(test);
            assert!(has_ended.try_recv().is_err(), "the second commit did not wait");
            assert_eq!(seqs(test, 0), [], "nothing is visible yet");
            go_on.send(()).unwrap();
            let quick = has_ended.recv().unwrap();
            assert!(quick > slow, "{quick} {slow}");
            assert_eq!(seqs(test, 0), [(slow, "slow".to_owned()), (quick, "quick".to_owned())]);
        });
    });
}

/// PostgreSQL says who waits for a lock. SQLite's one writer cannot even begin, so there is
/// nothing to wait for.
fn wait_until_somebody_waits(test: &TestStore) {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    // This connection sees all backends; those of other tests work in other schemas.
    let text = "SELECT COUNT(*) AS count FROM pg_locks AS held \
         JOIN pg_class ON pg_class.oid = held.relation \
         JOIN pg_locks AS waiting ON waiting.pid = held.pid AND NOT waiting.granted \
         WHERE pg_class.relname = 'local_seq' \
         AND pg_class.relnamespace = current_schema()::regnamespace";
    loop {
        let waiting = test.read(|connection| match connection {
            AnyConnection::Sqlite(_) => Ok(1),
            AnyConnection::Pg(_) => {
                let found = diesel::sql_query(text).load::<Waiting>(connection)?;
                Ok(found.first().map_or(0, |row| row.count))
            }
        });
        if waiting > 0 {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_hundred_thousand_names_are_paged_through_by_their_indexes() {
    const NAMES: usize = 100_000;
    const PAGE: i64 = 10_000;
    on_each_database(|test| {
        let names: Vec<String> =
            (0..NAMES).map(|number| format!("@s{}/p{number:06}", number % 7)).collect();
        let rows: Vec<_> = names.iter().map(|name| change(name, None, false)).collect();
        let began = Instant::now();
        test.write(|c| append(c, &rows, 1));
        println!("{NAMES} rows appended in {:?}", began.elapsed());
        test.write(|connection| Ok(diesel::sql_query("ANALYZE").execute(connection)?));

        let began = Instant::now();
        let (mut seen, mut cursor) = (0, 0);
        loop {
            let page = test.read(|c| since(c, cursor, PAGE));
            let Some(last) = page.last() else { break };
            cursor = last.seq;
            seen += page.len();
        }
        println!("feed read in {:?}", began.elapsed());
        assert_eq!(seen, NAMES);

        let began = Instant::now();
        let (mut sorted, mut start) = (Vec::with_capacity(NAMES), String::new());
        loop {
            let before = test.read(|c| count_names(c, Some(&start)));
            assert_eq!(before, i64::try_from(sorted.len()).unwrap().saturating_sub(1).max(0));
            let skip = i64::from(!start.is_empty());
            let page = test.read(|c| names_from(c, &start, skip, PAGE));
            let Some((last, _)) = page.last() else { break };
            start.clone_from(last);
            sorted.extend(page.into_iter().map(|(name, _)| name));
        }
        println!("names read in {:?}", began.elapsed());
        let mut expected = names;
        expected.sort();
        assert_eq!(sorted, expected);

        let plans = test.read(|c| {
            Ok([
                plan(c, "SELECT * FROM changes WHERE seq > 50000 ORDER BY seq LIMIT 1000"),
                plan(
                    c,
                    "SELECT name, rev FROM changes WHERE name >= '@s3/' AND NOT deleted \
                     ORDER BY name LIMIT 1000",
                ),
                plan(c, "SELECT COUNT(*) FROM changes WHERE deleted AND name < '@s3/'"),
            ])
        });
        for plan in plans {
            assert!(
                plan.contains("USING I") || plan.contains("INDEX") || plan.contains("Index"),
                "{plan}"
            );
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("Sort"), "{plan}");
            assert!(!plan.contains("SCAN changes\n") && !plan.contains("Seq Scan"), "{plan}");
        }
    });
}
