//! C9: which names become tasks; tombstones; a queue that is full.

use actors::changes_follower::FollowState;
use store::Keeping;
use store::feeds::Takes;
use store::tasks::{self, TaskOptions};

use super::{caught_up, follower_that, following, here, idle, package, tasks_of};
use crate::harness::until;

#[tokio::test]
async fn the_feed_refreshes_what_is_here_and_brings_nothing_else() {
    let (builder, feed) = following();
    let mirror = builder
        .packages(&[package("here"), package("other"), package("cached")])
        .engine(|engine| engine.follow.takes = Some(Takes::Held))
        .start()
        .await;
    mirror.sync(&["here"]).await;
    mirror.get("/cached").send().await.expect(200);
    for name in ["here", "cached"] {
        mirror.upstream.publish(&package(name).version("2.0.0"));
    }
    for name in ["here", "other", "cached"] {
        feed.change(name);
    }
    caught_up(&mirror, &feed).await;
    assert_eq!(here(&mirror).await, ["cached", "here"]);
    assert_eq!(mirror.versions("here").await.len(), 2);
    assert_eq!(tasks_of(&mirror, "other").await, 0);
    // A row of the feed does not make a cached package a mirrored one.
    let cached = mirror.versions("cached").await;
    assert_eq!(cached.len(), 2);
    assert!(cached.iter().all(|row| row.blob.is_none()), "a tarball nobody asked for");
    mirror.finish().await;
}

#[tokio::test]
async fn tombstones_of_names_that_are_not_here_are_no_work() {
    let (builder, feed) = following();
    for number in 0..2_000 {
        feed.delete(&format!("gone-{number}"));
    }
    feed.change("lamp");
    let mirror = builder.packages(&[package("lamp")]).start().await;
    let status = caught_up(&mirror, &feed).await;
    assert_eq!(here(&mirror).await, ["lamp"]);
    assert_eq!((status.rows, status.tasks), (2_001, 1));
    assert!(!mirror.upstream.asked().iter().any(|asked| asked.path.contains("gone")));
    mirror.finish().await;
}

#[tokio::test]
async fn deleted_and_made_again_is_there() {
    let (builder, feed) = following();
    let mirror = builder.packages(&[package("lamp")]).start().await;
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    mirror.upstream.remove("/lamp");
    feed.delete("lamp");
    caught_up(&mirror, &feed).await;
    assert_eq!(tasks_of(&mirror, "lamp").await, 2, "its end is looked at");
    mirror.upstream.publish(&package("lamp").version("2.0.0"));
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    let document = mirror.get("/lamp").send().await.expect(200).json();
    assert_eq!(document["dist-tags"]["latest"], "2.0.0");
    mirror.finish().await;
}

#[tokio::test]
async fn a_full_queue_holds_the_feed_and_drops_nothing() {
    let (builder, feed) = following();
    let names: Vec<String> = (0..60).map(|number| format!("p{number:02}")).collect();
    let packages: Vec<_> = names.iter().map(|name| package(name)).collect();
    let mirror = builder
        .packages(&packages)
        .packages(&[package("busy")])
        .engine(|engine| {
            engine.workers = 1;
            engine.follow.queue_limit = 8;
            engine.follow.page_rows = 4;
        })
        .start()
        .await;
    // The only worker is kept busy, so that tasks pile up.
    let gate = mirror.upstream.gate("/busy");
    let options = TaskOptions { keep: Keeping::Mirrored, ..TaskOptions::default() };
    mirror.enqueue(&["busy"], &options).await;
    mirror.upstream.wait_for("/busy", 1).await;
    feed.change_all(&names);
    let held = follower_that(&mirror, "a follower that holds", |status| {
        status.state == FollowState::Holding
    })
    .await;
    assert!(held.seq < Some(feed.last()), "{held:?}");
    let counts = mirror.store().read(tasks::counts).await.expect("a readable store");
    assert!(counts.waiting <= 8 + 4, "{counts:?}");
    drop(gate);
    caught_up(&mirror, &feed).await;
    idle(&mirror).await;
    let all = until("every name", || async {
        let found = here(&mirror).await;
        (found.len() == 61).then_some(found)
    })
    .await;
    assert_eq!(all[1..], names);
    mirror.finish().await;
}
