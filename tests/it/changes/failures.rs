//! C7, C12: feeds that are silent, refuse, throttle, break, or were never there.

use std::time::Duration;

use actors::changes_follower::FollowState;
use actors::upstream::FeedChoice;
use bytes::Bytes;

use super::{alarm_texts, caught_up, follower, follower_that, following, here, package};
use crate::harness::{CHANGES, FakeFeed, FakeUpstream, Fault, TestMirror, until};

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Fault::Answer { status, headers: headers.collect(), body: Bytes::from_static(body.as_bytes()) }
}

/// What an upstream may answer in place of a page, and what the follower is then.
fn faults() -> Vec<(&'static str, Fault, FollowState)> {
    let refused = FollowState::Refused;
    let retrying = FollowState::Retrying;
    let throttled = |after: &str| answer(429, &[("retry-after", after)], "<html>slow down</html>");
    vec![
        ("400", answer(400, &[], "{\"error\":\"unknown parameter\"}"), refused),
        ("401", answer(401, &[], "{}"), refused),
        ("403", answer(403, &[], "{}"), refused),
        ("404", answer(404, &[], "{}"), refused),
        ("410", answer(410, &[], "{}"), refused),
        ("451", answer(451, &[], "{}"), refused),
        ("a web page", Fault::html(), refused),
        ("JSON that is no page", Fault::body("application/json", "{\"ok\":true}"), refused),
        ("a redirect to itself", answer(302, &[("location", CHANGES)], ""), refused),
        ("429 at once", throttled("0"), retrying),
        ("429 in a second", throttled("1"), retrying),
        ("429 on a past date", throttled("Wed, 21 Oct 2015 07:28:00 GMT"), retrying),
        ("429 with garbage", throttled("soon"), retrying),
        ("429", answer(429, &[], ""), retrying),
        ("500", answer(500, &[], ""), retrying),
        ("502", answer(502, &[], "<html>"), retrying),
        ("503", answer(503, &[], ""), retrying),
        ("504", answer(504, &[], ""), retrying),
        ("a cut page", Fault::Cut { after: 9 }, retrying),
        ("no HTTP", Fault::Raw(Bytes::from_static(b"?")), retrying),
    ]
}

#[tokio::test]
async fn after_every_failure_the_feed_is_followed_again_from_where_it_was() {
    let (builder, feed) = following();
    let mirror = builder.start().await;
    for (number, (what, fault, state)) in faults().into_iter().enumerate() {
        let name = format!("p{number:02}");
        mirror.upstream.publish(&package(&name));
        let before = caught_up(&mirror, &feed).await;
        mirror.upstream.always(CHANGES, fault);
        feed.change(&name);
        let failed = follower_that(&mirror, what, |status| {
            status.state == state && status.problem.is_some()
        })
        .await;
        assert_eq!(failed.seq, before.seq, "{what}: the place stays");
        assert_eq!(failed.alarm.is_some(), state == FollowState::Refused, "{what}: {failed:?}");
        mirror.upstream.heal(CHANGES);
        let healed = caught_up(&mirror, &feed).await;
        assert_eq!((healed.problem, healed.alarm, healed.epoch), (None, None, 1), "{what}");
        assert!(here(&mirror).await.contains(&name), "{what}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    let (builder, feed) = following();
    let mirror = builder.start().await;
    caught_up(&mirror, &feed).await;
    for after in ["86400", &httpdate(Duration::from_secs(86_400))] {
        mirror.upstream.throttle(CHANGES, after, 1);
        follower_that(&mirror, "429", |status| status.state == FollowState::Retrying).await;
        let asked = mirror.upstream.count(CHANGES);
        // Many times the wait of an ordinary failure, which grows to 20 ms here.
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(mirror.upstream.count(CHANGES), asked, "asked before {after} s were over");
        // A person who changes the upstream does not wait.
        let settings = mirror.engine().upstream().expect("an upstream").settings().clone();
        mirror.engine().set_upstream(Some(settings)).expect("settings that were accepted before");
        caught_up(&mirror, &feed).await;
    }
    mirror.finish().await;
}

fn httpdate(from_now: Duration) -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now() + from_now)
}

#[tokio::test]
async fn a_silent_feed_is_an_alarm_and_its_next_row_ends_it() {
    let (builder, feed) = following();
    let mirror = builder
        .engine(|engine| engine.follow.alarm_after = Duration::from_millis(200))
        .packages(&["lamp", "bulb"].map(package))
        .start()
        .await;
    feed.change("lamp");
    let stalled = follower_that(&mirror, "an alarm", |status| {
        status.state == FollowState::Stalled && status.seq == Some(feed.last())
    })
    .await;
    assert!(stalled.alarm.is_some_and(|text| text.contains("nothing since")));
    assert_eq!(stalled.epoch, 1, "silence alone is no new epoch");
    let asked = feed.asked().len();
    until("many more looks", || async { (feed.asked().len() > asked + 40).then_some(()) }).await;
    let silent = alarm_texts(&mirror).await;
    let silent: Vec<_> = silent.iter().filter(|text| text.contains("nothing since")).collect();
    assert!(silent.len() <= 2, "one alarm for one silence: {silent:?}");
    feed.change("bulb");
    follower_that(&mirror, "the next row", |status| status.seq == Some(feed.last())).await;
    until("bulb", || async { (here(&mirror).await == ["bulb", "lamp"]).then_some(()) }).await;
    mirror.finish().await;
}

#[tokio::test]
async fn an_upstream_without_a_feed_is_left_alone() {
    let mirror = TestMirror::builder()
        .asks(|asks| asks.feed = FeedChoice::Auto)
        .engine(|engine| engine.follow.takes = Some(store::feeds::Takes::Held))
        .start()
        .await;
    let status =
        follower_that(&mirror, "nothing to follow", |status| status.state == FollowState::Off)
            .await;
    assert_eq!((status.seq, status.alarm, status.problem), (None, None, None));
    assert!(alarm_texts(&mirror).await.is_empty());
    mirror.finish().await;
}

#[tokio::test]
async fn a_feed_that_comes_later_is_found() {
    let (builder, feed) = following();
    let mirror = builder.packages(&[package("lamp")]).start().await;
    caught_up(&mirror, &feed).await;
    mirror.finish().await;

    let mirror = TestMirror::builder()
        .asks(|asks| asks.feed = FeedChoice::Auto)
        .engine(|engine| {
            engine.follow.takes = Some(store::feeds::Takes::All);
            engine.follow.longest_retry = Duration::from_millis(20);
            engine.follow.poll_every = Duration::from_millis(5);
        })
        .packages(&[package("lamp")])
        .start()
        .await;
    follower_that(&mirror, "no feed", |status| status.state == FollowState::Off).await;
    let feed = FakeFeed::open(&mirror.upstream, 5);
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    assert_eq!(here(&mirror).await, ["lamp"]);
    mirror.finish().await;
}

#[tokio::test]
async fn a_feed_on_another_host_gets_no_credentials() {
    let elsewhere = FakeUpstream::start();
    let feed = FakeFeed::open(&elsewhere, 7);
    let (builder, _) = following();
    let address = format!("{}/", elsewhere.url()).parse().expect("an address");
    let mirror = builder
        .asks(|asks| {
            asks.feed = FeedChoice::At(address);
            asks.token = Some("secret".into());
        })
        .engine(|engine| engine.follow.start = actors::changes_follower::FeedStart::At(0))
        .packages(&[package("lamp")])
        .start()
        .await;
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    assert_eq!(here(&mirror).await, ["lamp"]);
    let asked = elsewhere.asked();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()), "{asked:?}");
    assert!(asked.iter().all(|asked| asked.path == "/" || asked.path == CHANGES), "{asked:?}");
    let own = mirror.upstream.asked();
    assert!(own.iter().all(|asked| asked.header("authorization") == Some("Bearer secret")));
    assert_eq!(mirror.upstream.count(CHANGES), 0);
    // When its host is gone, what is here is served and the registry is not blamed.
    drop(elsewhere);
    follower_that(&mirror, "an unreachable feed", |status| status.state == FollowState::Retrying)
        .await;
    mirror.get("/lamp").send().await.expect(200);
    assert_eq!(follower(&mirror).await.seq, Some(feed.last()));
    mirror.finish().await;
}
