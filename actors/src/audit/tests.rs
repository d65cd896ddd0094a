//! What is to be done about the upstream's list of names, by what is stored.

use std::time::Duration;

use store::feeds::FeedRow;
use store::reconciliations::ReconciliationRow;

use super::names::{Next, next};

const LIST: &str = "http://feed.test/registry/_all_docs";
const HOUR: Duration = Duration::from_secs(3600);

fn feed(epoch: i64) -> FeedRow {
    FeedRow {
        registry: "default".into(),
        url: "http://feed.test/registry/_changes".into(),
        epoch,
        seq: Some(7),
        head: None,
        row_at_ms: 0,
        caught_up_at_ms: 0,
        recheck_after: None,
        alarm: None,
        paused_by: None,
        paused_at_ms: None,
        held_by: None,
    }
}

fn row(epoch: i64, after: Option<&str>, ended_at_ms: Option<i64>) -> ReconciliationRow {
    ReconciliationRow {
        registry: "default".into(),
        url: LIST.into(),
        epoch,
        after_name: after.map(str::to_owned),
        began_at_ms: 0,
        ended_at_ms,
        names: 0,
        missing: 0,
        absent: 0,
    }
}

#[test]
fn the_stored_place_decides_what_comes_next() {
    let now = 10 * 3_600_000;
    let decide = |feed: Option<FeedRow>, row: Option<ReconciliationRow>| {
        next(feed.as_ref(), row.as_ref(), HOUR, now)
    };
    let begin = |epoch| Next::Begin { list: LIST.into(), epoch };
    // without a feed that was found there is no list to look for
    assert_eq!(decide(None, None), Next::Nothing);
    assert_eq!(decide(Some(FeedRow { seq: None, ..feed(1) }), None), Next::Nothing);
    assert_eq!(decide(Some(feed(1)), None), begin(1));
    let page = Next::Page { list: LIST.into(), after: "lamp".into() };
    assert_eq!(decide(Some(feed(1)), Some(row(1, Some("lamp"), None))), page);
    // another numbering, or another feed: what was compared says nothing any more
    assert_eq!(decide(Some(feed(2)), Some(row(1, Some("lamp"), None))), begin(2));
    assert_eq!(decide(Some(feed(2)), Some(row(1, None, Some(now)))), begin(2));
    let moved = ReconciliationRow { url: "http://old.test/_all_docs".into(), ..row(1, None, None) };
    assert_eq!(decide(Some(feed(1)), Some(moved)), begin(1));
    // in its time
    let ended = now - 3_600_000;
    assert_eq!(decide(Some(feed(1)), Some(row(1, None, Some(ended + 1)))), Next::Nothing);
    assert_eq!(decide(Some(feed(1)), Some(row(1, None, Some(ended)))), begin(1));
}
