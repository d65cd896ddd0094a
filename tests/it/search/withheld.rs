//! What readers must not get is not found either.

use std::time::Duration;

use actors::RemovedPolicy;
use actors::hold::HoldPolicy;
use serde_json::json;

use super::{answer, described, finds, names, searching};
use crate::harness::{Package, TestMirror, TokenKind};

fn lamp() -> Package {
    Package::new("lamp")
        .version_with("1.0.0", |version| version.member("description", json!("an old light")))
        .version_with("1.1.0", |version| version.member("description", json!("a new light")))
}

async fn block(mirror: &TestMirror, admin: &str, method: &str, path: &str) {
    let request = mirror.request(method, path).token(admin).json(&json!({"reason": "a miner"}));
    let answer = request.send().await;
    assert!(answer.status < 300, "{}", answer.text());
}

#[tokio::test]
async fn a_blocked_package_is_not_found_from_the_next_answer_on() {
    let mut mirror = searching(&[lamp(), described("torch", "a light", &[])]).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    finds(&mirror, "light lamp", &["lamp"]).await;
    block(&mirror, &admin, "PUT", "/-/package/lamp/blocks").await;
    assert!(names(&mirror, "lamp").await.is_empty(), "at once");
    mirror.restart().await;
    finds(&mirror, "light", &["torch"]).await;
    assert_eq!(answer(&mirror, "text=light").await["total"], 1);
    block(&mirror, &admin, "DELETE", "/-/package/lamp/blocks").await;
    finds(&mirror, "lamp", &["lamp"]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_block_that_was_lifted_behind_the_servers_back_is_seen_at_the_next_start() {
    let mut mirror = searching(&[lamp()]).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    finds(&mirror, "lamp", &["lamp"]).await;
    block(&mirror, &admin, "PUT", "/-/package/lamp/blocks").await;
    crate::harness::until("an index without it", || async {
        (answer(&mirror, "text=lamp").await["total"] == 0).then_some(())
    })
    .await;
    let name = npm::PackageName::parse("lamp").expect("a name");
    let write: store::WriteFn =
        Box::new(move |rows| store::blocks::remove(rows, &name, "*", None).map(drop));
    mirror.engine().write(write).await.expect("written");
    mirror.restart().await;
    finds(&mirror, "lamp", &["lamp"]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_blocked_latest_gives_way_to_the_version_that_readers_see() {
    let mirror = searching(&[lamp()]).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    finds(&mirror, "new", &["lamp"]).await;
    block(&mirror, &admin, "PUT", "/-/package/lamp/blocks/1.1.0").await;
    let hit = answer(&mirror, "text=lamp").await["objects"][0]["package"].clone();
    assert_eq!((&hit["version"], &hit["versions"]), (&json!("1.0.0"), &json!(["1.0.0"])));
    assert_eq!(hit["description"], "an old light");
    finds(&mirror, "old", &["lamp"]).await;
    finds(&mirror, "new", &[]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_that_upstream_took_away_is_not_found() {
    let builder = TestMirror::builder().packages(&[lamp()]).search();
    let builder = builder.engine(|engine| {
        engine.policy.removed = RemovedPolicy::Hide;
        engine.policy.removed_after = Duration::ZERO;
    });
    let mirror = builder.start().await;
    mirror.sync(&["lamp"]).await;
    finds(&mirror, "lamp", &["lamp"]).await;
    mirror.upstream.fail("/lamp", 404, usize::MAX);
    for _ in 0..2 {
        mirror.sync(&["lamp"]).await;
    }
    finds(&mirror, "lamp", &[]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn young_versions_are_found_when_they_are_old_enough() {
    let long = Duration::from_secs(3_600 * 24 * 365 * 50);
    let hold = HoldPolicy { time: long, ..HoldPolicy::default() };
    let mut mirror = TestMirror::builder()
        .packages(&[lamp()])
        .search()
        .engine(|engine| engine.policy.hold = hold)
        .start()
        .await;
    mirror.sync(&["lamp"]).await;
    assert!(names(&mirror, "lamp").await.is_empty());
    mirror.change_engine(|engine| engine.policy.hold = HoldPolicy::default()).await;
    finds(&mirror, "lamp", &["lamp"]).await;
    mirror.finish().await;
}
