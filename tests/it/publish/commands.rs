//! Unpublish, deprecate, dist-tag and owner, as npm sends them.

use std::time::Duration;

use actors::clock::Clock;
use serde_json::{Value, json};
use store::PackageStatus;

use super::{builder, document, open, publish, published};
use crate::harness::{Answer, TestMirror, TokenKind};

const NAME: &str = "@garden/ui";

async fn ask(mirror: &TestMirror, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let command = if method == "DELETE" { "unpublish" } else { "owner" };
    let request = mirror.request(method, path).token(token).header("npm-command", command);
    if body.is_null() { request.send().await } else { request.json(body).send().await }
}

async fn unpublish(mirror: &TestMirror, token: &str, path: &str) -> Answer {
    ask(mirror, token, "DELETE", path, &Value::Null).await
}

#[tokio::test]
async fn a_version_that_is_unpublished_is_gone_and_its_number_is_free() {
    let (mirror, token) = open().await;
    published(&mirror, &token, NAME, &["1.0.0", "1.1.0"]).await;
    let put = mirror.request("PUT", "/@garden%2fui/-rev/1").header("npm-command", "unpublish");
    let ignored = put.json(&json!({})).send().await.expect(200).json();
    assert_eq!(ignored, json!({"ok": false}));
    let path = "/@garden/ui/-/ui-1.1.0.tgz/-rev/2-x";
    let wrong = mirror.request("DELETE", path).token(&token).send().await.expect(400).error();
    assert_eq!(wrong, "[BAD_REQUEST] Only allow \"unpublish\" npm-command");
    mirror.request("DELETE", path).header("npm-command", "unpublish").send().await.expect(401);
    assert_eq!(unpublish(&mirror, &token, path).await.expect(200).json(), json!({"ok": true}));
    let full = document(&mirror, NAME).await;
    assert_eq!(full["dist-tags"], json!({"latest": "1.0.0"}));
    assert!(full["versions"].get("1.1.0").is_none() && full["time"].get("1.1.0").is_none());
    mirror.get("/@garden/ui/-/ui-1.1.0.tgz").send().await.expect(404);
    unpublish(&mirror, &token, path).await.expect(404);
    unpublish(&mirror, &token, "/@garden/none/-/none-1.1.0.tgz/-rev/2-x").await.expect(404);
    publish(&mirror, &token, NAME, "1.1.0").await.expect(201);
    mirror.get("/@garden/ui/-/ui-1.1.0.tgz").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_that_is_unpublished_leaves_a_stub_and_may_come_back() {
    let (mirror, token) = open().await;
    published(&mirror, &token, NAME, &["1.0.0", "1.1.0"]).await;
    unpublish(&mirror, &token, "/@garden%2fui/-rev/9").await.expect(200);
    mirror.get("/@garden/ui/-/ui-1.0.0.tgz").send().await.expect(404);
    mirror.get("/@garden/ui/1.0.0").send().await.expect(404);
    let snapshot = mirror.store_snapshot(NAME).await;
    assert_eq!(snapshot["status"], PackageStatus::Unpublished.as_str());
    assert_eq!(snapshot["versions"], json!({}));
    assert_eq!(snapshot["tags"], json!([]));
    let feed = mirror.get("/_changes").send().await.expect(200).json();
    assert_eq!(feed["results"][0]["deleted"], true, "{feed}");
    unpublish(&mirror, &token, "/@garden%2fui/-rev/9").await.expect(404);
    let (bob, _) = mirror.token("bob", TokenKind::User).await;
    publish(&mirror, &bob, NAME, "1.0.0").await.expect(403);
    publish(&mirror, &token, NAME, "1.0.0").await.expect(201);
    let full = document(&mirror, NAME).await;
    assert_eq!(full["dist-tags"], json!({"latest": "1.0.0"}));
    assert!(full["time"].get("unpublished").is_none(), "{full}");
    mirror.get("/@garden/ui/-/ui-1.0.0.tgz").send().await.expect(200);
    // the last version takes the package with it
    unpublish(&mirror, &token, "/@garden/ui/-/ui-1.0.0.tgz/-rev/2-x").await.expect(200);
    let snapshot = mirror.store_snapshot(NAME).await;
    assert_eq!(snapshot["status"], PackageStatus::Unpublished.as_str());
    mirror.finish().await;
}

#[tokio::test]
async fn after_72_hours_a_version_stays() {
    let clock = Clock::movable();
    let moved = clock.clone();
    let mirror = builder().engine(|settings| settings.policy.clock = moved).start().await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    published(&mirror, &token, NAME, &["1.0.0"]).await;
    clock.advance(Duration::from_secs(72 * 3600 + 60));
    for token in [&token, &root] {
        let refused = unpublish(&mirror, token, "/@garden/ui/-/ui-1.0.0.tgz/-rev/1").await;
        assert_eq!(
            refused.expect(403).error(),
            "[FORBIDDEN] @garden/ui@1.0.0 unpublish is not allowed after 72 hours of released"
        );
        unpublish(&mirror, token, "/@garden%2fui/-rev/1").await.expect(403);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn versions_are_deprecated_and_undeprecated() {
    let (mirror, token) = open().await;
    published(&mirror, &token, NAME, &["1.0.0", "1.1.0"]).await;
    for (text, told) in [("use 2", Some("use 2")), ("", None)] {
        let mut full = document(&mirror, NAME).await;
        full["versions"]["1.0.0"]["deprecated"] = json!(text);
        full["versions"]["9.9.9"] = json!({"deprecated": "never was"});
        let put = mirror.request("PUT", "/@garden%2fui").token(&token).json(&full);
        assert_eq!(put.send().await.expect(200).json(), json!({"ok": true}));
        let short = mirror.get("/@garden/ui").abbreviated().send().await.expect(200).json();
        assert_eq!(short["versions"]["1.0.0"].get("deprecated").and_then(Value::as_str), told);
        assert!(short["versions"]["1.1.0"].get("deprecated").is_none());
        assert!(short["versions"].get("9.9.9").is_none());
    }
    mirror.get("/@garden/ui/-/ui-1.0.0.tgz").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn tags_are_set_and_removed() {
    let (mirror, token) = open().await;
    published(&mirror, &token, NAME, &["1.0.0", "1.1.0"]).await;
    let path = |tag: &str| format!("/-/package/@garden%2fui/dist-tags/{tag}");
    let put =
        async |tag: &str, version: &Value| ask(&mirror, &token, "PUT", &path(tag), version).await;
    for _ in 0..2 {
        put("beta", &json!("1.0.0")).await.expect(200);
    }
    put("latest", &json!("1.0.0")).await.expect(200);
    assert_eq!(
        put("beta", &json!("9.9.9")).await.expect(404).error(),
        "[NOT_FOUND] @garden/ui@9.9.9 not found"
    );
    put("beta", &json!("x")).await.expect(422);
    put("1.x", &json!("1.0.0")).await.expect(422);
    let tags = mirror.get("/-/package/@garden%2fui/dist-tags").send().await.expect(200).json();
    assert_eq!(tags, json!({"latest": "1.0.0", "beta": "1.0.0"}));
    for _ in 0..2 {
        unpublish(&mirror, &token, &path("beta")).await.expect(200);
    }
    let refused = unpublish(&mirror, &token, &path("latest")).await.expect(403).error();
    assert_eq!(refused, "[FORBIDDEN] Can't remove the \"latest\" tag");
    let full = document(&mirror, NAME).await;
    assert_eq!(full["dist-tags"], json!({"latest": "1.0.0"}));
    mirror.finish().await;
}

#[tokio::test]
async fn owners_come_and_go() {
    let (mirror, token) = open().await;
    let (bob, _) = mirror.token("bob", TokenKind::User).await;
    published(&mirror, &token, NAME, &["1.0.0"]).await;
    let path = "/@garden%2fui/-rev/1-x";
    let people = |names: &[&str]| {
        let list: Vec<_> = names.iter().map(|name| json!({"name": name, "email": "a@b"})).collect();
        json!({"_id": NAME, "maintainers": list})
    };
    let put = async |token: &str, body: Value| ask(&mirror, token, "PUT", path, &body).await;
    let empty = put(&token, people(&[])).await.expect(422).error();
    assert_eq!(empty, "[INVALID_PARAM] maintainers: must NOT have fewer than 1 items");
    let unknown = put(&token, people(&["ada", "eve"])).await.expect(422).error();
    assert_eq!(unknown, "[UNPROCESSABLE_ENTITY] Maintainer \"eve\" not exists");
    put(&bob, people(&["bob"])).await.expect(403);
    let other = mirror.request("PUT", path).token(&token).json(&people(&["ada"])).send().await;
    let text = "[BAD_REQUEST] header: npm-command expected \"owner\", but got \"\"";
    assert_eq!(other.expect(400).error(), text);
    put(&token, people(&["ada", "bob"])).await.expect(200);
    publish(&mirror, &bob, NAME, "1.1.0").await.expect(201);
    put(&bob, people(&["bob"])).await.expect(200);
    publish(&mirror, &token, NAME, "1.2.0").await.expect(403);
    let full = document(&mirror, NAME).await;
    assert_eq!(full["maintainers"].as_array().map(Vec::len), Some(1));
    assert_eq!(full["maintainers"][0]["name"], "bob");
    mirror.finish().await;
}

#[tokio::test]
async fn nothing_of_this_changes_what_comes_from_an_upstream() {
    let (mirror, token) = open().await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    mirror.sync(&["lamp"]).await;
    let before = document(&mirror, "lamp").await;
    let text = "[FORBIDDEN] Can't modify npm public package \"lamp\"";
    let mut deprecated = before.clone();
    deprecated["versions"]["1.0.0"]["deprecated"] = json!("no");
    let owners = json!({"maintainers": [{"name": "ada", "email": "a@b"}]});
    for token in [&token, &root] {
        for (method, path, body) in [
            ("PUT", "/lamp", &deprecated),
            ("PUT", "/lamp/-rev/1", &owners),
            ("PUT", "/-/package/lamp/dist-tags/beta", &json!("1.0.0")),
            ("DELETE", "/-/package/lamp/dist-tags/beta", &Value::Null),
            ("DELETE", "/lamp/-rev/1", &Value::Null),
            ("DELETE", "/lamp/-/lamp-1.0.0.tgz/-rev/1", &Value::Null),
        ] {
            let answer = ask(&mirror, token, method, path, body).await;
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
            assert_eq!(answer.error(), text, "{method} {path}");
        }
    }
    assert_eq!(document(&mirror, "lamp").await, before);
    mirror.finish().await;
}
