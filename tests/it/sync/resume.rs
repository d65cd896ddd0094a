//! T4: tarballs that break off on the way and are continued, and those that must not be.

use std::time::Duration;

use actors::upstream::MinimumPace;
use store::{TaskState, VersionState};

use super::reason;
use crate::harness::{Fault, Package, TestMirror};

const CUT: usize = 100_000;

fn package() -> Package {
    Package::new("long").version_with("1.0.0", |version| version.size(300_000))
}

fn path() -> String {
    package().tarball_path("1.0.0")
}

fn bytes() -> bytes::Bytes {
    package().get("1.0.0").tarball.clone()
}

async fn mirror() -> TestMirror {
    let mirror = TestMirror::with(&[package()]).await;
    mirror.upstream.tag(&path(), "\"one\"");
    mirror
}

/// An answer with these headers in place of the usual one.
fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Fault::Answer { status, headers: headers.collect(), body: body.into() }
}

/// Syncs the package; its bytes are here and right after so many requests.
async fn arrives(mirror: TestMirror, requests: usize) -> Vec<Option<String>> {
    let rows = mirror.sync(&["long"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
    let row = mirror.version("long", "1.0.0").await;
    assert_eq!(row.state, VersionState::Held, "{:?}", row.reason);
    assert_eq!(mirror.upstream.count(&path()), requests);
    let answer = mirror.get(&path()).send().await.expect(200);
    assert!(answer.body == bytes());
    let ranges = mirror.upstream.headers(&path(), "range");
    mirror.finish().await;
    ranges
}

/// Where a continued request began.
fn start(range: &Option<String>) -> usize {
    let range = range.as_deref().expect("a request for the rest");
    let start = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
    start.and_then(|start| start.parse().ok()).expect("bytes from a number on")
}

#[tokio::test]
async fn a_tarball_that_breaks_off_is_continued_where_it_broke() {
    let mirror = mirror().await;
    mirror.upstream.fault(&path(), Fault::Cut { after: CUT }, 1);
    let ranges = arrives(mirror, 2).await;
    assert_eq!(ranges[0], None);
    assert!((1..=CUT).contains(&start(&ranges[1])), "{ranges:?}");
}

#[tokio::test]
async fn a_tarball_that_breaks_off_again_and_again_gets_on() {
    let mirror = mirror().await;
    for after in [50_000, 70_000, 90_000] {
        mirror.upstream.fault(&path(), Fault::Cut { after }, 1);
    }
    let ranges = arrives(mirror, 4).await;
    let starts: Vec<_> = ranges[1..].iter().map(start).collect();
    assert!(starts.is_sorted_by(|one, next| one < next), "{starts:?}");
}

#[tokio::test]
async fn a_tarball_that_stalls_is_continued() {
    let mirror = TestMirror::builder()
        .packages(&[package()])
        .asks(|settings| settings.stall_timeout = Duration::from_secs(2))
        .start()
        .await;
    mirror.upstream.tag(&path(), "\"one\"");
    mirror.upstream.fault(&path(), Fault::Stall { after: CUT }, 1);
    let ranges = arrives(mirror, 2).await;
    assert_eq!(start(&ranges[1]), CUT);
}

#[tokio::test]
async fn a_tarball_that_drips_counts_as_stalled() {
    // a megabyte in every 50 ms is more than one KiB at a time can be
    let mirror = TestMirror::builder()
        .packages(&[package()])
        .asks(|settings| {
            settings.slowest = MinimumPace { bytes: 1 << 20, within: Duration::from_millis(50) };
        })
        .start()
        .await;
    mirror.upstream.always(&path(), Fault::Drip { pause: Duration::from_millis(10) });
    mirror.sync(&["long"]).await;
    let why = reason(&mirror, "long", "1.0.0").await;
    assert!(why.contains("too slow"), "{why}");
    mirror.finish().await;
}

#[tokio::test]
async fn the_same_bytes_from_the_beginning_are_skipped_to_where_it_broke() {
    let mirror = mirror().await;
    mirror.upstream.fault(&path(), Fault::Cut { after: CUT }, 1);
    // a server that knows nothing of ranges
    mirror.upstream.fault(&path(), answer(200, &[("etag", "\"one\"")], bytes()), 1);
    arrives(mirror, 2).await;
}

#[tokio::test]
async fn a_wrong_part_is_not_taken_and_the_tarball_is_fetched_anew() {
    let (whole, half) = (bytes(), bytes().len() / 2);
    let total = whole.len();
    for range in [
        format!("bytes 0-{}/{total}", total - 1),
        format!("bytes {half}-{}/{total}", total - 1),
        format!("bytes {CUT}-{}/{}", total - 1, total + 1),
        String::from("bytes */5"),
    ] {
        let mirror = mirror().await;
        // nothing arrives before the answer is cut at CUT bytes and closed
        mirror.upstream.fault(&path(), Fault::Cut { after: CUT }, 1);
        let part = answer(206, &[("content-range", &range), ("etag", "\"one\"")], whole.clone());
        mirror.upstream.fault(&path(), part, 1);
        let ranges = arrives(mirror, 3).await;
        assert_eq!(ranges[2], None, "{range}: begun anew");
    }
}

#[tokio::test]
async fn a_tarball_that_changes_in_the_middle_is_never_put_together() {
    for status in [200, 206] {
        let mirror = mirror().await;
        mirror.upstream.fault(&path(), Fault::Cut { after: CUT }, 1);
        let total = bytes().len();
        let range = format!("bytes {CUT}-{}/{total}", total - 1);
        let skip = if status == 206 { CUT } else { 0 };
        let headers = [("etag", "\"two\""), ("content-range", range.as_str())];
        let other = vec![7_u8; total - skip];
        mirror.upstream.fault(&path(), answer(status, &headers, other), 1);
        let ranges = arrives(mirror, 3).await;
        assert_eq!(ranges[2], None, "{status}: begun anew");
    }
}

#[tokio::test]
async fn without_a_strong_validator_a_tarball_is_fetched_anew() {
    for etag in [None, Some("W/\"one\"")] {
        let mirror = TestMirror::with(&[package()]).await;
        if let Some(etag) = etag {
            mirror.upstream.tag(&path(), etag);
        }
        mirror.upstream.fault(&path(), Fault::Cut { after: CUT }, 1);
        assert_eq!(arrives(mirror, 2).await, [None, None]);
    }
}

#[tokio::test]
async fn an_error_between_two_parts_is_waited_for() {
    let mirror = mirror().await;
    mirror.upstream.fault(&path(), Fault::Cut { after: CUT }, 1);
    mirror.upstream.fail(&path(), 503, 2);
    let ranges = arrives(mirror, 4).await;
    assert!(ranges[1..].iter().all(|range| start(range) > 0));
}

#[tokio::test]
async fn a_tarball_that_never_ends_is_given_up_after_the_attempts_of_one_request() {
    let mirror = mirror().await;
    mirror.upstream.always(&path(), Fault::Cut { after: 1_000 });
    mirror.sync(&["long"]).await;
    let why = reason(&mirror, "long", "1.0.0").await;
    assert!(why.contains("cut short"), "{why}");
    assert_eq!(mirror.upstream.count(&path()), 4, "the first attempt and three more");
    mirror.finish().await;
}
