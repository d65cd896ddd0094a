//! `/-/package/:fullname/blocks[/:version]`, word for word.

use serde_json::{Value, json};
use store::audit::{self, AuditFilter};

use super::lamp;
use crate::harness::{Answer, TestMirror, TokenKind};

const BLOCKS: &str = "/-/package/lamp/blocks";

async fn put(mirror: &TestMirror, token: &str, path: &str, body: &Value) -> Answer {
    mirror.request("PUT", path).token(token).json(body).send().await
}

async fn delete(mirror: &TestMirror, token: &str, path: &str) -> Answer {
    mirror.request("DELETE", path).token(token).send().await
}

async fn with_admin() -> (TestMirror, String) {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.sync(&["lamp"]).await;
    let (token, _) = mirror.token("root", TokenKind::Admin).await;
    (mirror, token)
}

#[tokio::test]
async fn a_package_is_blocked_looked_at_and_lifted() {
    let (mirror, root) = with_admin().await;
    let free = mirror.get(BLOCKS).send().await.expect(200).json();
    assert_eq!(free, json!({"blocked": false, "data": []}));
    let made = put(&mirror, &root, BLOCKS, &json!({"reason": " a miner "})).await.expect(201);
    let made = made.json();
    let id = made["id"].as_str().expect("an id").to_owned();
    assert_eq!(made["ok"], true);
    assert!(made["package_id"].is_string());
    let again = put(&mirror, &root, BLOCKS, &json!({"reason": "a worm"})).await.expect(201).json();
    assert_eq!(again["id"], id, "a new reason keeps the id");
    let status = mirror.get(BLOCKS).send().await.expect(200).json();
    let reason = "a worm (operator: root/root)";
    assert_eq!((&status["blocked"], &status["reason"]), (&json!(true), &json!(reason)));
    let row = &status["data"][0];
    assert_eq!(row["created"], status["createdAt"]);
    assert_eq!((&row["id"], &row["version"]), (&json!(id), &json!("*")));
    assert_eq!((&row["scope"], &row["reason"]), (&json!("package"), &json!(reason)));
    super::becomes(&mirror, "/lamp", 451).await;
    let refused = put(&mirror, &root, &format!("{BLOCKS}/1.1.0"), &json!({"reason": "x"})).await;
    assert_eq!(
        refused.expect(403).error(),
        "[FORBIDDEN] Package \"lamp\" is already blocked at package-level, cannot block individual \
         versions"
    );
    for _ in 0..2 {
        let lifted = delete(&mirror, &root, BLOCKS).await.expect(200).json();
        assert_eq!(lifted, json!({"ok": true}), "also when nothing is blocked");
    }
    super::becomes(&mirror, "/lamp", 200).await;
    let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
    let log = mirror.store().read(move |rows| audit::list(rows, &filter)).await.expect("a log");
    let told: Vec<_> = log.iter().map(|row| (&*row.action, &*row.by.who)).collect();
    assert_eq!(told, [("block.remove", "root"), ("block.add", "root"), ("block.add", "root")]);
    mirror.finish().await;
}

#[tokio::test]
async fn a_version_is_blocked_and_lifted_alone() {
    let (mirror, root) = with_admin().await;
    let path = format!("{BLOCKS}/1.1.0");
    let made = put(&mirror, &root, &path, &json!({"reason": "a miner"})).await.expect(201).json();
    assert_eq!(made["version"], "1.1.0");
    super::becomes(&mirror, "/lamp/1.1.0", 451).await;
    super::becomes(&mirror, &lamp().tarball_path("1.1.0"), 451).await;
    let status = mirror.get(BLOCKS).send().await.expect(200).json();
    assert_eq!(status["blocked"], false, "the package is not");
    assert_eq!(status["data"][0]["scope"], "version");
    let missing = put(&mirror, &root, &format!("{BLOCKS}/9.9.9"), &json!({"reason": "x"})).await;
    assert_eq!(missing.expect(404).error(), "[NOT_FOUND] Version 9.9.9 not found for package lamp");
    delete(&mirror, &root, &path).await.expect(200);
    super::becomes(&mirror, "/lamp/1.1.0", 200).await;
    mirror.finish().await;
}

#[tokio::test]
async fn only_admins_block_and_only_with_a_reason() {
    let (mirror, root) = with_admin().await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    let (reader, _) = mirror.token("root", TokenKind::Readonly).await;
    let body = json!({"reason": "x"});
    let anonymous = mirror.request("PUT", BLOCKS).json(&body).send().await.expect(401);
    assert_eq!(anonymous.error(), "[UNAUTHORIZED] Login first");
    mirror.request("DELETE", BLOCKS).send().await.expect(401);
    for token in [&user, &reader] {
        put(&mirror, token, BLOCKS, &body).await.expect(403);
        put(&mirror, token, &format!("{BLOCKS}/1.0.0"), &body).await.expect(403);
        delete(&mirror, token, BLOCKS).await.expect(403);
    }
    mirror.token("root", TokenKind::Admin).await;
    for (body, error) in [
        (json!({}), "must have required property 'reason'"),
        (json!({"reason": "  "}), "reason: must NOT have fewer than 1 characters"),
        (json!({"reason": "x".repeat(10_241)}), "reason: must NOT have more than 10240 characters"),
    ] {
        let answer = put(&mirror, &root, BLOCKS, &body).await.expect(422);
        assert_eq!(answer.error(), format!("[INVALID_PARAM] {error}"));
    }
    let missing = put(&mirror, &root, "/-/package/ghost/blocks", &json!({"reason": "x"})).await;
    assert_eq!(missing.expect(404).error(), "[NOT_FOUND] ghost not found");
    mirror.get("/-/package/ghost/blocks").send().await.expect(404);
    mirror.request("POST", BLOCKS).token(&root).send().await.expect(405);
    assert_eq!(mirror.get(BLOCKS).send().await.expect(200).json()["blocked"], false);
    mirror.finish().await;
}
