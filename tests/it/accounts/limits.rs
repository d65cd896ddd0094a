//! What a token is kept from: packages, scopes, addresses; and what is noted of its use.

use serde_json::json;
use store::tokens;

use super::{builder, new_token, open, register, text};
use crate::harness::{Answer, TestMirror, until};

async fn sync(mirror: &TestMirror, package: &str, token: &str) -> Answer {
    let path = format!("/-/package/{package}/syncs");
    mirror.request("PUT", &path).token(token).send().await
}

#[tokio::test]
async fn a_token_changes_its_packages_and_scopes_alone_and_gives_no_admins_rights() {
    let mut mirror = open().await;
    let login = register(&mirror, "ada").await;
    let wish = json!({ "packages": ["lamp"], "scopes": ["@garden"] });
    let made = new_token(&mirror, &login, wish).await;
    let token = text(&made["token"]);
    // an admin's token that is for a few packages is for those alone, too
    for admins in [vec![], vec!["ada".to_owned()]] {
        mirror.change_serve(|settings| settings.admins = admins).await;
        sync(&mirror, "lamp", token).await.expect(201);
        sync(&mirror, "@garden%2fui", token).await.expect(201);
        let refused = sync(&mirror, "other", token).await.expect(403);
        assert_eq!(refused.error(), "[FORBIDDEN] can't access package \"other\"");
        let legacy = mirror.request("PUT", "/other/sync").token(token).send().await;
        assert_eq!(legacy.expect(403).error(), "[FORBIDDEN] can't access package \"other\"");
        let force = mirror.request("PUT", "/-/package/lamp/syncs").token(token);
        force.json(&json!({ "force": true })).send().await.expect(403);
        mirror.get("/lamp").token(token).send().await.expect(200);
    }
    let force = mirror.request("PUT", "/-/package/lamp/syncs").token(&login);
    force.json(&json!({ "force": true })).send().await.expect(201);
    mirror.finish().await;
}

#[tokio::test]
async fn addresses_are_those_a_trusted_proxy_names() {
    let proxied = builder().serve(|settings| {
        settings.registration_open = true;
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a range")];
    });
    let mirror = proxied.start().await;
    let login = register(&mirror, "ada").await;
    let made = new_token(&mirror, &login, json!({ "cidr_whitelist": ["192.0.2.0/24"] })).await;
    let token = text(&made["token"]);
    let from =
        |address: &str| mirror.get("/-/whoami").token(token).header("x-forwarded-for", address);
    from("192.0.2.9").send().await.expect(200);
    from("192.0.2.9, 127.0.0.1").send().await.expect(200);
    // what the client itself claims stands in front of the proxy's word
    let refused = from("192.0.2.9, 198.51.100.1").send().await.expect(403);
    assert!(refused.error().ends_with("may not be used from 198.51.100.1"), "{}", refused.error());
    mirror.get("/-/whoami").token(token).send().await.expect(403);
    mirror.finish().await;
}

#[tokio::test]
async fn the_time_of_use_is_written_behind_the_requests() {
    let mut mirror = open().await;
    let login = register(&mirror, "ada").await;
    let key = npm::Sha512Digest::of(login.as_bytes());
    let used = |mirror: &TestMirror| {
        let store = mirror.store();
        async move {
            let row = store.read(move |rows| tokens::find(rows, &key)).await.expect("a store");
            row.expect("a token").last_used_at_ms
        }
    };
    for _ in 0..3 {
        mirror.get("/-/whoami").token(&login).send().await.expect(200);
    }
    assert_eq!(used(&mirror).await, None, "no request writes");
    // what was not written yet is when the mirror stops
    mirror.restart().await;
    let written = until("the time of use", || used(&mirror)).await;
    assert!(written > 0);
    let listed = mirror.get("/-/npm/v1/tokens").token(&login).send().await.expect(200).json();
    assert!(listed["objects"][0]["lastUsedAt"].is_string(), "{listed}");
    mirror.finish().await;
}
