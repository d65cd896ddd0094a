//! Hooks, their outbox and their leases on both databases.

use npm::{HookEvent, HookKind};

use super::history::{self, HookTotals};
use super::lease::{self, Attempt, Fate, Rest, Settled, Tried};
use super::outbox::DeliveryId;
use super::*;
use crate::plans::{plan, statements_of};
use crate::testing::{TestStore, bare_change, on_each_database};
use crate::{CommitBatch, PackageChange};

const LONG_MS: i64 = 60_000;

fn by() -> By {
    By::terminal("ada")
}

fn new(owner: &str, kind: HookKind, name: &str) -> NewHook {
    NewHook {
        owner: owner.to_owned(),
        kind,
        name: name.to_owned(),
        endpoint: "https://hooks.test/in?key=hidden".to_owned(),
        secret: HookSecret("s3cr3t".to_owned()),
    }
}

fn make(test: &TestStore, owner: &str, kind: HookKind, name: &str) -> HookRow {
    let wish = new(owner, kind, name);
    let made = test.write(|rows| create(rows, &wish, 20, &by()));
    test.read(|rows| test.store.hooks().read_again(rows));
    match made {
        Made::Hook(hook) => *hook,
        refused => panic!("{refused:?}"),
    }
}

fn happens(name: &str, base_revision: Option<i64>, events: &[HookEvent]) -> PackageChange {
    PackageChange { events: events.to_vec(), ..bare_change(name, base_revision) }
}

fn waiting(test: &TestStore, hook: &HookRow) -> Vec<(String, String)> {
    let rows = test.read(|rows| lease::waiting(rows, &hook.id, 0, 100));
    rows.into_iter().map(|row| (row.package, row.change)).collect()
}

fn tried(seq: i64, number: i64, code: i64, fate: Fate) -> Tried {
    let attempt = Attempt {
        at_ms: 5_000,
        duration_ms: 12,
        endpoint: "https://hooks.test/in".to_owned(),
        request_bytes: 300,
        code: Some(code),
        answer: Some("hello".to_owned()),
        error: (code != 200).then(|| format!("answered {code}")),
    };
    Tried { seq, number, attempt: Some(attempt), fate }
}

fn settle(
    test: &TestStore,
    hook: &HookRow,
    tried: &[Tried],
    health: HookHealth,
    rest: Option<Rest>,
) -> bool {
    let settled = Settled { hook, worker: "w1", tried, health, pause: None, rest };
    test.write(|rows| lease::settle(rows, &settled))
}

fn claim(test: &TestStore, worker: &str, lease_ms: i64) -> Vec<String> {
    let claimed = test.write(|rows| lease::claim(rows, worker, 10, lease_ms));
    claimed.into_iter().map(|hook| hook.id).collect()
}

#[test]
fn a_user_has_hooks_up_to_a_limit_and_one_for_each_target() {
    on_each_database(|test| {
        let first = make(test, "ada", HookKind::Package, "lamp");
        let scope = make(test, "ada", HookKind::Scope, "@garden");
        let again = new("ada", HookKind::Package, "lamp");
        assert_eq!(test.write(|rows| create(rows, &again, 20, &by())), Made::Exists);
        let third = new("ada", HookKind::Owner, "ada");
        assert_eq!(test.write(|rows| create(rows, &third, 2, &by())), Made::TooMany);
        make(test, "bob", HookKind::Package, "lamp");
        let of = |name: Option<&str>, offset| {
            let found = test.read(|rows| of_owner(rows, "ada", name, offset, 100));
            found.into_iter().map(|hook| hook.id).collect::<Vec<_>>()
        };
        assert_eq!(of(None, 0), [first.id.clone(), scope.id.clone()]);
        assert_eq!(of(None, 1), [scope.id]);
        assert_eq!(of(Some("lamp"), 0), [&*first.id]);
        assert!(!format!("{first:?}").contains("s3cr3t"));
        let secret = HookSecret("other".to_owned());
        let endpoint = "https://hooks.test/2";
        test.write(|rows| pause(rows, &first.id, "failing for a day", &by()));
        let changed = test.write(|rows| change(rows, &first.id, endpoint, Some(&secret), &by()));
        let changed = changed.unwrap();
        assert_eq!((changed.endpoint.as_str(), &changed.secret), (endpoint, &secret));
        assert_eq!(changed.paused, None);
        assert!(changed.updated_at_ms > first.updated_at_ms);
        let gone = test.write(|rows| remove(rows, &first.id, &by())).unwrap();
        assert_eq!(gone.id, first.id);
        assert_eq!(test.read(|rows| find(rows, &first.id)), None);
        let filter = audit::AuditFilter { limit: 10, ..audit::AuditFilter::default() };
        let log = test.read(|rows| audit::list(rows, &filter));
        assert_eq!(
            (log[0].action.as_str(), log[0].subject.as_str()),
            ("hook.remove", "package lamp of ada")
        );
        assert!(!format!("{log:?}").contains("hidden"), "{log:?}");
    });
}

#[test]
fn a_commit_queues_its_events_for_the_hooks_that_want_them() {
    on_each_database(|test| {
        let lamp = make(test, "ada", HookKind::Package, "lamp");
        let garden = make(test, "ada", HookKind::Scope, "@garden");
        let owner = make(test, "bob", HookKind::Owner, "eve");
        let events = [HookEvent::publish("1.0.0", Some("latest")), HookEvent::dist_tag("latest")];
        let mut ui = happens("@garden/ui", None, &events[..1]);
        ui.owners = vec!["eve".to_owned(), "mallory".to_owned()];
        let mut batch = CommitBatch {
            writes: Vec::new(),
            changes: vec![happens("lamp", None, &events), ui, happens("other", None, &events)],
        };
        let outcome = test.writer().commit_blocking(&mut batch).unwrap();
        assert_eq!(outcome.deliveries, 4);
        let lines = [
            ("lamp".to_owned(), r#"{"dist-tag":"latest","version":"1.0.0"}"#.to_owned()),
            ("lamp".to_owned(), r#"{"dist-tag":"latest"}"#.to_owned()),
        ];
        assert_eq!(waiting(test, &lamp), lines);
        assert_eq!(waiting(test, &garden).len(), 1);
        assert_eq!(waiting(test, &owner)[0].0, "@garden/ui");
        // a change that is refused tells nobody
        assert!(test.commit(happens("lamp", Some(9), &events)).is_err());
        assert_eq!(waiting(test, &lamp).len(), 2);
    });
}

#[test]
fn a_change_from_before_a_hook_is_refused_so_that_it_is_worked_out_again() {
    on_each_database(|test| {
        let seen = test.store.hooks().current().generation();
        make(test, "ada", HookKind::Package, "lamp");
        let old = |name: &str| PackageChange { watched_at: Some(seen), ..bare_change(name, None) };
        assert!(matches!(test.commit(old("lamp")), Err(StoreError::Conflict { .. })));
        assert!(test.commit(old("other")).is_ok());
        let now = test.store.hooks().current().generation();
        assert!(test.commit(PackageChange { watched_at: Some(now), ..old("lamp") }).is_ok());
    });
}

#[test]
fn one_worker_has_a_hook_until_it_rests_and_is_woken_by_what_is_newer_or_due() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Package, "lamp");
        assert!(claim(test, "w1", LONG_MS).is_empty());
        let event = [HookEvent::dist_tag("latest")];
        let base = test.commit(happens("lamp", None, &event)).unwrap().revision;
        assert_eq!(claim(test, "w1", LONG_MS), [&*hook.id]);
        assert!(claim(test, "w2", LONG_MS).is_empty());
        let seq = test.read(|rows| lease::waiting(rows, &hook.id, 0, 9))[0].seq;
        let later = [tried(seq, 1, 500, Fate::Later(i64::MAX / 2))];
        let rest = Rest { swept_seq: seq, until_ms: i64::MAX / 2 };
        let health = HookHealth { failures: 1, failing_since_ms: Some(5), not_before_ms: 0 };
        assert!(settle(test, &hook, &later, health, Some(rest)));
        assert!(claim(test, "w2", LONG_MS).is_empty());
        let after = test.read(|rows| find(rows, &hook.id)).unwrap();
        assert_eq!((after.last_code, after.delivered, after.health), (Some(500), false, health));
        test.commit(happens("lamp", Some(base), &event)).unwrap();
        assert_eq!(claim(test, "w1", LONG_MS), [&*hook.id]);
        let newer = test.read(|rows| lease::waiting(rows, &hook.id, seq, 9))[0].seq;
        let rest = Rest { swept_seq: newer, until_ms: 0 };
        let done = [tried(newer, 1, 200, Fate::Delivered)];
        assert!(settle(test, &hook, &done, HookHealth::default(), Some(rest)));
        // what had to wait is due
        assert_eq!(claim(test, "w2", 0), [&*hook.id]);
        test.wait_ms(1);
        assert_eq!(claim(test, "w1", LONG_MS), [&*hook.id], "the lease ran out");
        assert!(settle(
            test,
            &hook,
            &[tried(seq, 2, 200, Fate::Delivered)],
            HookHealth::default(),
            Some(rest)
        ));
        assert!(claim(test, "w2", LONG_MS).is_empty(), "nothing waits");
        let totals = test.read(history::totals);
        assert_eq!(totals, HookTotals { hooks: 1, ..HookTotals::default() });
    });
}

#[test]
fn a_worker_lets_go_of_a_hook_that_was_changed_and_of_one_that_is_gone() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Package, "lamp");
        test.commit(happens("lamp", None, &[HookEvent::dist_tag("latest")])).unwrap();
        claim(test, "w1", LONG_MS);
        let health = HookHealth { failures: 9, failing_since_ms: Some(5), not_before_ms: i64::MAX };
        test.write(|rows| change(rows, &hook.id, "https://hooks.test/2", None, &by()));
        let seq = test.read(|rows| lease::waiting(rows, &hook.id, 0, 9))[0].seq;
        assert!(!settle(test, &hook, &[tried(seq, 1, 500, Fate::Later(0))], health, None));
        assert_eq!(claim(test, "w2", LONG_MS), [&*hook.id]);
        test.write(|rows| remove(rows, &hook.id, &by()));
        assert!(!settle(test, &hook, &[tried(seq, 2, 200, Fate::Delivered)], health, None));
        let mut rounds = 0;
        while test.write(|rows| tidy::delete_remains(rows, 10)) > 0 {
            rounds += 1;
        }
        assert_eq!(rounds, 2);
        assert!(waiting(test, &hook).is_empty());
    });
}

#[test]
fn the_history_shows_every_try_and_a_delivery_can_be_sent_again() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Package, "lamp");
        test.commit(happens("lamp", None, &[HookEvent::publish("1.0.0", None)])).unwrap();
        claim(test, "w1", LONG_MS);
        let seq = test.read(|rows| lease::waiting(rows, &hook.id, 0, 9))[0].seq;
        settle(test, &hook, &[tried(seq, 1, 503, Fate::Later(1))], HookHealth::default(), None);
        let rest = Rest { swept_seq: seq, until_ms: i64::MAX };
        let health = HookHealth { not_before_ms: i64::MAX, ..HookHealth::default() };
        settle(test, &hook, &[tried(seq, 2, 500, Fate::Parked)], health, Some(rest));
        let listed =
            test.read(|rows| history::list(rows, &hook.id, None, 10, |_| true)).rows.remove(0);
        assert_eq!((listed.state.as_str(), listed.attempts), ("parked", 2));
        assert_eq!(listed.last.as_ref().unwrap().code, Some(500));
        let before = test.read(|rows| history::list(rows, &hook.id, Some(seq), 10, |_| true));
        assert!(before.rows.is_empty() && before.next.is_none());
        let id = DeliveryId::parse(&listed.id.to_string()).unwrap();
        assert_eq!(id, listed.id);
        let (_, tries) = test.read(|rows| history::find(rows, id)).unwrap();
        assert_eq!(tries.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
        let wrong = DeliveryId { at_ms: id.at_ms + 1, ..id };
        assert!(test.read(|rows| history::find(rows, wrong)).is_none());
        assert!(!test.write(|rows| history::redeliver(rows, wrong)));
        assert!(test.write(|rows| history::redeliver(rows, id)));
        assert_eq!(claim(test, "w1", LONG_MS), [&*hook.id]);
        let again = test.read(|rows| lease::waiting(rows, &hook.id, 0, 9)).remove(0);
        assert_eq!((again.attempts, again.base_attempts), (2, 2));
    });
}

#[test]
fn ended_deliveries_are_deleted_by_age_and_by_number_and_waiting_ones_are_not() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Package, "lamp");
        let events: Vec<_> = (0..5).map(|n| HookEvent::dist_tag(&format!("t{n}"))).collect();
        test.commit(happens("lamp", None, &events)).unwrap();
        let rows = test.read(|rows| lease::waiting(rows, &hook.id, 0, 9));
        claim(test, "w1", LONG_MS);
        for row in rows.iter().take(3) {
            let done = [tried(row.seq, 1, 200, Fate::Delivered)];
            settle(test, &hook, &done, HookHealth::default(), None);
            test.wait_ms(1);
        }
        assert_eq!(test.read(|rows| tidy::ended_beyond(rows, 3)), None);
        let beyond = test.read(|rows| tidy::ended_beyond(rows, 1)).unwrap();
        assert_eq!(test.write(|rows| tidy::delete_ended_before(rows, beyond + 1, 10)), 2);
        assert_eq!(test.write(|rows| tidy::delete_ended_before(rows, i64::MAX, 10)), 1);
        assert_eq!(waiting(test, &hook).len(), 2);
    });
}

#[test]
fn pages_of_the_history_are_full_although_some_of_it_is_not_shown() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Scope, "@s");
        for name in ["@s/a", "@s/hidden", "@s/b", "@s/hidden2", "@s/c"] {
            test.commit(happens(name, None, &[HookEvent::dist_tag("latest")])).unwrap();
        }
        let page = |before: Option<i64>, limit| {
            let is_shown = |name: &str| !name.contains("hidden");
            let page = test.read(|rows| history::list(rows, &hook.id, before, limit, is_shown));
            let names = page.rows.into_iter().map(|row| row.package).collect::<Vec<_>>();
            (names, page.next.map(|next| next.seq))
        };
        let (names, next) = page(None, 2);
        assert_eq!(names, ["@s/c", "@s/b"]);
        assert_eq!(page(next, 2), (vec!["@s/a".to_owned()], None));
        let (names, next) = page(None, 1);
        assert_eq!((names, page(next, 1).0), (vec!["@s/c".to_owned()], vec!["@s/b".to_owned()]));
    });
}

/// So many deliveries, of one package that fails and of a hundred others.
const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100100) \
    INSERT INTO hook_deliveries (hook_id, package, event, change, at_ms, state, not_before_ms) \
    SELECT hooks.id, CASE WHEN i > 100 THEN '@many/bad' ELSE '@many/p' || i END, \
    'package:publish', '{}', 1, 'waiting', CASE WHEN i = 101 THEN 9000000000000000 ELSE 0 END \
    FROM n CROSS JOIN hooks";

#[test]
fn what_waits_behind_a_delivery_that_has_to_wait_is_not_even_looked_at() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Scope, "@many");
        test.write(|rows| Ok(diesel::sql_query(MANY).execute(rows)?));
        test.write(|rows| Ok(diesel::sql_query("ANALYZE").execute(rows)?));
        let last = test.read(|rows| lines::last_seq(rows, &hook.id));
        let page = test.read(|rows| lines::page(rows, &hook.id, "", 256));
        assert_eq!((page.held, page.due_ms, page.behind), (1, Some(9_000_000_000_000_000), None));
        assert_eq!(page.rows.len(), 100);
        assert!(page.rows.is_sorted_by_key(|row| row.seq) && last > 100_000);
        let plans = test.read(|rows| {
            let asked = statements_of(rows, |rows| lines::page(rows, &hook.id, "", 256))?;
            Ok(asked.iter().map(|asked| plan(rows, asked)).collect::<Vec<_>>())
        });
        let plans: Vec<_> = plans.iter().filter(|plan| plan.contains("hook_deliveries")).collect();
        assert!(!plans.is_empty());
        for plan in plans {
            assert!(plan.contains("hook_deliveries_lines"), "{plan}");
            assert!(!plan.contains("Seq Scan on hook_deliveries"), "{plan}");
            assert!(!plan.contains("SCAN d") && !plan.contains("SCAN e"), "{plan}");
        }
        // page by page, each package once
        let (mut seen, mut behind, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = test.read(|rows| lines::page(rows, &hook.id, &behind, 16));
            seen.extend(page.rows.into_iter().map(|row| row.package));
            pages += 1;
            let Some(next) = page.behind else { break };
            behind = next;
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), pages), (100, 7));
    });
}

#[test]
fn a_line_gives_as_much_as_the_others_leave_and_waits_as_a_whole_for_its_first() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Scope, "@s");
        let event = |n: usize| HookEvent::dist_tag(&format!("t{n}"));
        let events: Vec<_> = (0..6).map(event).collect();
        test.commit(happens("@s/a", None, &events)).unwrap();
        test.commit(happens("@s/b", None, &events)).unwrap();
        let page = |limit| test.read(|rows| lines::page(rows, &hook.id, "", limit));
        let packages =
            |limit| page(limit).rows.into_iter().map(|row| row.package).collect::<Vec<_>>();
        assert_eq!(packages(4), ["@s/a", "@s/a", "@s/b", "@s/b"]);
        assert_eq!(page(1).behind.as_deref(), Some("@s/a"));
        assert_eq!(page(100).rows.len(), 12);
        let first = page(4).rows[0].seq;
        claim(test, "w1", LONG_MS);
        let later = [tried(first, 1, 500, Fate::Later(i64::MAX / 2))];
        settle(test, &hook, &later, HookHealth::default(), None);
        assert_eq!(packages(4), ["@s/b"; 4]);
        assert_eq!((page(4).held, page(4).due_ms), (1, Some(i64::MAX / 2)));
    });
}

#[test]
fn what_waits_for_a_paused_hook_is_dropped_by_age_and_by_number_and_counted() {
    on_each_database(|test| {
        let hook = make(test, "ada", HookKind::Package, "lamp");
        let events: Vec<_> = (0..5).map(|n| HookEvent::dist_tag(&format!("t{n}"))).collect();
        test.commit(happens("lamp", None, &events)).unwrap();
        assert!(test.read(|rows| paused::look(rows, i64::MAX, 0)).is_empty(), "it is not paused");
        test.write(|rows| pause(rows, &hook.id, "moving", &by()));
        assert!(test.read(|rows| paused::look(rows, 0, 5)).is_empty());
        let excess = test.read(|rows| paused::look(rows, 0, 3)).remove(0);
        assert_eq!(test.write(|rows| paused::drop_some(rows, &excess, 1)), 1);
        assert_eq!(test.write(|rows| paused::drop_some(rows, &excess, 10)), 1);
        assert_eq!(test.write(|rows| paused::drop_some(rows, &excess, 10)), 0);
        assert_eq!(waiting(test, &hook).len(), 3);
        let list = test.read(|rows| history::list(rows, &hook.id, None, 9, |_| true)).rows;
        let oldest = list.last().unwrap();
        assert_eq!((oldest.state.as_str(), oldest.attempts), ("skipped", 0));
        assert_eq!(oldest.reason.as_deref(), Some(lease::Skip::Paused.as_str()));
        let all = test.read(|rows| paused::look(rows, i64::MAX, 9)).remove(0);
        assert_eq!(test.write(|rows| paused::drop_some(rows, &all, 1)), 1);
        test.write(|rows| change(rows, &hook.id, "https://hooks.test/2", None, &by()));
        assert_eq!(test.write(|rows| paused::drop_some(rows, &all, 9)), 0, "it goes on");
        assert_eq!(test.read(|rows| find(rows, &hook.id)).unwrap().dropped, 3);
        assert_eq!(test.read(history::totals).dropped, 3);
        assert_eq!(waiting(test, &hook).len(), 2);
    });
}

proptest::proptest! {
    #[test]
    fn ids_of_deliveries_are_read_back(seq in 0_i64..1 << 61, at_ms in 0_i64..1 << 47) {
        let id = DeliveryId { seq, at_ms };
        proptest::prop_assert_eq!(DeliveryId::parse(&id.to_string()), Some(id));
    }
}
