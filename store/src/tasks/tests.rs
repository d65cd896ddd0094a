//! The queue on both databases.

use std::collections::HashSet;

use super::*;
use crate::testing::{TestStore, on_each_database, package};
use crate::{Keeping, TaskEnd, TaskFailure, TaskId, TaskState};

const MINUTE: i64 = 60_000;
/// A lease that has run out when it is given.
const EXPIRED: i64 = -MINUTE;

fn task(name: &str, priority: i32) -> NewTask {
    NewTask {
        id: TaskId::new(),
        name: package(name),
        registry: "default".into(),
        priority,
        options: TaskOptions::default(),
        author: Some("someone".into()),
        author_ip: Some("192.0.2.1".into()),
    }
}

fn enqueue_one(test: &TestStore, task: NewTask) -> TaskRow {
    test.write(|c| enqueue(c, vec![task])).remove(0)
}

fn claim_names(test: &TestStore, worker: &str, limit: i64, lease_ms: i64) -> Vec<String> {
    let claimed = test.write(|c| claim(c, "default", worker, limit, lease_ms));
    claimed.iter().map(|row| row.name.as_str().to_owned()).collect()
}

fn find_one(test: &TestStore, id: TaskId) -> TaskRow {
    test.read(|c| find(c, id)).unwrap()
}

#[test]
fn a_request_merges_into_the_waiting_task() {
    on_each_database(|test| {
        let mut first = task("p", 10);
        first.options.skip_dependencies = true;
        first.options.tips = Some("first".into());
        first.options.specific_versions = Some(vec!["1.0.0".into()]);
        first.options.keep = Keeping::Cached;
        let first = enqueue_one(test, first);
        let mut second = task("p", 20);
        second.options.skip_dependencies = true;
        second.options.force = true;
        second.options.tips = Some("second".into());
        second.options.specific_versions = Some(vec!["1.0.0".into(), "2.0.0".into()]);
        second.options.keep = Keeping::Mirrored;
        let row = enqueue_one(test, second);
        assert_eq!(row.id, first.id);
        assert_eq!(row.priority, 10);
        assert!(row.options.skip_dependencies && row.options.force);
        assert_eq!(row.options.tips.as_deref(), Some("first\nsecond"));
        let versions = Some(vec!["1.0.0".to_owned(), "2.0.0".to_owned()]);
        assert_eq!(row.options.specific_versions, versions);
        assert_eq!(row.options.keep, Keeping::Mirrored);
        let row = enqueue_one(test, task("p", 0));
        assert_eq!((row.id, row.priority), (first.id, 0));
        assert!(!row.options.skip_dependencies);
        assert_eq!(row.options.specific_versions, None, "all versions include some");
        assert_eq!(find_one(test, first.id), row, "the answer is what is stored");
        let mut narrow = task("p", 0);
        narrow.options.specific_versions = Some(vec!["1.0.0".into()]);
        assert_eq!(enqueue_one(test, narrow).options.specific_versions, None);
        assert_eq!(test.read(counts).waiting, 1);
    });
}

#[test]
fn a_refresh_and_a_wish_for_some_versions_are_one_task_that_does_both() {
    on_each_database(|test| {
        let refresh = |name: &str| {
            let mut refresh = task(name, 10);
            refresh.author = None;
            refresh.author_ip = None;
            refresh.options.keep = Keeping::Cached;
            refresh
        };
        let some = |name: &str, versions: &[&str]| {
            let mut some = task(name, 0);
            let versions = versions.iter().map(|version| (*version).to_owned());
            some.options.specific_versions = Some(versions.collect());
            some
        };
        for swapped in [false, true] {
            let name = if swapped { "p" } else { "q" };
            let (first, second) = (refresh(name), some(name, &["1.0.0"]));
            let (first, second) = if swapped { (second, first) } else { (first, second) };
            enqueue_one(test, first);
            let row = enqueue_one(test, second);
            assert_eq!(row.options.specific_versions, Some(vec!["1.0.0".to_owned()]));
            assert!(row.options.refresh);
            assert_eq!((row.priority, row.author.as_deref()), (0, Some("someone")));
            let row = enqueue_one(test, some(name, &["2.0.0", "1.0.0"]));
            let both = Some(vec!["1.0.0".to_owned(), "2.0.0".to_owned()]);
            assert_eq!((row.options.specific_versions.clone(), row.options.refresh), (both, true));
            assert_eq!(find_one(test, row.id), row);
            let row = enqueue_one(test, task(name, 10));
            assert_eq!((row.options.specific_versions, row.options.refresh), (None, false));
            assert_eq!(row.options.keep, Keeping::Mirrored);
        }
        let row = enqueue_one(test, refresh("r"));
        assert_eq!((row.options.specific_versions, row.options.refresh), (None, false));
        assert_eq!(enqueue_one(test, refresh("r")).options.keep, Keeping::Cached);
    });
}

#[test]
fn remarks_of_a_task_stay_bounded() {
    on_each_database(|test| {
        let mut row = enqueue_one(test, task("p", 0));
        for number in 0..50 {
            let mut next = task("p", 0);
            next.options.tips = Some(format!("{number} {}", "x".repeat(1000)));
            row = enqueue_one(test, next);
        }
        let tips = row.options.tips.unwrap();
        assert!(tips.starts_with("0 xxx") && tips.contains("\n2 xxx"), "{tips}");
        assert!(tips.len() <= 5000, "{}", tips.len());
    });
}

#[test]
fn named_tasks_are_claimed_at_once_and_once() {
    on_each_database(|test| {
        let later = enqueue_one(test, task("later", 10)).id;
        claim_names(test, "one", 1, MINUTE);
        test.write(|c| retry_later(c, later, i64::MAX, "503"));
        let busy = enqueue_one(test, task("busy", 10)).id;
        assert_eq!(claim_names(test, "one", 1, MINUTE), ["busy"]);
        let twin = enqueue_one(test, task("busy", PRIORITY_FORCED)).id;
        enqueue_one(test, task("other", 10));
        let these = [later, busy, twin, TaskId::new()];
        let claimed = test.write(|c| claim_these(c, &these, "two", MINUTE));
        assert_eq!(claimed.iter().map(|row| row.id).collect::<Vec<_>>(), [later]);
        assert_eq!((claimed[0].state, claimed[0].attempts), (TaskState::Processing, 2));
        assert!(test.write(|c| claim_these(c, &these, "two", MINUTE)).is_empty());
        assert_eq!(test.write(|c| renew(c, "two", &[later, busy], MINUTE)), [later]);
        assert_eq!(claim_names(test, "one", 9, MINUTE), ["other"], "the twin waits for its end");
    });
}

#[test]
fn requests_of_one_call_merge_and_are_answered_in_their_order() {
    on_each_database(|test| {
        let known = enqueue_one(test, task("known", 20));
        let tasks = vec![task("b", 20), task("known", 0), task("a", 10), task("b", 0)];
        let (b, a) = (tasks[0].id, tasks[2].id);
        let rows = test.write(|c| enqueue(c, tasks));
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, [b, known.id, a, b]);
        assert_eq!(rows[0].priority, 0);
        assert_eq!(test.read(counts).waiting, 3);
    });
}

#[test]
fn a_request_during_processing_makes_a_new_task_that_waits_for_its_end() {
    on_each_database(|test| {
        let first = enqueue_one(test, task("p", 0));
        assert_eq!(claim_names(test, "one", 10, MINUTE), ["p"]);
        let second = enqueue_one(test, task("p", 0));
        assert_ne!(second.id, first.id);
        assert_eq!(enqueue_one(test, task("p", 0)).id, second.id);
        assert!(claim_names(test, "two", 10, MINUTE).is_empty(), "one worker for a package");
        let end = TaskEnd {
            id: first.id,
            state: TaskState::Success,
            error: None,
            failure: None,
            log: String::new(),
        };
        test.write(|c| finish(c, &end));
        assert_eq!(claim_names(test, "two", 10, MINUTE), ["p"]);
        assert_eq!(find_one(test, second.id).state, TaskState::Processing);
    });
}

#[test]
fn the_most_urgent_and_oldest_goes_first_and_registries_are_apart() {
    on_each_database(|test| {
        for (name, priority) in [("sweep", 30), ("old", 10), ("new", 10), ("person", 0)] {
            enqueue_one(test, task(name, priority));
        }
        let mut other = task("other", 0);
        other.registry = "other".into();
        enqueue_one(test, other);
        let old = test
            .read(|c| list(c, &TaskFilter::default()))
            .into_iter()
            .find(|row| row.name == package("old"));
        assert_eq!(test.read(|c| place(c, old.unwrap().id)), Some(2));
        assert_eq!(claim_names(test, "w", 3, MINUTE), ["person", "old", "new"]);
        assert_eq!(claim_names(test, "w", 3, MINUTE), ["sweep"]);
        assert!(claim_names(test, "w", 3, MINUTE).is_empty());
        assert_eq!(test.write(|c| claim(c, "other", "w", 3, MINUTE)).len(), 1);
    });
}

#[test]
fn a_lease_that_ran_out_is_taken_over_unless_it_was_renewed() {
    on_each_database(|test| {
        let lost = enqueue_one(test, task("lost", 0)).id;
        let kept = enqueue_one(test, task("kept", 0)).id;
        assert_eq!(claim_names(test, "one", 2, EXPIRED), ["lost", "kept"]);
        assert_eq!(test.read(expired_leases).len(), 2);
        assert_eq!(test.write(|c| renew(c, "two", &[kept, lost], MINUTE)), []);
        assert_eq!(test.write(|c| renew(c, "one", &[kept, TaskId::new()], MINUTE)), [kept]);
        assert_eq!(claim_names(test, "two", 10, MINUTE), ["lost"]);
        assert_eq!(find_one(test, lost).attempts, 2);
        assert_eq!(find_one(test, kept).attempts, 1);
        assert_eq!(test.write(|c| renew(c, "one", &[lost], MINUTE)), [], "not ours any more");
        assert!(test.read(expired_leases).is_empty());
    });
}

#[test]
fn an_expired_task_and_its_waiting_twin_are_not_worked_on_together() {
    on_each_database(|test| {
        let first = enqueue_one(test, task("p", 10)).id;
        claim_names(test, "one", 1, EXPIRED);
        enqueue_one(test, task("p", 0));
        let claimed = test.write(|c| claim(c, "default", "two", 10, MINUTE));
        assert_eq!(claimed.iter().map(|row| row.id).collect::<Vec<_>>(), [first]);
    });
}

#[test]
fn workers_never_claim_the_same_task() {
    on_each_database(|test| {
        let tasks: Vec<_> = (0..200).map(|number| task(&format!("p{number}"), 0)).collect();
        test.write(|c| enqueue(c, tasks));
        let claimed: Vec<TaskId> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|worker| {
                    scope.spawn(move || {
                        let (mut connection, mut ids) = (test.writer(), Vec::new());
                        loop {
                            let rows = connection
                                .write_blocking(|c| {
                                    claim(c, "default", &worker.to_string(), 7, MINUTE)
                                })
                                .unwrap();
                            if rows.is_empty() {
                                break ids;
                            }
                            ids.extend(rows.iter().map(|row| row.id));
                        }
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(claimed.len(), 200);
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 200);
    });
}

#[test]
fn a_task_given_back_waits_as_before() {
    on_each_database(|test| {
        let id = enqueue_one(test, task("p", 0)).id;
        claim_names(test, "one", 1, MINUTE);
        test.write(|c| give_back(c, &[id, TaskId::new()]));
        let row = find_one(test, id);
        assert_eq!((row.state, row.attempts), (TaskState::Waiting, 0));
        assert_eq!(claim_names(test, "two", 1, MINUTE), ["p"]);
    });
}

#[test]
fn a_retry_waits_for_its_time_unless_a_person_asks() {
    on_each_database(|test| {
        let id = enqueue_one(test, task("p", 10)).id;
        claim_names(test, "one", 1, MINUTE);
        test.write(|c| retry_later(c, id, i64::MAX, "503"));
        let row = find_one(test, id);
        assert_eq!((row.state, row.attempts), (TaskState::Waiting, 1));
        assert_eq!(row.error.as_deref(), Some("503"));
        assert!(claim_names(test, "one", 1, MINUTE).is_empty());
        assert_eq!(enqueue_one(test, task("p", 10)).not_before_ms, i64::MAX);
        assert_eq!(enqueue_one(test, task("p", 0)).id, id);
        assert_eq!(claim_names(test, "one", 1, MINUTE), ["p"]);
        assert_eq!(find_one(test, id).attempts, 2);
    });
}

#[test]
fn a_task_that_must_wait_again_hands_over_to_the_one_already_waiting() {
    on_each_database(|test| {
        let mut first = task("p", 0);
        first.options.force = true;
        let first = enqueue_one(test, first).id;
        claim_names(test, "one", 1, MINUTE);
        let second = enqueue_one(test, task("p", 30)).id;
        test.write(|c| retry_later(c, first, 0, "503"));
        let row = find_one(test, first);
        assert_eq!(row.state, TaskState::Error);
        let error = row.error.unwrap();
        assert!(error.starts_with("503; ") && error.contains(&second.to_string()), "{error}");
        let row = find_one(test, second);
        assert_eq!((row.state, row.priority, row.options.force), (TaskState::Waiting, 0, true));
        assert!(test.write(|c| retry(c, first)), "covered by the waiting one");
        assert_eq!(test.read(counts).waiting, 1);
    });
}

#[test]
fn cancel_and_retry() {
    on_each_database(|test| {
        let id = enqueue_one(test, task("p", 0)).id;
        assert!(!test.write(|c| retry(c, id)), "it waits already");
        assert!(test.write(|c| cancel(c, id)));
        assert!(!test.write(|c| cancel(c, id)));
        assert!(!test.write(|c| cancel(c, TaskId::new())));
        assert!(claim_names(test, "one", 1, MINUTE).is_empty());
        assert_eq!(find_one(test, id).error.as_deref(), Some("cancelled"));
        assert!(test.write(|c| retry(c, id)));
        assert_eq!(claim_names(test, "one", 1, MINUTE), ["p"]);
        assert!(test.write(|c| cancel(c, id)), "also while being processed");
        let end = TaskEnd {
            id,
            state: TaskState::Success,
            error: None,
            failure: None,
            log: String::new(),
        };
        test.write(|c| finish(c, &end));
        assert_eq!(find_one(test, id).state, TaskState::Error, "a late end changes nothing");
    });
}

#[test]
fn logs_come_back_in_order() {
    on_each_database(|test| {
        let id = enqueue_one(test, task("p", 0)).id;
        assert_eq!(test.read(|c| log(c, id)), None);
        claim_names(test, "one", 1, MINUTE);
        test.write(|c| append_log(c, id, "one\n"));
        test.write(|c| append_log(c, id, ""));
        test.write(|c| append_log(c, id, "two\n"));
        let end = TaskEnd {
            id,
            state: TaskState::Success,
            error: None,
            failure: None,
            log: "end\n".into(),
        };
        test.write(|c| finish(c, &end));
        assert_eq!(test.read(|c| log(c, id)).as_deref(), Some("one\ntwo\nend\n"));
        let pieces = test.read(|c| log_from(c, id, 0, 2));
        assert_eq!(pieces.iter().map(|piece| piece.body.as_str()).collect::<Vec<_>>().len(), 2);
        let rest = test.read(|c| log_from(c, id, pieces[1].id, 9));
        assert_eq!(rest[0], pieces[1], "the first one wanted is among them");
        let all: String =
            pieces.iter().chain(&rest[1..]).map(|piece| piece.body.as_str()).collect();
        assert_eq!(all, "one\ntwo\nend\n");
    });
}

#[test]
fn the_kind_of_a_failure_stays_until_the_task_waits_again() {
    on_each_database(|test| {
        let id = enqueue_one(test, task("p", 0)).id;
        for kind in [TaskFailure::NotFound, TaskFailure::Unreachable, TaskFailure::Other] {
            claim_names(test, "one", 1, MINUTE);
            let end = TaskEnd {
                id,
                state: TaskState::Error,
                error: Some("why".into()),
                failure: Some(kind),
                log: String::new(),
            };
            test.write(|c| finish(c, &end));
            assert_eq!(find_one(test, id).failure, Some(kind));
            assert!(test.write(|c| retry(c, id)));
            assert_eq!(find_one(test, id).failure, None);
        }
        assert!(test.write(|c| cancel(c, id)));
        assert_eq!(find_one(test, id).failure, Some(TaskFailure::Other));
    });
}

#[test]
fn lists_counts_and_cleaning_up() {
    on_each_database(|test| {
        let ids: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| enqueue_one(test, task(name, 0)).id)
            .into_iter()
            .collect();
        claim_names(test, "one", 3, MINUTE);
        for (id, state) in [(ids[0], TaskState::Success), (ids[1], TaskState::Error)] {
            let end = TaskEnd { id, state, error: None, failure: None, log: "log\n".into() };
            test.write(|c| finish(c, &end));
        }
        let counts = test.read(counts);
        assert_eq!((counts.waiting, counts.processing), (1, 1));
        assert_eq!((counts.success_last_hour, counts.error_last_hour), (1, 1));
        assert!(counts.oldest_waiting_ms.is_some());
        let ids_of = |filter| -> Vec<_> {
            test.read(|c| list(c, &filter)).iter().map(|row| row.id).collect()
        };
        assert_eq!(ids_of(TaskFilter::default()), [ids[3], ids[2], ids[1], ids[0]]);
        assert_eq!(
            ids_of(TaskFilter { before: Some(ids[2]), ..TaskFilter::default() }),
            [ids[1], ids[0]]
        );
        assert_eq!(ids_of(TaskFilter { limit: 1, ..TaskFilter::default() }), [ids[3]]);
        assert_eq!(
            ids_of(TaskFilter { name: Some(package("b")), ..TaskFilter::default() }),
            [ids[1]]
        );
        assert_eq!(
            ids_of(TaskFilter { state: Some(TaskState::Waiting), ..TaskFilter::default() }),
            [ids[3]]
        );
        let mut mine = task("m", 0);
        (mine.registry, mine.author) = ("other".into(), Some("me".into()));
        let mine = enqueue_one(test, mine).id;
        assert_eq!(
            ids_of(TaskFilter { registry: Some("other".into()), ..TaskFilter::default() }),
            [mine]
        );
        assert_eq!(
            ids_of(TaskFilter { author: Some("me".into()), ..TaskFilter::default() }),
            [mine]
        );
        let now = find_one(test, mine).created_at_ms;
        let since = |at_ms| TaskFilter { since_ms: Some(at_ms), ..TaskFilter::default() };
        assert_eq!(ids_of(since(0)).len(), 5);
        assert!(ids_of(since(now + 60_000)).is_empty());
        assert!(test.write(|c| cancel(c, mine)));
        test.write(|c| append_log(c, mine, "gone"));
        assert_eq!(test.read(|c| place(c, ids[3])), Some(1));
        assert_eq!(test.read(|c| place(c, ids[2])), None);
        assert_eq!(test.write(|c| delete_finished_before(c, 0, 9)), 0);
        let ended = |id| find_one(test, id).updated_at_ms;
        let mut times = [ended(ids[0]), ended(ids[1]), ended(mine)];
        times.sort_unstable();
        assert_eq!(test.read(|c| ended_beyond(c, 0)), Some(times[2]));
        assert_eq!(test.read(|c| ended_beyond(c, 2)), Some(times[0]));
        assert_eq!(test.read(|c| ended_beyond(c, 3)), None);
        assert_eq!(test.write(|c| delete_finished_before(c, i64::MAX, 2)), 2);
        assert_eq!(test.write(|c| delete_finished_before(c, i64::MAX, 2)), 1);
        assert_eq!(ids_of(TaskFilter::default()), [ids[3], ids[2]]);
        assert_eq!(test.read(|c| log(c, ids[0])), None);
    });
}

#[test]
fn thousands_are_queued_in_one_call() {
    on_each_database(|test| {
        let tasks = |from: usize| -> Vec<_> {
            (from..from + 10_000).map(|number| task(&format!("package-{number}"), 10)).collect()
        };
        assert_eq!(test.write(|c| enqueue(c, tasks(0))).len(), 10_000);
        let rows = test.write(|c| enqueue(c, tasks(5_000)));
        assert_eq!(rows.len(), 10_000);
        assert_eq!(rows[0].name, package("package-5000"));
        assert_eq!(test.read(counts).waiting, 15_000);
        assert_eq!(claim_names(test, "one", 3, MINUTE).len(), 3);
    });
}
