//! Comparing lists of names, on both databases.

use std::sync::Arc;

use super::{Compared, NamesTaken, begin, find, give_up, take_names};
use crate::ownership::Ownership;
use crate::testing::{TestStore, binding, on_each_database, package};
use crate::{StoreError, alarms, completeness, missing_names, tasks};

fn page(after: &str, names: &[&str], is_last: bool) -> NamesTaken {
    NamesTaken {
        registry: "default".into(),
        after: after.into(),
        names: names.iter().map(|&name| name.to_owned()).collect(),
        is_last,
        wants_missing: true,
        ownership: Arc::default(),
    }
}

fn holding(test: &TestStore, names: &[&str]) {
    for name in names {
        test.commit(test.change(name, None, name)).unwrap();
    }
}

fn waiting(test: &TestStore) -> Vec<(String, bool)> {
    let filter = tasks::TaskFilter { limit: 1_000, ..tasks::TaskFilter::default() };
    let mut rows: Vec<_> = test
        .read(|c| tasks::list(c, &filter))
        .into_iter()
        .map(|row| (row.name.as_str().to_owned(), row.options.force))
        .collect();
    rows.sort();
    rows
}

fn took(test: &TestStore, page: &NamesTaken) -> Compared {
    test.write(|c| take_names(c, page))
}

#[test]
fn a_round_finds_what_either_side_lacks() {
    on_each_database(|test| {
        holding(test, &["a", "c", "e", "g"]);
        test.write(|c| begin(c, "default", "http://feed.test/_all_docs", 3));
        let first = took(test, &page("", &["_design/app", "a", "b", "d"], false));
        assert_eq!(first, Compared::Written { missing: 2, absent: 1 });
        let row = test.read(|c| find(c, "default")).unwrap();
        assert_eq!((row.after_name.as_deref(), row.ended_at_ms), (Some("d"), None));
        // the same page again, as after a crash whose commit was not seen, or on another node
        assert_eq!(took(test, &page("", &["a", "b", "d"], false)), Compared::Moved);
        let second = took(test, &page("d", &["e", "f"], true));
        assert_eq!(second, Compared::Written { missing: 1, absent: 1 });
        let row = test.read(|c| find(c, "default")).unwrap();
        assert_eq!((row.names, row.missing, row.absent), (6, 3, 2));
        assert!(row.after_name.is_none() && row.ended_at_ms.is_some() && row.epoch == 3);
        // what is here stays; upstream is asked about it without validators
        assert_eq!(waiting(test), [("c".to_owned(), true), ("g".to_owned(), true)]);
        assert!(test.read(|c| crate::packages::find(c, &package("c"))).is_some());
        assert_eq!(test.read(completeness::count).names_never_fetched, 3);
        assert_eq!(test.write(|c| missing_names::queue(c, "default", 2, &Ownership::default())), 2);
        assert_eq!(waiting(test).len(), 4);
        assert_eq!(test.write(|c| missing_names::queue(c, "default", 2, &Ownership::default())), 1);
        assert_eq!(test.write(|c| missing_names::queue(c, "default", 2, &Ownership::default())), 0);
    });
}

#[test]
fn a_later_round_tries_failures_again_and_forgets_what_upstream_dropped() {
    on_each_database(|test| {
        let round = |names: &[&str]| {
            test.write(|c| begin(c, "default", "u", 1));
            took(test, &page("", names, true));
        };
        round(&["x", "y", "z"]);
        test.write(|c| missing_names::queue(c, "default", 3, &Ownership::default()));
        let claimed = test.write(|c| tasks::claim(c, "default", "here", 3, 60_000));
        let end = crate::TaskEnd {
            id: claimed[0].id,
            state: crate::TaskState::Error,
            error: Some("it is broken".into()),
            failure: None,
            log: String::new(),
        };
        test.write(|c| tasks::finish(c, &end));
        assert_eq!(test.write(|c| missing_names::queue(c, "default", 3, &Ownership::default())), 0);
        test.wait_ms(1); // a round takes its time
        round(&["x", "y"]);
        let gaps = test.read(completeness::count);
        assert_eq!((gaps.names_failed, gaps.names_waiting), (1, 1), "z is gone upstream as well");
        assert_eq!(
            test.write(|c| missing_names::queue(c, "default", 3, &Ownership::default())),
            1,
            "the failed one"
        );
        assert_eq!(test.read(completeness::count).names_failed, 0);
    });
}

#[test]
fn a_list_that_lost_a_part_of_itself_is_not_believed() {
    on_each_database(|test| {
        let names: Vec<String> = (0..120).map(|number| format!("p{number:03}")).collect();
        holding(test, &names.iter().map(String::as_str).collect::<Vec<_>>());
        test.write(|c| begin(c, "default", "u", 1));
        let empty = took(test, &page("", &[], true));
        assert_eq!(empty, Compared::Written { missing: 0, absent: 0 });
        assert_eq!(waiting(test), []);
        let told = test.read(|c| alarms::newest(c, 10));
        assert!(told[0].message.contains("not believed"), "{told:?}");
        // half of them is more than a few, and as many as the page has
        let half: Vec<&str> = names.iter().map(String::as_str).step_by(2).collect();
        test.write(|c| begin(c, "default", "u", 1));
        assert_eq!(
            took(test, &page("", &half, true)),
            Compared::Written { missing: 0, absent: 60 }
        );
    });
}

#[test]
fn a_list_in_another_order_is_refused_and_moves_nothing() {
    on_each_database(|test| {
        holding(test, &["b"]);
        test.write(|c| begin(c, "default", "u", 1));
        let mut writer = test.writer();
        for names in [["c", "a"], ["a", "a"]] {
            let refused = writer.write_blocking(|c| take_names(c, &page("", &names, true)));
            assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
        }
        let row = test.read(|c| find(c, "default")).unwrap();
        assert_eq!((row.after_name.as_deref(), row.names), (Some(""), 0));
        assert_eq!(waiting(test), []);
        test.write(|c| give_up(c, "default"));
        let row = test.read(|c| find(c, "default")).unwrap();
        assert!(row.after_name.is_none() && row.ended_at_ms.is_some());
    });
}

#[test]
fn a_list_lacks_nothing_of_what_its_registry_is_not_asked_for() {
    on_each_database(|test| {
        holding(test, &["@house/door", "lamp"]);
        let rules = Arc::new(binding(&[("@garden", "inner"), ("@house", "self")]));
        let mut listed = page("", &["@garden/ui", "@house/key", "bulb"], true);
        listed.ownership = Arc::clone(&rules);
        test.write(|c| begin(c, "default", "http://feed.test/_all_docs", 1));
        // `@house/door` is here and not listed: that may stay so
        assert_eq!(took(test, &listed), Compared::Written { missing: 1, absent: 1 });
        assert_eq!(waiting(test), [("lamp".to_owned(), true)]);
        assert_eq!(test.read(completeness::count).names_never_fetched, 1);
        // bound after it was noted: no task, and it is missing no more
        let later = binding(&[("@garden", "inner")]);
        let mut listed = page("", &["@garden/ui", "@house/key", "bulb"], true);
        listed.ownership = Arc::new(later);
        test.write(|c| begin(c, "default", "http://feed.test/_all_docs", 2));
        assert_eq!(took(test, &listed), Compared::Written { missing: 2, absent: 2 });
        assert_eq!(test.write(|c| missing_names::queue(c, "default", 10, &rules)), 1);
        let queued: Vec<_> = waiting(test).into_iter().map(|(name, _)| name).collect();
        assert_eq!(queued, ["@house/door", "bulb", "lamp"]);
    });
}
