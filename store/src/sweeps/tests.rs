//! Rounds over what is here, on both databases.

use super::{Lane, SweepRow, SweepStep, due, find, is_due};
use crate::ownership::Ownership;
use crate::renderings::{self, Rendering, RenderingKey};
use crate::tasks;
use crate::testing::{TestStore, binding, on_each_database};
use crate::{AnyConnection, StoreError};

const HOUR_MS: i64 = 3_600_000;

/// A look where no scope is bound.
fn step(connection: &mut AnyConnection, step: &SweepStep) -> Result<usize, StoreError> {
    super::step(connection, step, &Ownership::default())
}

fn a_step(lane: Lane, period_ms: i64, limit: i64) -> SweepStep {
    SweepStep { registry: "default".into(), lane, period_ms, limit }
}

fn holding(test: &TestStore, count: usize) {
    for number in 0..count {
        test.commit(test.change(&format!("p{number}"), None, "same")).unwrap();
    }
}

/// Tasks by name, with whether they ask without validators.
fn asked(test: &TestStore) -> Vec<(String, bool)> {
    let filter = tasks::TaskFilter { limit: 1_000, ..tasks::TaskFilter::default() };
    let rows = test.read(|c| tasks::list(c, &filter));
    let mut rows: Vec<_> =
        rows.into_iter().map(|row| (row.name.as_str().to_owned(), row.options.force)).collect();
    rows.sort();
    rows
}

#[test]
fn a_round_is_spread_over_its_time() {
    let row = SweepRow { after_id: 0, began_at_ms: 1_000, total: 10, done: 0 };
    let at = |done, now| due(&SweepRow { done, ..row.clone() }, 100, now);
    assert_eq!(at(0, 0), 0, "a clock that went back");
    assert_eq!((at(0, 1_000), at(0, 1_009), at(0, 1_010)), (0, 0, 1));
    assert_eq!((at(1, 1_019), at(1, 1_050)), (0, 4));
    assert_eq!((at(9, 1_099), at(9, 1_100), at(10, 1_100), at(0, 9_999)), (0, 1, 0, 10));
    assert_eq!(due(&SweepRow { total: 0, ..row }, 0, 5_000), 0);
}

#[test]
fn what_is_late_is_caught_up_in_steps_and_a_round_follows_when_its_time_is_up() {
    on_each_database(|test| {
        let late = a_step(Lane::All, 1, 3);
        assert!(!test.read(|c| is_due(c, &late)), "nothing is here");
        holding(test, 5);
        assert!(test.read(|c| is_due(c, &late)));
        assert_eq!(test.write(|c| step(c, &a_step(Lane::All, HOUR_MS, 10))), 0, "in due time");
        assert!(!test.read(|c| is_due(c, &a_step(Lane::All, HOUR_MS, 10))));
        // a round whose time is over, as if the mirror had been off for the whole of it
        test.wait_ms(2);
        assert_eq!(test.write(|c| step(c, &late)), 3);
        assert_eq!(test.write(|c| step(c, &late)), 2);
        let all: Vec<_> = (0..5).map(|number| (format!("p{number}"), true)).collect();
        assert_eq!(asked(test), all);
        let row = test.read(|c| find(c, "default", Lane::All)).unwrap();
        assert_eq!((row.total, row.done), (5, 5));
        // nothing more in its time; when that is over the next one begins
        assert!(!test.read(|c| is_due(c, &a_step(Lane::All, HOUR_MS, 3))));
        assert_eq!(test.write(|c| step(c, &a_step(Lane::All, HOUR_MS, 3))), 0);
        assert!(test.read(|c| is_due(c, &late)));
        test.write(|c| step(c, &late));
        let row = test.read(|c| find(c, "default", Lane::All)).unwrap();
        assert!(row.done < 5, "{row:?}");
    });
}

#[test]
fn packages_that_are_read_have_a_round_of_their_own() {
    on_each_database(|test| {
        holding(test, 4);
        let row = test.read(|c| crate::packages::find(c, &crate::testing::package("p2")));
        let (digest, location) = test.put("ready-made");
        let key = RenderingKey {
            package_id: row.unwrap().id,
            revision: 1,
            form: "full",
            encoding: "gzip",
            base: "http://mirror.test/".into(),
            policy_epoch: 0,
        };
        let made = Rendering { digest, location, etag: "\"x\"".into(), bytes: 1 };
        test.write(|c| renderings::insert(c, &key, &made));
        let whole_round = |lane| {
            let one = a_step(lane, 1, 10);
            test.write(|c| step(c, &one)); // begins
            test.wait_ms(2);
            test.write(|c| step(c, &one))
        };
        assert_eq!(whole_round(Lane::Read), 1);
        assert_eq!(asked(test), [("p2".to_owned(), true)]);
        assert_eq!(test.read(|c| find(c, "default", Lane::Read)).unwrap().total, 1);
        assert_eq!(whole_round(Lane::Conditional), 4);
        assert_eq!(asked(test)[0], ("p0".to_owned(), false), "with validators");
        let other = SweepStep { registry: "other".into(), ..a_step(Lane::All, 1, 10) };
        assert!(!test.read(|c| is_due(c, &other)), "packages of another registry");
    });
}

#[test]
fn nobody_is_asked_again_for_what_became_private() {
    on_each_database(|test| {
        for name in ["lamp", "@house/door", "@house/key"] {
            test.commit(test.change(name, None, "same")).unwrap();
        }
        let private = binding(&[("@house", "self")]);
        let late = a_step(Lane::All, 1, 10);
        test.write(|c| step(c, &a_step(Lane::All, HOUR_MS, 10))); // begins
        test.wait_ms(2);
        assert_eq!(test.write(|c| super::step(c, &late, &private)), 1);
        assert_eq!(asked(test), [("lamp".to_owned(), true)]);
        let row = test.read(|c| find(c, "default", Lane::All)).unwrap();
        assert_eq!((row.total, row.done), (3, 3), "the round went over all of them");
    });
}
