//! A feed that a person paused is left alone, by whoever followed it, until it is resumed.

use std::time::Duration;

use actors::changes_follower::{FeedStart, FollowState, FollowerStatus};
use actors::upstream::FeedChoice;
use serde_json::json;
use store::feeds::Takes;

use crate::harness::{CHANGES, FakeFeed, Package, TestMirror, TokenKind, until};

async fn follower(mirror: &TestMirror, wanted: impl Fn(&FollowerStatus) -> bool) -> FollowerStatus {
    let wanted = &wanted;
    until("a follower as wanted", || async move {
        let status = mirror.engine().describe().await.expect("an engine");
        status.followers.into_iter().next().filter(wanted)
    })
    .await
}

#[tokio::test]
async fn a_paused_feed_is_not_asked_and_goes_on_where_it_was() {
    let builder = TestMirror::builder();
    let feed = FakeFeed::open(builder.upstream(), 1_000);
    let mut mirror = builder
        .packages(&[Package::new("lamp").version("1.0.0"), Package::new("bulb").version("1.0.0")])
        .asks(|asks| asks.feed = FeedChoice::Auto)
        .engine(|engine| {
            engine.follow.takes = Some(Takes::All);
            engine.follow.start = FeedStart::At(1_000);
            engine.follow.poll_every = Duration::from_millis(5);
        })
        .start()
        .await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    feed.change("lamp");
    let read = feed.last();
    follower(&mirror, |status| status.seq == Some(read)).await;
    let pause = espejo::registries::Change::Pause { name: "default".to_owned() };
    let by = store::audit::By::terminal("ada");
    let (change, who) = (pause, by.clone());
    mirror
        .engine()
        .write(Box::new(move |rows| {
            let here = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
            let rules = espejo::registries::Rules::listening(here, None);
            let done = espejo::registries::apply(rows, &rules, &who, &change)?;
            assert!(done.is_ok());
            Ok(())
        }))
        .await
        .expect("a writable store");
    // nobody told the follower: it finds out when it writes, at the latest when it looks again
    mirror.engine().registries().reload().await.expect("registries");
    let paused = follower(&mirror, |status| status.state == FollowState::Paused).await;
    assert_eq!(paused.paused_by.as_deref(), Some("ada"));
    let asked = mirror.upstream.count(CHANGES);
    feed.change("bulb");
    // it stays paused over a restart
    mirror.restart().await;
    follower(&mirror, |status| status.state == FollowState::Paused).await;
    assert_eq!(mirror.upstream.count(CHANGES), asked);
    let shown = mirror.get("/-/registry/default").send().await.expect(200).json();
    assert_eq!(shown["pausedBy"], json!("ada"));
    let sync = mirror.request("POST", "/-/registry/default/sync").token(&admin);
    sync.json(&json!({ "since": "1000" })).send().await.expect(200);
    let last = feed.last();
    let back = follower(&mirror, |status| status.seq == Some(last)).await;
    assert_eq!(back.paused_by, None);
    assert_eq!(back.rows, 2, "both rows behind the number that was named");
    mirror.get("/bulb").send().await.expect(200);
    mirror.finish().await;
}
