//! Blocks by people: refused with 451, whatever would serve the bytes.

use std::time::Duration;

use actors::EngineEvent;
use npm::PackageName;
use serde_json::json;
use store::audit::By;
use store::blocks::WHOLE_PACKAGE;

use super::lamp;
use crate::harness::TestMirror;

const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";

fn name() -> PackageName {
    "lamp".parse().expect("a name")
}

fn by() -> By {
    By::terminal("ada")
}

async fn refused(mirror: &TestMirror, target: &str, what: &str) {
    let answer = mirror.get(target).send().await.expect(451);
    let text = format!(
        "[UNAVAILABLE_FOR_LEGAL_REASONS] {what} was blocked, reason: a miner \
                        (operator: ada/ada)"
    );
    assert_eq!(answer.error(), text);
    assert_eq!(answer.header("etag"), None);
}

#[tokio::test]
async fn a_blocked_package_is_refused_whole_and_at_once() {
    let mut mirror = TestMirror::with(&[lamp()]).await;
    mirror.sync(&["lamp"]).await;
    mirror.get("/lamp").send().await.expect(200);
    mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
    mirror.engine().block(&name(), WHOLE_PACKAGE, "a miner", by()).await.expect("a block");
    for restarted in [false, true] {
        if restarted {
            mirror.restart().await;
        }
        super::becomes(&mirror, "/lamp", 451).await;
        super::becomes(&mirror, &lamp().tarball_path("1.0.0"), 451).await;
        refused(&mirror, "/lamp", "lamp").await;
        refused(&mirror, "/lamp/latest", "lamp").await;
        refused(&mirror, "/-/package/lamp/dist-tags", "lamp").await;
        refused(&mirror, &lamp().tarball_path("1.0.0"), "lamp@1.0.0").await;
    }
    assert!(mirror.engine().unblock(&name(), WHOLE_PACKAGE, by()).await.expect("an answer"));
    super::becomes(&mirror, "/lamp", 200).await;
    super::becomes(&mirror, &lamp().tarball_path("1.0.0"), 200).await;
    mirror.finish().await;
}

/// Whoever broke his request off has blocked all the same, and caches learn of it at once.
#[tokio::test]
async fn a_block_is_told_also_when_its_caller_has_gone() {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.sync(&["lamp"]).await;
    let (engine, lamp) = (mirror.engine(), name());
    let mut events = engine.events();
    tokio::select! {
        biased;
        _ = engine.block(&lamp, WHOLE_PACKAGE, "a miner", by()) => panic!("without a wait"),
        () = std::future::ready(()) => {}
    }
    let told = async {
        while !matches!(events.recv().await.expect("an event"), EngineEvent::BlocksChanged { .. }) {
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("a word about the block");
    super::becomes(&mirror, "/lamp", 451).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_blocked_version_is_hidden_from_documents_and_refused_by_its_number() {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.sync(&["lamp"]).await;
    mirror.get("/lamp").send().await.expect(200);
    mirror.engine().block(&name(), "1.1.0", "a miner", by()).await.expect("a block");
    super::shows(&mirror, &["1.0.0"]).await;
    let tags = mirror.get("/-/package/lamp/dist-tags").send().await.expect(200).json();
    assert_eq!(tags, json!({"latest": "1.0.0"}));
    let latest = mirror.get("/lamp/latest").send().await.expect(200).json();
    assert_eq!(latest["version"], "1.0.0");
    for (accept, form) in [("application/json", "full"), (ABBREVIATED, "abbreviated")] {
        let whole = mirror.get("/lamp").header("accept", accept).send().await.expect(200).json();
        assert_eq!(
            whole["blockVersions"],
            json!({"1.1.0": "a miner (operator: ada/ada)"}),
            "{form}"
        );
        assert_eq!(whole["time"].get("1.1.0"), None, "{form}");
        assert!(whole["time"].get("1.0.0").is_some(), "{form}");
    }
    refused(&mirror, "/lamp/1.1.0", "lamp@1.1.0").await;
    super::becomes(&mirror, &lamp().tarball_path("1.1.0"), 451).await;
    refused(&mirror, &lamp().tarball_path("1.1.0"), "lamp@1.1.0").await;
    mirror.upstream.publish(&lamp().version("1.2.0"));
    mirror.sync(&["lamp"]).await;
    super::shows(&mirror, &["1.0.0", "1.2.0"]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_block_is_there_before_its_package() {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.engine().block(&name(), WHOLE_PACKAGE, "a miner", by()).await.expect("a block");
    refused(&mirror, "/lamp", "lamp").await;
    mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(451);
    assert_eq!(mirror.upstream.count("/lamp"), 0, "nobody is asked for what is blocked");
    mirror.engine().unblock(&name(), WHOLE_PACKAGE, by()).await.expect("an answer");
    mirror.engine().block(&name(), "1.1.0", "a miner", by()).await.expect("a block");
    super::shows(&mirror, &["1.0.0"]).await;
    refused(&mirror, &lamp().tarball_path("1.1.0"), "lamp@1.1.0").await;
    assert_eq!(mirror.upstream.count(&lamp().tarball_path("1.1.0")), 0);
    mirror.finish().await;
}
