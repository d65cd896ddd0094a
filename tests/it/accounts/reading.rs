//! `security.always_auth`: reading needs a token, too.

use serde_json::json;
use store::users::UserChange;
use store::{WriteFn, tokens};

use super::{builder, change_user, credentials, put};
use crate::harness::{TestMirror, TokenKind, until};

async fn closed() -> TestMirror {
    builder().serve(|settings| settings.always_auth = true).start().await
}

#[tokio::test]
async fn nothing_but_logins_and_health_is_read_without_a_token() {
    let mirror = closed().await;
    let (token, _) = mirror.token("me", TokenKind::Readonly).await;
    for path in [
        "/",
        "/lamp",
        "/lamp/1.0.0",
        "/lamp/-/lamp-1.0.0.tgz",
        "/@garden%2fui",
        "/_changes",
        "/_all_docs",
        "/registry/_changes",
        "/-/tasks",
        "/-/package/lamp/dist-tags",
        "/-/metrics",
        "/-/npm/v1/tokens",
        "/-/user/org.couchdb.user:me",
        "/-/no-such-route",
    ] {
        for method in ["GET", "HEAD"] {
            let refused = mirror.request(method, path).send().await.expect(401);
            assert_eq!(refused.must("www-authenticate"), "Bearer", "{path}");
        }
        let refused = mirror.get(path).send().await.error();
        assert_eq!(refused, "[UNAUTHORIZED] Login first", "{path}");
        let wrong = mirror.get(path).token("npm_unknown").send().await.expect(401).error();
        assert_eq!(wrong, "[UNAUTHORIZED] Invalid token", "{path}");
        let answer = mirror.get(path).token(&token).send().await;
        assert_ne!(answer.status, 401, "{path}");
    }
    let refused = mirror.request("PUT", "/-/package/lamp/syncs").json(&json!({})).send().await;
    refused.expect(401);
    for path in ["/-/ping", "/-/livez", "/-/readyz"] {
        mirror.get(path).send().await.expect(200);
    }
    assert_eq!(put(&mirror, "me", &credentials("me")).await.expect(401).status, 401);
    mirror.request("OPTIONS", "/lamp").send().await.expect(204);
    mirror.finish().await;
}

#[tokio::test]
async fn what_a_token_opened_is_for_no_shared_cache() {
    let mirror = closed().await;
    let (token, _) = mirror.token("me", TokenKind::User).await;
    let tarball = mirror.get("/lamp/-/lamp-1.0.0.tgz").token(&token).send().await.expect(200);
    let kept = tarball.must("cache-control");
    assert!(kept.starts_with("private, "), "{kept}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_revoked_token_reads_nothing_from_then_on() {
    let mirror = closed().await;
    let (token, key) = mirror.token("me", TokenKind::User).await;
    for _ in 0..3 {
        mirror.get("/lamp").token(&token).send().await.expect(200);
        mirror.get("/lamp/-/lamp-1.0.0.tgz").token(&token).send().await.expect(200);
    }
    let path = format!("/-/npm/v1/tokens/token/{key}");
    mirror.request("DELETE", &path).token(&token).send().await.expect(200);
    for path in ["/lamp", "/lamp/-/lamp-1.0.0.tgz"] {
        mirror.get(path).token(&token).send().await.expect(401);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn what_another_node_revokes_ends_here_soon() {
    let mirror = closed().await;
    let (token, key) = mirror.token("me", TokenKind::User).await;
    let (other, _) = mirror.token("you", TokenKind::User).await;
    for token in [&token, &other] {
        mirror.get("/lamp").token(token).send().await.expect(200);
    }
    // written past this node's server, as another node does
    let key = npm::Sha512Digest::from_hex(&key).expect("a key");
    let revoke: WriteFn = Box::new(move |rows| tokens::delete(rows, &key).map(drop));
    mirror.engine().write(revoke).await.expect("a writable store");
    let locked = UserChange { disabled: Some(true), ..UserChange::default() };
    change_user(&mirror, "you", locked).await;
    for token in [&token, &other] {
        let mirror = &mirror;
        until("the end of a token", || async move {
            let answer = mirror.get("/lamp").token(token).send().await;
            (answer.status == 401).then_some(())
        })
        .await;
    }
    mirror.finish().await;
}
