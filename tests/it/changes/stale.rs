//! C10, C11: caches that lag behind the feed, and names that come and go.

use std::time::Duration;

use serde_json::json;
use store::tasks::{self, TaskFilter, TaskRow};
use store::{TaskId, TaskState};

use super::{caught_up, follower_that, following, idle, package};
use crate::harness::{FakeFeed, Package, TestMirror, until};

/// Time enough for a test that waits for an end.
const LONG: Duration = Duration::from_secs(600);

fn revision(package: Package, number: u64) -> Package {
    package.member("_rev", json!(format!("{number}-0123456789abcdef")))
}

async fn task_of(mirror: &TestMirror, name: &str) -> TaskRow {
    let filter = TaskFilter { name: name.parse().ok(), limit: 10, ..TaskFilter::default() };
    let found = mirror.store().read(move |c| tasks::list(c, &filter)).await;
    found.expect("a readable store").into_iter().next().expect("a task")
}

async fn asked_again(mirror: &TestMirror) -> u64 {
    let status = mirror.engine().describe().await.expect("an engine that answers");
    status.syncs.iter().map(|sync| sync.asked_again).sum()
}

/// Waits until the feed is read, and the task of a name is in this state.
async fn settled(mirror: &TestMirror, feed: &FakeFeed, name: &str, state: TaskState) -> TaskId {
    let last = feed.last();
    follower_that(mirror, "the row", |status| status.seq >= Some(last)).await;
    until("the end of the task", || async {
        let task = task_of(mirror, name).await;
        (task.state == state).then_some(task.id)
    })
    .await
}

#[tokio::test]
async fn a_document_older_than_its_row_is_asked_for_until_it_is_the_new_one() {
    // `unchanged`: the cache answers 304; otherwise 200 with what it has.
    for unchanged in [true, false] {
        let (builder, feed) = following();
        let mirror = builder
            .packages(&[revision(package("lamp"), 4)])
            .engine(|engine| engine.follow.older_until = LONG)
            .start()
            .await;
        feed.change_to("lamp", 4);
        settled(&mirror, &feed, "lamp", TaskState::Success).await;
        if !unchanged {
            let old = revision(package("lamp"), 4).member("readme", json!("another edge"));
            mirror.upstream.publish(&old);
        }
        // The row comes at once, the document only later.
        let asked = mirror.upstream.count("/lamp");
        feed.change_to("lamp", 5);
        mirror.upstream.wait_for("/lamp", asked + 3).await;
        assert_eq!(mirror.versions("lamp").await.len(), 1);
        mirror.upstream.publish(&revision(package("lamp").version("2.0.0"), 5));
        settled(&mirror, &feed, "lamp", TaskState::Success).await;
        assert_eq!(mirror.versions("lamp").await.len(), 2, "unchanged: {unchanged}");
        assert!(asked_again(&mirror).await >= 2);
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_document_that_never_gets_there_is_taken_after_a_while() {
    let (builder, feed) = following();
    let mirror = builder.packages(&[revision(package("lamp"), 4)]).start().await;
    feed.change_to("lamp", 9);
    settled(&mirror, &feed, "lamp", TaskState::Success).await;
    let asked = mirror.upstream.count("/lamp");
    assert!((2..=20).contains(&asked), "{asked} looks: bounded, and more than one");
    assert_eq!(mirror.versions("lamp").await.len(), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn the_last_look_takes_no_unchanged_for_an_answer() {
    let (builder, feed) = following();
    let mirror = builder.packages(&[revision(package("lamp"), 4)]).start().await;
    feed.change_to("lamp", 4);
    settled(&mirror, &feed, "lamp", TaskState::Success).await;
    mirror.upstream.forget_asked();
    feed.change_to("lamp", 5);
    settled(&mirror, &feed, "lamp", TaskState::Success).await;
    let asked = mirror.upstream.asked();
    let asked: Vec<_> = asked.iter().filter(|asked| asked.path == "/lamp").collect();
    let conditional = |asked: &&crate::harness::Asked| asked.header("if-none-match").is_some();
    assert!(conditional(asked.first().expect("a look")));
    assert!(!conditional(asked.last().expect("a look")), "{asked:?}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_newer_row_does_not_wait_for_the_delay_of_an_older_one() {
    let (builder, feed) = following();
    let mirror = builder
        .packages(&[revision(package("lamp"), 4)])
        .engine(|engine| {
            engine.follow.older_wait = LONG;
            engine.follow.older_until = LONG * 2;
        })
        .start()
        .await;
    feed.change_to("lamp", 5);
    settled(&mirror, &feed, "lamp", TaskState::Waiting).await;
    until("a task that waits long", || async {
        (task_of(&mirror, "lamp").await.not_before_ms > 0).then_some(())
    })
    .await;
    mirror.upstream.publish(&revision(package("lamp").version("2.0.0"), 6));
    feed.change_to("lamp", 6);
    settled(&mirror, &feed, "lamp", TaskState::Success).await;
    assert_eq!(mirror.versions("lamp").await.len(), 2);
    mirror.finish().await;
}

#[tokio::test]
async fn names_that_are_not_there_cost_few_requests() {
    let (builder, feed) = following();
    let mirror = builder
        .packages(&[package("lamp")])
        .engine(|engine| engine.follow.older_until = Duration::from_millis(60))
        .start()
        .await;
    for number in 0..40 {
        feed.change(&format!("gone-{number}"));
    }
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    let asked = mirror.upstream.asked();
    let gone = asked.iter().filter(|asked| asked.path.starts_with("/gone-")).count();
    assert!((40..=40 * 12).contains(&gone), "{gone} requests for 40 names");
    assert_eq!(super::here(&mirror).await, ["lamp"]);
    mirror.finish().await;
}

#[tokio::test]
async fn a_name_that_comes_and_goes_ends_as_it_is() {
    let (builder, feed) = following();
    let mirror = builder.start().await;
    feed.change("lamp");
    mirror.upstream.wait_for("/lamp", 2).await;
    mirror.upstream.publish(&package("lamp"));
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    assert_eq!(super::here(&mirror).await, ["lamp"]);
    mirror.upstream.remove("/lamp");
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    mirror.upstream.publish(&package("lamp").version("2.0.0"));
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    let document = mirror.get("/lamp").send().await.expect(200).json();
    assert_eq!(document["dist-tags"]["latest"], "2.0.0");
    mirror.finish().await;
}

#[tokio::test]
async fn what_the_feed_told_is_not_given_up_while_the_upstream_is_down() {
    let (builder, feed) = following();
    let mirror = builder
        .packages(&[package("lamp")])
        .engine(|engine| engine.max_attempts = 1)
        .asks(|asks| asks.retry.attempts = 1)
        .start()
        .await;
    mirror.upstream.fail("/lamp", 503, 1);
    feed.change("lamp");
    mirror.upstream.wait_for("/lamp", 1).await;
    let waiting = until("a task for later", || async {
        Some(task_of(&mirror, "lamp").await).filter(|task| task.not_before_ms > 0)
    })
    .await;
    assert_eq!(waiting.state, TaskState::Waiting);
    assert!(waiting.error.is_some_and(|error| error.contains("503")));
    // Somebody who asks does not wait for the delay; the row is done with it.
    mirror.sync(&["lamp"]).await;
    idle(&mirror).await;
    assert_eq!(super::here(&mirror).await, ["lamp"]);
    mirror.finish().await;
}
