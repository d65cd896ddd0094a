//! Who may ask for a sync, how often, and what everybody else is told.

use espejo::app::SyncMode;
use serde_json::json;
use store::{TaskState, WriteFn, tokens};

use super::package;
use crate::harness::{Answer, TestMirror, TokenKind};

async fn put(mirror: &TestMirror, token: Option<&str>, body: &serde_json::Value) -> Answer {
    let request = mirror.request("PUT", "/-/package/lamp/syncs").json(body);
    let request = match token {
        Some(token) => request.token(token),
        None => request,
    };
    request.send().await
}

async fn in_mode(mode: SyncMode) -> TestMirror {
    let mirror = TestMirror::builder().packages(&[package("lamp")]);
    mirror.serve(|settings| settings.sync_mode = mode).start().await
}

#[tokio::test]
async fn each_mode_lets_in_whom_it_says() {
    let none = "[FORBIDDEN] Not allow to sync package";
    let admin = "[FORBIDDEN] Only admin allow to sync package";
    let login = "[UNAUTHORIZED] Login first";
    for (mode, anonymous, user, of_admin) in [
        (SyncMode::None, none, none, none),
        (SyncMode::Admin, login, admin, ""),
        (SyncMode::Exist, login, "", ""),
        (SyncMode::All, login, "", ""),
    ] {
        let mirror = in_mode(mode).await;
        let (user_token, _) = mirror.token("me", TokenKind::User).await;
        let (admin_token, _) = mirror.token("root", TokenKind::Admin).await;
        let callers =
            [(None, anonymous), (Some(&user_token), user), (Some(&admin_token), of_admin)];
        for (token, error) in callers {
            for legacy in [false, true] {
                let path = if legacy { "/lamp/sync" } else { "/-/package/lamp/syncs" };
                let request = mirror.request("PUT", path);
                let request = match token {
                    Some(token) => request.token(token),
                    None => request,
                };
                let answer = request.send().await;
                if error.is_empty() {
                    answer.expect(201);
                } else {
                    let status = if error == login { 401 } else { 403 };
                    assert_eq!(answer.expect(status).error(), error, "{mode:?} {path}");
                }
            }
        }
        mirror.finish().await;
    }
}

#[tokio::test]
async fn without_accounts_everybody_may_ask_when_the_operator_says_so() {
    let mirror = TestMirror::builder().packages(&[package("lamp")]);
    let mirror = mirror.serve(|settings| settings.sync_anonymous = true).start().await;
    let created = put(&mirror, None, &json!({})).await.expect(201).json();
    let id = created["id"].as_str().expect("an id").parse().map(store::TaskId).expect("a UUID");
    let row = mirror.ended(id).await;
    assert_eq!((row.state, row.author.as_deref()), (TaskState::Success, None));
    assert_eq!(row.author_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(put(&mirror, Some("npm_unknown"), &json!({})).await.expect(401).status, 401);
    mirror.finish().await;
}

#[tokio::test]
async fn a_token_that_opens_nothing_is_told_why() {
    let mirror = in_mode(SyncMode::Exist).await;
    let invalid = "[UNAUTHORIZED] Invalid token";
    let (expired, _) = mirror.token("me", TokenKind::Expired).await;
    for (value, error) in [
        ("Bearer npm_unknown".to_owned(), invalid),
        ("Bearer with-dashes".to_owned(), invalid),
        ("Basic bWU6c2VjcmV0".to_owned(), invalid),
        ("Bearer".to_owned(), invalid),
        (format!("Bearer {expired}"), "[UNAUTHORIZED] Token expired"),
    ] {
        for target in ["/-/package/lamp/syncs", "/lamp/sync"] {
            let request = mirror.request("PUT", target).header("authorization", &value);
            let answer = request.send().await.expect(401);
            assert_eq!(answer.error(), error, "{value}");
            assert_eq!(answer.must("www-authenticate"), "Bearer");
        }
        let list = mirror.get("/-/tasks").header("authorization", &value).send().await;
        assert_eq!(list.expect(401).error(), error);
    }
    let (readonly, _) = mirror.token("me", TokenKind::Readonly).await;
    let mark = format!("{}...{}", &readonly[..6], &readonly[readonly.len() - 2..]);
    let refused = put(&mirror, Some(&readonly), &json!({})).await.expect(403).error();
    assert_eq!(refused, format!("[FORBIDDEN] Read-only Token \"{mark}\" can't sync"));
    let (elsewhere, _) = mirror.token("me", TokenKind::Elsewhere).await;
    let refused = put(&mirror, Some(&elsewhere), &json!({})).await.expect(403).error();
    assert!(refused.ends_with("may not be used from 127.0.0.1"), "{refused}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_from_then_on_and_using_one_writes_nothing() {
    let mirror = in_mode(SyncMode::Exist).await;
    let (token, key) = mirror.token("me", TokenKind::User).await;
    put(&mirror, Some(&token), &json!({})).await.expect(201);
    let digest = npm::Sha512Digest::from_hex(&key).expect("a key");
    let row = mirror.store().read(move |rows| tokens::find(rows, &digest)).await;
    assert_eq!(row.expect("a store").expect("a token").last_used_at_ms, None);
    let path = format!("/-/npm/v1/tokens/token/{key}");
    mirror.request("DELETE", &path).token(&token).send().await.expect(200);
    let answer = put(&mirror, Some(&token), &json!({})).await.expect(401);
    assert_eq!(answer.error(), "[UNAUTHORIZED] Invalid token");
    mirror.finish().await;
}

#[tokio::test]
async fn the_admins_token_of_the_first_start_is_an_ordinary_one() {
    let mirror = in_mode(SyncMode::Admin).await;
    let token = espejo::admin_token::Token::generate().expect("random bytes");
    let row = token.clone();
    let store: WriteFn =
        Box::new(move |rows| espejo::admin_token::store(rows, row.key(), &row.mark()));
    mirror.engine().write(store).await.expect("a writable store");
    put(&mirror, Some(token.text()), &json!({ "force": true })).await.expect(201);
    mirror.finish().await;
}

#[tokio::test]
async fn only_admins_force() {
    let mirror = in_mode(SyncMode::Exist).await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    for option in ["force", "forceSyncHistory"] {
        let refused = put(&mirror, Some(&user), &json!({ option: true })).await.expect(403);
        assert_eq!(refused.error(), format!("[FORBIDDEN] Only admin allow to use {option}"));
        put(&mirror, Some(&user), &json!({ option: false })).await.expect(201);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let mirror = TestMirror::builder().packages(&[package("lamp")]);
    let mirror = mirror.serve(|settings| settings.sync_per_minute = 2).start().await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    for _ in 0..5 {
        put(&mirror, Some(&admin), &json!({})).await.expect(201);
    }
    let mut refused = None;
    // a slow machine may win a request back before it has sent all of these
    for _ in 0..50 {
        let answer = put(&mirror, Some(&user), &json!({})).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect(201);
    }
    let refused = refused.expect("a limit");
    let error = refused.error();
    let expected = "[TOO_MANY_REQUESTS] more than 2 requests for a sync a minute from ";
    assert!(error.starts_with(expected), "{error}");
    let wait: u64 = refused.must("retry-after").parse().expect("seconds");
    assert!((1..=31).contains(&wait), "{wait}");
    put(&mirror, Some(&admin), &json!({})).await.expect(201);
    mirror.finish().await;
}
