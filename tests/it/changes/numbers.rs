//! C5, C6: numbers that jump, fall back, start over, alternate; heads that lag behind.

use actors::changes_follower::{FeedStart, FollowState};

use super::{
    BEGIN, alarm_texts, caught_up, follower, follower_that, following, here, idle, package,
};
use crate::harness::{FakeFeed, TestMirror, until};

/// A mirror that has `old` and `kept` from the feed already.
async fn with_two() -> (TestMirror, FakeFeed) {
    let (builder, feed) = following();
    let mirror = builder.packages(&["old", "kept", "new", "late"].map(package)).start().await;
    feed.change("old");
    feed.change("kept");
    let status = caught_up(&mirror, &feed).await;
    assert_eq!(status.epoch, 1);
    (mirror, feed)
}

/// Changes a package while the numbers are in disorder: no row of it will be seen.
fn change_unseen(mirror: &TestMirror, name: &str) {
    mirror.upstream.publish(&package(name).version("9.0.0"));
}

async fn has_versions(mirror: &TestMirror, name: &str, count: usize) {
    until(&format!("{count} versions of {name}"), || async {
        (mirror.versions(name).await.len() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_head_a_little_behind_is_noise() {
    for behind in [1, 4] {
        let (mirror, feed) = with_two().await;
        feed.shift_head(-behind);
        // Doubts are looked into and found wrong, again and again.
        let asked = feed.asked().len();
        until("some more looks", || async { (feed.asked().len() > asked + 12).then_some(()) })
            .await;
        assert_eq!(follower(&mirror).await.epoch, 1, "{behind} behind");
        feed.change("new");
        let status = caught_up_below_head(&mirror, &feed).await;
        assert_eq!(status, 1);
        assert_eq!(here(&mirror).await, ["kept", "new", "old"]);
        assert!(alarm_texts(&mirror).await.is_empty());
        mirror.finish().await;
    }
}

/// As `caught_up`, where the head stays below; the epoch.
async fn caught_up_below_head(mirror: &TestMirror, feed: &FakeFeed) -> i64 {
    let last = feed.last();
    let status = follower_that(mirror, "the last row", |status| status.seq >= Some(last)).await;
    idle(mirror).await;
    status.epoch
}

#[tokio::test]
async fn numbers_that_fall_back_are_a_new_epoch_and_nothing_is_lost() {
    // Far down with a long feed; to the start; by less than the feed is long.
    for to in [BEGIN - 22_500_000, 0, BEGIN - 5] {
        let (mirror, feed) = with_two().await;
        change_unseen(&mirror, "old");
        feed.renumber(to);
        let status = follower_that(&mirror, "a new epoch", |status| status.epoch == 2).await;
        assert!(status.seq < Some(BEGIN), "{status:?}");
        has_versions(&mirror, "old", 2).await;
        feed.change("new");
        caught_up(&mirror, &feed).await;
        assert_eq!(here(&mirror).await, ["kept", "new", "old"], "to {to}");
        let alarms = alarm_texts(&mirror).await;
        assert!(alarms.iter().any(|text| text.contains("new epoch")), "{alarms:?}");
        mirror.finish().await;
    }
}

#[tokio::test]
async fn numbers_that_fall_back_are_noticed_without_a_head() {
    let (builder, feed) = following();
    feed.hide_head();
    let mirror = builder
        .packages(&["old", "new"].map(package))
        .engine(|engine| engine.follow.alarm_after = std::time::Duration::from_millis(50))
        .start()
        .await;
    feed.change("old");
    caught_up_below_head(&mirror, &feed).await;
    feed.renumber(5);
    follower_that(&mirror, "a new epoch", |status| status.epoch == 2).await;
    feed.change("new");
    caught_up_below_head(&mirror, &feed).await;
    until("both", || async { (here(&mirror).await == ["new", "old"]).then_some(()) }).await;
    mirror.finish().await;
}

#[tokio::test]
async fn numbers_that_jump_are_a_new_epoch_and_nothing_is_lost() {
    let (mirror, feed) = with_two().await;
    change_unseen(&mirror, "old");
    feed.skip(21_300_000);
    feed.change("new");
    let status = caught_up(&mirror, &feed).await;
    assert_eq!(status.epoch, 2);
    has_versions(&mirror, "old", 2).await;
    assert_eq!(here(&mirror).await, ["kept", "new", "old"]);
    let alarms = alarm_texts(&mirror).await;
    assert!(alarms.iter().any(|text| text.contains("jumped")), "{alarms:?}");
    mirror.finish().await;
}

#[tokio::test]
async fn gaps_of_ordinary_publishing_are_no_jump() {
    let (mirror, feed) = with_two().await;
    feed.skip(900_000);
    feed.change("new");
    assert_eq!(caught_up(&mirror, &feed).await.epoch, 1);
    mirror.finish().await;
}

#[tokio::test]
async fn back_ends_with_different_numbers_in_turn_lose_nothing() {
    let (builder, feed) = following();
    let mirror = builder
        .packages(&["old", "kept", "new", "late"].map(package))
        .engine(|engine| engine.follow.start = FeedStart::At(0))
        .start()
        .await;
    feed.change("old");
    feed.alternate(&[0, 13_000_000]);
    for name in ["kept", "new", "late"] {
        feed.change(name);
        until(name, || async { here(&mirror).await.contains(&name.to_owned()).then_some(()) })
            .await;
        mirror.upstream.publish(&package(name).version("2.0.0"));
        feed.change(name);
        has_versions(&mirror, name, 2).await;
    }
    assert_eq!(here(&mirror).await, ["kept", "late", "new", "old"]);
    mirror.finish().await;
}

#[tokio::test]
async fn an_echoed_end_is_no_sign_of_life() {
    let (builder, feed) = following();
    // A place far beyond the head, as another numbering left it.
    let mirror = builder
        .packages(&[package("lamp")])
        .engine(|engine| engine.follow.start = FeedStart::At(BEGIN + 22_000_000))
        .start()
        .await;
    feed.change("lamp");
    let status = follower_that(&mirror, "a new epoch", |status| status.epoch == 2).await;
    assert!(status.seq <= Some(feed.last()), "{status:?}");
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    assert_eq!(here(&mirror).await, ["lamp"]);
    mirror.finish().await;
}

#[tokio::test]
async fn a_feed_that_ignores_where_we_are_is_stopped() {
    let (builder, feed) = following();
    let mirror = builder.packages(&[package("lamp")]).start().await;
    feed.change("lamp");
    let seq = caught_up(&mirror, &feed).await.seq.expect("a place");
    let page = format!(r#"{{"results":[{{"seq":{},"id":"lamp"}}],"last_seq":{seq}}}"#, seq - 5);
    feed.script(std::iter::repeat_n(page, 6));
    let status = follower_that(&mirror, "an alarm", |status| status.alarm.is_some()).await;
    assert_eq!(status.state, FollowState::Stalled);
    assert!(status.alarm.is_some_and(|text| text.contains("none leads on")));
    assert_eq!(super::tasks_of(&mirror, "lamp").await, 1);
    until("the end of the script", || async { (feed.scripted_left() == 0).then_some(()) }).await;
    feed.change("lamp");
    let status = caught_up(&mirror, &feed).await;
    assert_eq!((status.alarm, status.epoch), (None, 1));
    mirror.finish().await;
}
