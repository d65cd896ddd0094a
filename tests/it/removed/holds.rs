//! Versions that are too young: hidden, refused with the time of their release, and let go by it.

use std::time::Duration;

use actors::clock::{Clock, now_ms};
use actors::hold::HoldPolicy;
use serde_json::json;

use super::lamp;
use crate::harness::{Package, TestMirror, TokenKind};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// 1.1.0 was published a day ago, 1.0.0 years ago.
fn young() -> Package {
    let published = std::time::UNIX_EPOCH
        + Duration::from_millis(u64::try_from(now_ms()).expect("after 1970"))
        - DAY;
    let mut package = lamp();
    for version in package.versions.iter_mut().filter(|version| version.version == "1.1.0") {
        version.published_at = Some(humantime::format_rfc3339_millis(published).to_string());
    }
    package
}

async fn holding(except: &[&str]) -> (TestMirror, Clock) {
    let clock = Clock::movable();
    let except = except.iter().map(|rule| (*rule).to_owned()).collect();
    let hold = HoldPolicy { time: 3 * DAY, except, published: false };
    let moved = clock.clone();
    let builder = TestMirror::builder().packages(&[young()]);
    let mirror = builder
        .engine(|engine| (engine.policy.hold, engine.policy.clock) = (hold, moved))
        .start()
        .await;
    (mirror, clock)
}

async fn is_held(mirror: &TestMirror) {
    super::shows(mirror, &["1.0.0"]).await;
    // its row is there a moment after a miss was served
    super::becomes(mirror, "/lamp/1.1.0", 403).await;
    let whole = mirror.get("/lamp").send().await.expect(200).json();
    assert_eq!(whole["dist-tags"]["latest"], "1.0.0");
    let why = whole["blockVersions"]["1.1.0"].as_str().expect("a reason");
    assert!(why.starts_with("younger than 3days; quarantine ends 2"), "{why}");
    let latest = mirror.get("/lamp/latest").send().await.expect(200).json();
    assert_eq!(latest["version"], "1.0.0");
    for target in ["/lamp/1.1.0".to_owned(), lamp().tarball_path("1.1.0")] {
        let refused = mirror.get(&target).send().await.expect(403);
        assert_eq!(refused.error(), format!("[HELD] lamp@1.1.0 is not released yet: {why}"));
        assert!(refused.must("npm-notice").contains("early release"));
    }
    mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
}

async fn is_free(mirror: &TestMirror) {
    super::becomes(mirror, "/lamp/1.1.0", 200).await;
    super::shows(mirror, &["1.0.0", "1.1.0"]).await;
    let whole = mirror.get("/lamp").send().await.expect(200).json();
    assert_eq!(
        (&whole["dist-tags"]["latest"], &whole["blockVersions"]),
        (&json!("1.1.0"), &json!(null))
    );
    mirror.get(&lamp().tarball_path("1.1.0")).send().await.expect(200);
}

#[tokio::test]
async fn a_young_version_is_held_until_it_is_old_enough() {
    for synced in [true, false] {
        let (mut mirror, clock) = holding(&[]).await;
        if synced {
            mirror.sync(&["lamp"]).await;
        }
        is_held(&mirror).await;
        clock.advance(DAY);
        is_held(&mirror).await;
        mirror.restart().await;
        is_held(&mirror).await;
        clock.advance(DAY);
        is_free(&mirror).await;
        mirror.finish().await;
    }
}

#[tokio::test]
async fn an_admin_lets_a_version_go_early() {
    let (mirror, _clock) = holding(&[]).await;
    mirror.sync(&["lamp"]).await;
    is_held(&mirror).await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    let put = |path: &'static str, token: &str| mirror.request("PUT", path).token(token).send();
    put("/-/package/lamp/releases/1.1.0", &user).await.expect(403);
    put("/-/package/lamp/releases/9.9.9", &root).await.expect(404);
    is_held(&mirror).await;
    put("/-/package/lamp/releases/1.1.0", &root).await.expect(201);
    is_free(&mirror).await;
    mirror.finish().await;
}

#[tokio::test]
async fn exceptions_are_never_held_and_a_block_is_more_than_a_hold() {
    let (mirror, _clock) = holding(&["lamp"]).await;
    mirror.sync(&["lamp"]).await;
    is_free(&mirror).await;
    mirror.finish().await;
    let (mirror, clock) = holding(&["lamps", "@lamp/*"]).await;
    mirror.sync(&["lamp"]).await;
    is_held(&mirror).await;
    let by = store::audit::By::terminal("ada");
    let name = "lamp".parse().expect("a name");
    mirror.engine().block(&name, "1.1.0", "a miner", by).await.expect("a block");
    super::becomes(&mirror, "/lamp/1.1.0", 451).await;
    clock.advance(3 * DAY);
    super::becomes(&mirror, &lamp().tarball_path("1.1.0"), 451).await;
    super::shows(&mirror, &["1.0.0"]).await;
    mirror.finish().await;
}
