//! Places in feeds, on both databases: one mover, nothing lost, nothing doubled.

use std::sync::Arc;

use npm::Change;

use super::*;
use crate::ownership::Ownership;
use crate::tasks::{self, TaskFilter, TaskRow};
use crate::testing::{TestStore, bare_change, binding, on_each_database, package};
use crate::{Keeping, TaskState};

const LEASE: i64 = 60_000;
/// A lease that has run out when it is given.
const EXPIRED: i64 = -60_000;

fn mover(holder: &str, row: &FeedRow) -> Mover {
    Mover {
        registry: row.registry.clone(),
        holder: holder.into(),
        lease_ms: LEASE,
        epoch: row.epoch,
        seq: row.seq,
    }
}

fn leased(test: &TestStore, holder: &str) -> Option<FeedRow> {
    test.write(|c| lease(c, "default", holder, LEASE, false))
}

fn begin(test: &TestStore, holder: &str, seq: i64) -> FeedRow {
    let row = leased(test, holder).unwrap();
    let new = NewEpoch {
        url: "http://feed.test/_changes".into(),
        seq,
        head: Some(seq),
        recheck: false,
        alarm: None,
    };
    assert!(test.write(|c| start_epoch(c, &mover(holder, &row), &new)));
    stored(test)
}

fn stored(test: &TestStore) -> FeedRow {
    test.read(|c| find(c, "default")).unwrap()
}

fn change(seq: i64, name: &str) -> Change {
    let seq = Some(npm::Seq::new(seq));
    Change { seq, name: package(name), deleted: false, generation: Some(3) }
}

fn page(mover: Mover, changes: &[Change], next: i64, takes: Takes) -> FeedPage {
    let changes = changes.to_vec();
    let (ownership, seen) = (Arc::default(), Seen::default());
    FeedPage { mover, changes, next, takes, ownership, seen, jumped: None }
}

fn waiting(test: &TestStore) -> Vec<TaskRow> {
    let state = Some(TaskState::Waiting);
    let filter = TaskFilter { state, limit: 1_000, ..TaskFilter::default() };
    let mut rows = test.read(|c| tasks::list(c, &filter));
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn names(rows: &[TaskRow]) -> Vec<&str> {
    rows.iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn tasks_and_place_are_written_together_or_not_at_all() {
    on_each_database(|test| {
        let row = begin(test, "a", 100);
        assert_eq!((row.epoch, row.seq), (1, Some(100)));
        let rows = [change(101, "lamp"), change(103, "bulb")];
        let first = page(mover("a", &row), &rows, 103, Takes::All);
        assert_eq!(test.write(|c| take_page(c, &first)), Taken::Written { tasks: 2 });
        assert_eq!(stored(test).seq, Some(103));
        let tasks = waiting(test);
        assert_eq!(names(&tasks), ["bulb", "lamp"]);
        let target = tasks[1].options.target.unwrap();
        assert_eq!((target.epoch, target.seq, target.generation), (1, 101, Some(3)));
        assert_eq!(tasks[1].options.keep, Keeping::Mirrored);
        // The same page again, as after a lost answer: nothing is done twice.
        assert_eq!(test.write(|c| take_page(c, &first)), Taken::Moved);
        assert_eq!(waiting(test).len(), 2);
        // A page that cannot be written moves nothing.
        let row = stored(test);
        let mut broken = page(mover("a", &row), &[change(104, "fuse")], 104, Takes::All);
        broken.seen.alarm = Some("no \0 in a text".into());
        let failed = test.writer().write_blocking(|c| take_page(c, &broken));
        assert!(failed.is_err());
        assert_eq!((stored(test).seq, waiting(test).len()), (Some(103), 2));
    });
}

#[test]
fn of_two_followers_one_moves_the_place() {
    on_each_database(|test| {
        let row = begin(test, "a", 100);
        assert_eq!(leased(test, "b"), None, "a holds it");
        let theirs = page(mover("b", &row), &[change(101, "lamp")], 101, Takes::All);
        assert_eq!(test.write(|c| take_page(c, &theirs)), Taken::Moved);
        // a's lease runs out (a long pause); b goes on from a's place.
        test.write(|c| lease(c, "default", "a", EXPIRED, false)).unwrap();
        let taken = leased(test, "b").unwrap();
        assert_eq!(taken.seq, Some(100));
        assert_eq!(test.write(|c| take_page(c, &theirs)), Taken::Written { tasks: 1 });
        // a wakes up with the page it had read before.
        let late = page(mover("a", &row), &[change(101, "lamp")], 101, Takes::All);
        assert_eq!(test.write(|c| take_page(c, &late)), Taken::Moved);
        assert!(!test.write(|c| note(c, &mover("a", &row), &Seen::default())));
        assert_eq!(waiting(test).len(), 1);
        test.write(|c| release(c, "default", "b"));
        assert!(leased(test, "a").is_some(), "given back");
        // Where one process alone works on the store, the holder before it is dead.
        assert!(test.write(|c| lease(c, "default", "c", LEASE, true)).is_some());
    });
}

#[test]
fn the_mode_says_which_names_become_tasks() {
    on_each_database(|test| {
        for (name, registry) in [("here", "default"), ("gone", "default"), ("other", "inner")] {
            let registry = registry.into();
            test.commit(crate::PackageChange { registry, ..bare_change(name, None) }).unwrap();
        }
        let gone = |name, seq| Change { deleted: true, ..change(seq, name) };
        let rows = [
            change(1, "here"),
            gone("gone", 2),
            change(3, "other"),
            change(4, "new"),
            gone("no", 5),
        ];
        let row = begin(test, "a", 0);
        let held = page(mover("a", &row), &rows, 5, Takes::Held);
        assert_eq!(test.write(|c| take_page(c, &held)), Taken::Written { tasks: 2 });
        let tasks = waiting(test);
        assert_eq!(names(&tasks), ["gone", "here"]);
        assert!(tasks[0].options.target.unwrap().deleted);
        assert_eq!(tasks[1].options.keep, Keeping::Cached, "a row of the feed raises nothing");
        let row = stored(test);
        let again: Vec<_> = rows.iter().map(|row| Change { seq: None, ..row.clone() }).collect();
        let all = page(mover("a", &row), &again, 10, Takes::All);
        assert_eq!(test.write(|c| take_page(c, &all)), Taken::Written { tasks: 3 });
        assert_eq!(names(&waiting(test)), ["gone", "here", "new"], "merged, and no tombstones");
    });
}

#[test]
fn a_jump_starts_an_epoch_and_asks_for_everything_that_is_here() {
    on_each_database(|test| {
        for number in 0..5 {
            test.commit(bare_change(&format!("p{number}"), None)).unwrap();
        }
        let row = begin(test, "a", 100);
        let mut jump = page(mover("a", &row), &[change(90_000_000, "p1")], 90_000_000, Takes::Held);
        jump.jumped = Some("from 100 to 90000000".into());
        assert_eq!(test.write(|c| take_page(c, &jump)), Taken::Written { tasks: 1 });
        let row = stored(test);
        assert_eq!((row.epoch, row.recheck_after.as_deref()), (2, Some("")));
        assert_eq!(waiting(test)[0].options.target.unwrap().epoch, 2);
        assert_eq!(test.read(|c| alarms::newest(c, 9))[0].message, "from 100 to 90000000");
        let mut steps = Vec::new();
        while stored(test).recheck_after.is_some() {
            steps.push(test.write(|c| recheck(c, &mover("a", &row), 2, &Ownership::default())));
        }
        assert_eq!(steps[..2], [Taken::Written { tasks: 2 }; 2]);
        assert_eq!(names(&waiting(test)), ["p0", "p1", "p2", "p3", "p4"]);
        let priority = |name: &str| {
            waiting(test).into_iter().find(|row| row.name.as_str() == name).unwrap().priority
        };
        assert_eq!(priority("p1"), tasks::PRIORITY_FEED, "what the feed names goes first");
        assert_eq!(priority("p0"), tasks::PRIORITY_SWEEP);
        let old = Mover { epoch: 1, ..mover("a", &row) };
        assert_eq!(test.write(|c| recheck(c, &old, 2, &Ownership::default())), Taken::Moved);
    });
}

#[test]
fn an_alarm_is_written_down_when_it_is_new() {
    on_each_database(|test| {
        let row = begin(test, "a", 7);
        let says = |text: Option<&str>, caught_up| Seen {
            head: Some(9),
            caught_up,
            alarm: text.map(str::to_owned),
        };
        let before = row.caught_up_at_ms;
        for (text, alarms) in [(Some("silent"), 1), (Some("silent"), 1), (None, 1), (Some("x"), 2)]
        {
            assert!(test.write(|c| note(c, &mover("a", &row), &says(text, false))));
            assert_eq!(test.read(alarms::count), alarms, "{text:?}");
            assert_eq!(stored(test).alarm.as_deref(), text);
        }
        assert_eq!(stored(test).caught_up_at_ms, before);
        assert!(test.write(|c| note(c, &mover("a", &row), &says(None, true))));
        assert_eq!((stored(test).head, stored(test).seq), (Some(9), Some(7)));
        assert!(stored(test).caught_up_at_ms >= before);
    });
}

#[test]
fn a_target_is_the_newest_row_of_the_newest_epoch() {
    let at = |epoch, seq| {
        let (generation, deleted, read_at_ms) = (None, false, 0);
        tasks::FeedTarget { epoch, seq, generation, deleted, read_at_ms }
    };
    assert_eq!(at(1, 9).newer(at(1, 7)), at(1, 9));
    assert_eq!(at(1, 7).newer(at(1, 9)), at(1, 9));
    assert_eq!(at(1, 9).newer(at(2, 3)), at(2, 3));
    assert_eq!(at(2, 3).newer(at(1, 9)), at(2, 3));
}

#[test]
fn waiting_tasks_are_counted_no_further_than_asked() {
    on_each_database(|test| {
        let row = begin(test, "a", 0);
        let rows: Vec<_> = (1..=3).map(|n| change(n, &format!("p{n}"))).collect();
        test.write(|c| take_page(c, &page(mover("a", &row), &rows, 3, Takes::All)));
        let waits = |registry: &'static str, priority, count| {
            test.read(|c| tasks::has_waiting(c, registry, priority, count))
        };
        for (count, there) in [(1, true), (3, true), (4, false)] {
            assert_eq!(waits("default", tasks::PRIORITY_FEED, count), there, "{count}");
        }
        assert!(!waits("default", tasks::PRIORITY_PEOPLE, 1), "less urgent ones do not count");
        assert!(!waits("other", tasks::PRIORITY_SWEEP, 1));
    });
}

#[test]
fn a_feed_tells_of_the_names_its_registry_is_asked_for() {
    on_each_database(|test| {
        for name in ["@garden/old", "@house/door"] {
            test.commit(test.change(name, None, name)).unwrap();
        }
        let rules = Arc::new(binding(&[("@garden", "inner"), ("@house", "self")]));
        let names_of = |registry: &str, takes| {
            let row = test.write(|c| lease(c, registry, "a", LEASE, false)).unwrap();
            let new = NewEpoch {
                url: format!("http://{registry}.test/_changes"),
                seq: 0,
                head: None,
                recheck: false,
                alarm: None,
            };
            assert!(test.write(|c| start_epoch(c, &mover("a", &row), &new)));
            let row = test.read(|c| find(c, registry)).unwrap();
            let told = ["lamp", "@garden/new", "@garden/old", "@house/door", "@house/key"];
            let rows: Vec<_> = (1..).zip(told).map(|(seq, name)| change(seq, name)).collect();
            let mut page = page(mover("a", &row), &rows, 5, takes);
            page.ownership = Arc::clone(&rules);
            test.write(|c| take_page(c, &page));
            assert_eq!(test.read(|c| find(c, registry)).unwrap().seq, Some(5));
            let rows = waiting(test);
            let ours = rows.iter().filter(|row| row.registry == registry);
            ours.map(|row| row.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names_of("inner", Takes::Held), Vec::<String>::new());
        assert_eq!(names_of("inner", Takes::All), ["@garden/new"]);
        assert_eq!(names_of("default", Takes::Held), ["@garden/old"]);
        assert_eq!(names_of("default", Takes::All), ["@garden/old", "lamp"]);
        // the numbers changed: what became private is not asked for again either
        let row = test.read(|c| find(c, "default")).unwrap();
        let new = NewEpoch { url: row.url.clone(), seq: 0, head: None, recheck: true, alarm: None };
        assert!(test.write(|c| start_epoch(c, &mover("a", &row), &new)));
        let row = test.read(|c| find(c, "default")).unwrap();
        let again = test.write(|c| recheck(c, &mover("a", &row), 10, &rules));
        assert_eq!(again, Taken::Written { tasks: 1 });
    });
}
