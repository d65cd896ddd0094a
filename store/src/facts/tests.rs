use super::*;
use crate::plans::{plan, statements_of};
use crate::testing::{TestStore, bare_change, on_each_database, remote};
use crate::{DatabaseSettings, PackageChange, VersionChange};

fn with(name: &str, versions: Vec<VersionChange>, base: Option<i64>) -> PackageChange {
    PackageChange { versions, ..bare_change(name, base) }
}

fn facts(licence: &str) -> ManifestFacts {
    ManifestFacts {
        licence: Some(licence.to_owned()),
        announced_bytes: Some(12),
        install_scripts: true,
    }
}

fn all(test: &TestStore, package_id: i64) -> Vec<(String, Facts)> {
    let rows = test.read(|rows| listed(rows, package_id));
    rows.into_iter().map(|row| (row.version, row.facts)).collect()
}

#[test]
fn facts_come_with_a_version_and_stay_where_a_change_brings_none() {
    on_each_database(|test| {
        let told = VersionChange { facts: Some(facts("MIT")), ..remote("1.0.0") };
        let done = test.commit(with("lamp", vec![told, remote("1.1.0")], None)).unwrap();
        let id = done.package_id;
        let read = ("1.0.0".to_owned(), Facts::Read(facts("MIT")));
        let unread = ("1.1.0".to_owned(), Facts::Unread);
        assert_eq!(all(test, id), [read.clone(), unread.clone()]);
        let again = vec![remote("1.0.0"), remote("1.1.0")];
        test.commit(with("lamp", again, Some(done.revision))).unwrap();
        assert_eq!(all(test, id), [read, unread]);
        let none = ManifestFacts::default();
        let newer = VersionChange { facts: Some(none.clone()), ..remote("1.0.0") };
        test.commit(with("lamp", vec![newer], Some(done.revision))).unwrap();
        let row = test.read(|rows| of_version(rows, id, "1.0.0")).unwrap();
        assert_eq!(row.facts, Facts::Read(none), "what is read last counts, also what is gone");
        assert_eq!(test.read(|rows| of_version(rows, id, "9.9.9")), None);
    });
}

#[test]
fn rows_without_facts_are_filled_once_and_never_over_those_of_a_commit() {
    on_each_database(|test| {
        let told = VersionChange { facts: Some(facts("MIT")), ..remote("1.0.0") };
        let change = with("lamp", vec![told, remote("1.1.0"), remote("1.2.0")], None);
        let id = test.commit(change).unwrap().package_id;
        let found: Vec<_> = [("1.0.0", Some("GPL")), ("1.1.0", Some("ISC")), ("1.2.0", None)]
            .map(|(version, licence)| (version.to_owned(), licence.map(facts)))
            .into();
        for _ in 0..2 {
            test.write(|rows| save(rows, id, &found));
            let states: Vec<_> = all(test, id).into_iter().map(|(_, facts)| facts).collect();
            assert_eq!(states, [Facts::Read(facts("MIT")), Facts::Read(facts("ISC")), Facts::Gone]);
        }
        let mut rows = test.read(|rows| of_package(rows, id));
        rows.sort_unstable_by(|a, b| a.version.cmp(&b.version));
        assert_eq!(rows, test.read(|rows| listed(rows, id)));
    });
}

#[test]
fn what_is_kept_of_a_licence_is_one_line_of_no_great_length() {
    let read = VersionFacts {
        licence: Some("a\0b\nc".into()),
        size: Some(u64::MAX),
        ..VersionFacts::default()
    };
    let kept = ManifestFacts::from(&read);
    assert_eq!(kept.licence.as_deref(), Some("a b c"));
    assert_eq!(kept.announced_bytes, Some(i64::MAX));
    let long = VersionFacts { licence: Some("é".repeat(999).into()), ..VersionFacts::default() };
    assert_eq!(ManifestFacts::from(&long).licence.unwrap().chars().count(), LONGEST_LICENCE);
}

#[test]
fn lists_read_the_packages_of_a_page_and_the_versions_of_one() {
    on_each_database(|test| {
        for name in ["a", "b", "c"] {
            test.commit(with(name, vec![remote("1.0.0")], None)).unwrap();
        }
        let page = test.read(|rows| packages_from(rows, "b", 1));
        assert_eq!(page.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["b"]);
        let plans = test.read(|connection| {
            let asked = statements_of(connection, |rows| {
                packages_from(rows, "b", 1)?;
                listed(rows, page[0].id)?;
                of_package(rows, page[0].id)?;
                crate::versions::listed_published_after(rows, page[0].id, 1)?;
                of_version(rows, page[0].id, "1.0.0")
            })?;
            Ok(asked.iter().map(|query| plan(connection, query)).collect::<Vec<_>>())
        });
        assert_eq!(plans.len(), 5);
        // PostgreSQL reads tables of three rows whole, whatever indexes there are
        if matches!(test.settings.database, DatabaseSettings::Sqlite { .. }) {
            for plan in plans {
                assert!(plan.contains("SEARCH") && !plan.contains("SCAN"), "{plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{plan}");
            }
        }
    });
}
