//! Following an upstream's changes feed: nothing lost, nothing doubled, whatever the feed does.
//!
//! Letters and numbers in the comments of the modules are those of the list of feed tests the
//! mirror is built against.

mod failures;
mod kills;
mod modes;
mod numbers;
mod pages;
mod popular;
mod restarts;
mod stale;

use std::time::Duration;

use actors::changes_follower::{FeedStart, FollowState, FollowerStatus};
use actors::upstream::FeedChoice;
use npm::PackageName;
use store::feeds::Takes;
use store::tasks::{self, TaskFilter};
use store::{alarms, packages};

use crate::harness::{Builder, FakeFeed, Package, TestMirror, until};

/// Where the numbers of a test's feed begin: high enough to fall from.
const BEGIN: i64 = 40_000_000;

fn package(name: &str) -> Package {
    Package::new(name).version("1.0.0")
}

/// A mirror that follows the feed of its upstream, quickly, from its first number.
fn following() -> (Builder, FakeFeed) {
    let builder = TestMirror::builder();
    let feed = FakeFeed::open(builder.upstream(), BEGIN);
    let builder = builder.asks(|asks| asks.feed = FeedChoice::Auto).engine(|engine| {
        // a second answer "not there" decides at once
        engine.policy.removed_after = Duration::from_millis(20);
        let follow = &mut engine.follow;
        follow.takes = Some(Takes::All);
        follow.start = FeedStart::At(BEGIN);
        follow.poll_every = Duration::from_millis(5);
        follow.room_every = Duration::from_millis(5);
        follow.first_retry = Duration::from_millis(5);
        follow.longest_retry = Duration::from_millis(20);
        follow.confirm_for = Duration::from_millis(30);
        follow.alarm_after = Duration::ZERO;
        follow.older_wait = Duration::from_millis(5);
        follow.older_until = Duration::from_millis(300);
    });
    (builder, feed)
}

async fn follower(mirror: &TestMirror) -> FollowerStatus {
    let status = mirror.engine().describe().await.expect("an engine that answers");
    status.followers.into_iter().next().expect("a follower")
}

/// Waits until the follower is as wanted.
async fn follower_that(
    mirror: &TestMirror,
    what: &str,
    wanted: impl Fn(&FollowerStatus) -> bool,
) -> FollowerStatus {
    let wanted = &wanted;
    until(what, || async move { Some(follower(mirror).await).filter(wanted) }).await
}

/// Waits until the follower has read the feed to its end and all tasks are done.
async fn caught_up(mirror: &TestMirror, feed: &FakeFeed) -> FollowerStatus {
    let last = feed.last();
    let status = follower_that(mirror, "a follower at the head", |status| {
        status.seq >= Some(last) && status.state == FollowState::Following
    })
    .await;
    idle(mirror).await;
    status
}

/// Waits until no task waits or runs.
async fn idle(mirror: &TestMirror) {
    until("an empty queue", || async {
        let counts = mirror.store().read(tasks::counts).await.expect("a readable store");
        (counts.waiting + counts.processing == 0).then_some(())
    })
    .await;
}

/// The names of all packages that are here.
async fn here(mirror: &TestMirror) -> Vec<String> {
    let store = mirror.store();
    let names = store.read(|connection| packages::names_after(connection, "", 100_000)).await;
    names.expect("a readable store").iter().map(PackageName::to_string).collect()
}

/// How many tasks a package ever had.
async fn tasks_of(mirror: &TestMirror, name: &str) -> usize {
    let name = PackageName::parse(name).expect("a name");
    let filter = TaskFilter { name: Some(name), limit: 1_000, ..TaskFilter::default() };
    mirror
        .store()
        .read(move |connection| tasks::list(connection, &filter))
        .await
        .expect("tasks")
        .len()
}

async fn alarm_texts(mirror: &TestMirror) -> Vec<String> {
    let found = mirror.store().read(|connection| alarms::newest(connection, 100)).await;
    found.expect("a readable store").into_iter().map(|alarm| alarm.message).collect()
}
