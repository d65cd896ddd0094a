//! Blocks and quarantines of what is published here.

use std::time::Duration;

use actors::clock::Clock;
use npm::PackageName;
use serde_json::{Value, json};
use store::audit::By;

use super::{body_of, builder, document, open, publish, published, send};
use crate::harness::{TestMirror, TokenKind, Version, until};

const NAME: &str = "@garden/ui";
const TARBALL: &str = "/@garden/ui/-/ui-1.1.0.tgz";

async fn block(mirror: &TestMirror, version: &str) {
    let (name, by) = (PackageName::parse(NAME).expect("a name"), By::terminal("root"));
    mirror.engine().block(&name, version, "a miner", by).await.expect("a block");
}

async fn unblock(mirror: &TestMirror, version: &str) {
    let (name, by) = (PackageName::parse(NAME).expect("a name"), By::terminal("root"));
    assert!(mirror.engine().unblock(&name, version, by).await.expect("an engine"));
}

async fn becomes(mirror: &TestMirror, target: &str, status: u16) {
    until(&format!("{status} of {target}"), || async {
        (mirror.get(target).send().await.status == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_blocked_version_is_hidden_and_refused_and_comes_back_byte_for_byte() {
    let (mirror, token) = open().await;
    let made = Version::new(NAME, "1.1.0", 300);
    published(&mirror, &token, NAME, &["1.0.0"]).await;
    let body = body_of(NAME, &made, "latest");
    send(&mirror, &token, NAME, &body).await.expect(201);
    let before = mirror.get("/@garden/ui").send().await.expect(200).body;
    block(&mirror, "1.1.0").await;
    becomes(&mirror, "/@garden/ui/1.1.0", 451).await;
    for target in ["/@garden/ui/1.1.0", "/@garden/ui/-/ui-1.1.0.tgz"] {
        let refused = mirror.get(target).send().await.expect(451).error();
        assert_eq!(
            refused,
            "[UNAVAILABLE_FOR_LEGAL_REASONS] @garden/ui@1.1.0 was blocked, reason: a miner \
             (operator: root/root)"
        );
    }
    let full = document(&mirror, NAME).await;
    assert!(full["versions"].get("1.1.0").is_none() && full["time"].get("1.1.0").is_none());
    assert_eq!(full["dist-tags"], json!({"latest": "1.0.0"}));
    assert_eq!(full["blockVersions"]["1.1.0"], "a miner (operator: root/root)");
    let latest = mirror.get("/@garden/ui/latest").send().await.expect(200).json();
    assert_eq!(latest["version"], "1.0.0");
    // neither the same bytes nor others take its place, whatever becomes of the version
    let other = body_of(NAME, &made.clone().size(900), "latest");
    for sent in [&body, &other] {
        send(&mirror, &token, NAME, sent).await.expect(451);
    }
    let tag = mirror.request("PUT", "/-/package/@garden%2fui/dist-tags/beta").token(&token);
    tag.json(&json!("1.1.0")).send().await.expect(451);
    unblock(&mirror, "1.1.0").await;
    becomes(&mirror, "/@garden/ui/1.1.0", 200).await;
    assert_eq!(mirror.get("/@garden/ui").send().await.expect(200).body, before);
    assert_eq!(mirror.get(TARBALL).send().await.expect(200).body, made.tarball);
    mirror.finish().await;
}

#[tokio::test]
async fn the_number_of_a_blocked_version_that_is_unpublished_is_not_used_again() {
    let (mirror, token) = open().await;
    published(&mirror, &token, NAME, &["1.0.0", "1.1.0"]).await;
    block(&mirror, "1.1.0").await;
    let gone = mirror.request("DELETE", &format!("{TARBALL}/-rev/1")).token(&token);
    gone.header("npm-command", "unpublish").send().await.expect(200);
    publish(&mirror, &token, NAME, "1.1.0").await.expect(451);
    unblock(&mirror, "1.1.0").await;
    publish(&mirror, &token, NAME, "1.1.0").await.expect(201);
    mirror.get(TARBALL).send().await.expect(200);
    // a package that is blocked whole takes nothing at all
    block(&mirror, "*").await;
    publish(&mirror, &token, NAME, "1.2.0").await.expect(451);
    becomes(&mirror, "/@garden/ui", 451).await;
    unblock(&mirror, "*").await;
    publish(&mirror, &token, NAME, "1.2.0").await.expect(201);
    assert_eq!(document(&mirror, NAME).await["dist-tags"], json!({"latest": "1.2.0"}));
    mirror.finish().await;
}

#[tokio::test]
async fn a_quarantine_is_for_what_is_published_here_where_a_setting_says_so() {
    let clock = Clock::movable();
    let moved = clock.clone();
    let mut mirror = builder()
        .engine(|settings| {
            settings.policy.clock = moved;
            settings.policy.hold.time = Duration::from_secs(24 * 3600);
            settings.policy.hold.published = true;
        })
        .start()
        .await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    published(&mirror, &token, NAME, &["1.0.0", "1.1.0"]).await;
    for target in ["/@garden/ui/1.0.0", TARBALL] {
        let refused = mirror.get(target).send().await.expect(403).error();
        assert!(refused.contains("is not released yet: younger than 1day"), "{refused}");
    }
    let release = "/-/package/@garden%2fui/releases/1.0.0";
    mirror.request("PUT", release).token(&root).send().await.expect(201);
    becomes(&mirror, "/@garden/ui/1.0.0", 200).await;
    let full = document(&mirror, NAME).await;
    assert_eq!(full["versions"].as_object().map(|versions| versions.len()), Some(1));
    assert_eq!(full["dist-tags"]["latest"], "1.0.0");
    clock.advance(Duration::from_secs(24 * 3600 + 60));
    becomes(&mirror, TARBALL, 200).await;
    assert_eq!(document(&mirror, NAME).await["dist-tags"]["latest"], "1.1.0");
    // off by default: then there is nothing to release either
    mirror.change_engine(|settings| settings.policy.hold.published = false).await;
    publish(&mirror, &token, NAME, "1.2.0").await.expect(201);
    mirror.get("/@garden/ui/1.2.0").send().await.expect(200);
    let refused = mirror.request("PUT", release).token(&root).json(&Value::Null).send().await;
    let text = "[FORBIDDEN] Can't release private package \"@garden/ui\"";
    assert_eq!(refused.expect(403).error(), text);
    mirror.finish().await;
}
