//! Numbers and list of what is missing, on both databases.

use diesel::prelude::*;

use super::{Gap, GapCursor, Gaps, Why, count, list};
use crate::ownership::Ownership;
use crate::plans::{plan, statements_of};
use crate::testing::{TestStore, bare_change, on_each_database, remote};
use crate::{Keeping, PackageStatus, VersionChange, VersionState, missing_names};

fn failed(version: &str, reason: &str) -> VersionChange {
    VersionChange { state: VersionState::Failed, reason: Some(reason.into()), ..remote(version) }
}

/// One of everything.
fn fill(test: &TestStore) {
    let tarball = test.put("tarball");
    let mut mirrored = test.change("mirrored", None, "1");
    mirrored.blobs.push(tarball);
    mirrored.versions = vec![
        crate::testing::held("1.0.0", tarball.0),
        remote("1.1.0"),
        remote("1.2.0"),
        failed("1.3.0", "sha512 differs"),
        VersionChange { state: VersionState::Skipped, ..failed("1.4.0", "too large") },
        failed("1.5.0", "404"),
    ];
    test.commit(mirrored).unwrap();
    let mut later = bare_change("mirrored", Some(1));
    later.removed_versions = vec!["1.0.0".into(), "1.5.0".into()];
    test.commit(later).unwrap();
    let mut cached = test.change("cached", None, "2");
    cached.keep = Keeping::Cached;
    cached.versions = vec![remote("1.0.0"), failed("2.0.0", "no digest")];
    test.commit(cached).unwrap();
    let mut gone = test.change("gone", None, "3");
    gone.document.as_mut().unwrap().status = PackageStatus::Unpublished;
    test.commit(gone).unwrap();
    test.write(|c| missing_names::seen(c, "default", &["m1", "m2", "m3"], 1));
    test.write(|c| missing_names::queue(c, "default", 2, &Ownership::default()));
    let task = test.write(|c| crate::tasks::claim(c, "default", "here", 1, 60_000)).remove(0);
    assert_eq!(task.name.as_str(), "m1");
    let end = crate::TaskEnd {
        id: task.id,
        state: crate::TaskState::Error,
        error: Some("404".into()),
        failure: None,
        log: String::new(),
    };
    test.write(|c| crate::tasks::finish(c, &end));
}

#[test]
fn every_kind_of_gap_is_counted() {
    on_each_database(|test| {
        assert_eq!(test.read(count), Gaps::default());
        fill(test);
        let expected = Gaps {
            names_never_fetched: 1,
            names_waiting: 1,
            names_failed: 1,
            versions_never_fetched: 2,
            versions_failed: 2,
            versions_skipped: 1,
            versions_gone: 2,
            names_gone: 1,
        };
        assert_eq!(test.read(count), expected);
        // a package that arrives is missing no more, whoever brought it
        test.commit(test.change("m2", None, "4")).unwrap();
        assert_eq!(test.read(count).names_waiting, 0);
    });
}

#[test]
fn the_list_names_each_gap_once_whatever_its_pages() {
    on_each_database(|test| {
        fill(test);
        let row = |name: &str, version: Option<&str>, why, reason: Option<&str>| Gap {
            name: name.into(),
            version: version.map(Into::into),
            why,
            reason: reason.map(Into::into),
        };
        let expected = [
            row("m3", None, Why::NeverFetched, None),
            row("m2", None, Why::Waiting, None),
            row("m1", None, Why::Failed, Some("404")),
            row("mirrored", Some("1.1.0"), Why::NeverFetched, None),
            row("mirrored", Some("1.2.0"), Why::NeverFetched, None),
            row("mirrored", Some("1.3.0"), Why::Failed, Some("sha512 differs")),
            row("cached", Some("2.0.0"), Why::Failed, Some("no digest")),
            row("mirrored", Some("1.4.0"), Why::Skipped, Some("too large")),
            row("gone", None, Why::Gone, Some("unpublished")),
            row("mirrored", Some("1.0.0"), Why::Gone, None),
            row("mirrored", Some("1.5.0"), Why::Gone, Some("404")),
        ];
        for limit in [1, 2, 3, 100] {
            let (mut found, mut cursor) = (Vec::new(), GapCursor::default());
            loop {
                let page = test.read(|c| list(c, None, &cursor, limit));
                assert!(page.gaps.len() <= usize::try_from(limit).unwrap());
                found.extend(page.gaps);
                let Some(next) = page.next else { break };
                cursor = next.to_string().parse().unwrap();
                assert_eq!(cursor, next);
            }
            assert_eq!(found, expected, "pages of {limit}");
        }
        let only = test.read(|c| list(c, Some(Why::Failed), &GapCursor::default(), 10)).gaps;
        let expected: Vec<_> = expected.into_iter().filter(|gap| gap.why == Why::Failed).collect();
        assert_eq!(only, expected);
        for bad in ["", "8||", "x", "1|a"] {
            assert!(bad.parse::<GapCursor>().is_err(), "{bad}");
        }
    });
}

/// Packages with this many held versions each, one of them now and then not here.
const PACKAGES: i64 = 20_000;

/// Fills the tables as a mirror has them that lacks little.
fn fill_large(connection: &mut crate::AnyConnection) -> Result<(), crate::StoreError> {
    let numbers = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PACKAGES})"
    );
    let empty = match connection {
        crate::AnyConnection::Sqlite(_) => "X'00'",
        crate::AnyConnection::Pg(_) => "'\\x00'::bytea",
    };
    let gone = "CASE WHEN n.i % 500 = 0 THEN 1 ELSE NULL END";
    let state = "CASE WHEN n.i % 100 = 0 THEN 'remote' WHEN n.i % 100 = 1 THEN 'failed' \
                 WHEN n.i % 100 = 2 THEN 'skipped' ELSE 'held' END";
    for text in [
        format!(
            "INSERT INTO packages (name, registry, keep, status, revision, checked_at_ms, \
             changed_at_ms) {numbers} SELECT 'p' || i, 'default', 'mirrored', \
             CASE WHEN i % 500 = 0 THEN 'unpublished' ELSE 'live' END, 1, 1, 1 FROM n"
        ),
        format!(
            "INSERT INTO versions (package_id, version, manifest, tarball_file, state, \
             removed_at_ms) {numbers} SELECT n.i, v.version, {empty}, 'p.tgz', {state}, {gone} \
             FROM n CROSS JOIN (SELECT '1.0.0' AS version UNION ALL SELECT '1.1.0') AS v"
        ),
        format!(
            "INSERT INTO missing_names (registry, name, seen_at_ms, queued_at_ms, reason) \
             {numbers} SELECT 'default', 'm' || i, 1, CASE WHEN i % 2 = 0 THEN 1 END, \
             CASE WHEN i % 4 = 0 THEN '404' END FROM n WHERE i <= 200"
        ),
        "ANALYZE".to_owned(),
    ] {
        diesel::sql_query(text).execute(connection)?;
    }
    Ok(())
}

#[test]
fn neither_numbers_nor_list_walk_through_what_is_here() {
    on_each_database(|test| {
        test.write(fill_large);
        let statements = test.read(|connection| {
            statements_of(connection, |connection| {
                let gaps = count(connection)?;
                assert_eq!((gaps.versions_failed, gaps.names_gone), (400, 40), "{gaps:?}");
                let mut cursor = GapCursor::default();
                while let Some(next) = list(connection, None, &cursor, 100)?.next {
                    cursor = next;
                }
                Ok(())
            })
        });
        assert!(statements.len() > 20, "{statements:#?}");
        for statement in statements {
            let plan = test.read(|connection| Ok(plan(connection, &statement)));
            let steps: Vec<&str> = plan.lines().map(str::trim).collect();
            for (place, step) in steps.iter().enumerate() {
                let condition = steps.get(place + 1).copied().unwrap_or_default();
                assert!(is_bounded(step, condition), "{statement}\n{step}\nof\n{plan}");
            }
        }
    });
}

/// Whether a step of a plan reads the large tables by an index of few rows only, or one package by
/// its id.
fn is_bounded(step: &str, next: &str) -> bool {
    let reads = |table: &str| {
        [format!(" on {table}"), format!("SCAN {table}"), format!("SEARCH {table}")]
            .iter()
            .any(|words| step.contains(words.as_str()))
    };
    let by_few = ["versions_not_held", "versions_gone", "packages_not_live"]
        .iter()
        .any(|index| step.contains(index));
    let one_package = step.contains("rowid=?") || next.starts_with("Index Cond: (id = ");
    // the rows that an index of the steps below has found
    let of_index = step.contains("Bitmap Heap Scan");
    match (reads("versions"), reads("packages")) {
        (false, false) => true,
        (true, _) => by_few || of_index,
        (false, true) => by_few || of_index || one_package,
    }
}
