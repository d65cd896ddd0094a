//! `/-/npm/v1/user`: `npm profile get` and `set`.

use serde_json::json;

use super::{PASSWORD, credentials, new_token, open, post, put, register, text};

const PROFILE: &str = "/-/npm/v1/user";

#[tokio::test]
async fn a_profile_is_for_its_user_and_its_address_can_be_changed() {
    let mirror = open().await;
    let token = register(&mirror, "ada").await;
    assert_eq!(mirror.get(PROFILE).send().await.expect(401).error(), "[UNAUTHORIZED] Login first");
    let profile = mirror.get(PROFILE).token(&token).send().await.expect(200).json();
    assert_eq!((&profile["name"], &profile["email"]), (&json!("ada"), &json!("ada@garden.test")));
    assert_eq!(profile["email_verified"], false);
    assert!(text(&profile["created"]).ends_with('Z'));
    // npm sends everything it knows, most of it as null
    let change = json!({ "email": "a@garden.test", "password": null, "fullname": null });
    let changed = post(&mirror, PROFILE, &token, &change).await.expect(200).json();
    assert_eq!(changed["email"], "a@garden.test");
    let profile = mirror.get(PROFILE).token(&token).send().await.expect(200).json();
    assert_eq!(profile["email"], "a@garden.test");
    let refused = post(&mirror, PROFILE, &token, &json!({ "fullname": "Ada" })).await.expect(403);
    assert_eq!(refused.error(), "[FORBIDDEN] npm profile set of \"fullname\" is not allowed");
    let refused = post(&mirror, PROFILE, &token, &json!({ "email": "nowhere" })).await.expect(422);
    assert_eq!(refused.error(), "[INVALID_PARAM] email: must match format \"email\"");
    mirror.request("PUT", PROFILE).token(&token).send().await.expect(405);
    mirror.finish().await;
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_old_one() {
    let mirror = open().await;
    let token = register(&mirror, "ada").await;
    let change = |old: &str, new: &str| json!({ "password": { "old": old, "new": new } });
    let wrong = post(&mirror, PROFILE, &token, &change("wrong horse", "another horse")).await;
    assert_eq!(wrong.expect(401).error(), "[UNAUTHORIZED] Invalid password");
    let short = post(&mirror, PROFILE, &token, &change(PASSWORD, "short")).await.expect(422);
    let rule = "[INVALID_PARAM] password/new: must NOT have fewer than 8 characters";
    assert_eq!(short.error(), rule);
    put(&mirror, "ada", &credentials("ada")).await.expect(201);
    post(&mirror, PROFILE, &token, &change(PASSWORD, "another horse")).await.expect(200);
    put(&mirror, "ada", &credentials("ada")).await.expect(401);
    let mut new = credentials("ada");
    new["password"] = json!("another horse");
    put(&mirror, "ada", &new).await.expect(201);
    mirror.finish().await;
}

#[tokio::test]
async fn limited_tokens_change_no_account() {
    let mirror = open().await;
    let token = register(&mirror, "ada").await;
    for (body, kind) in [
        (json!({ "readonly": true }), "Read-only"),
        (json!({ "automation": true }), "Automation"),
        (json!({ "packages": ["lamp"] }), "Granular"),
    ] {
        let made = new_token(&mirror, &token, body).await;
        let limited = text(&made["token"]);
        mirror.get(PROFILE).token(limited).send().await.expect(200);
        let change = json!({ "email": "eve@garden.test" });
        let refused = post(&mirror, PROFILE, limited, &change).await.expect(403).error();
        assert!(refused.starts_with(&format!("[FORBIDDEN] {kind} Token \"npm_")), "{refused}");
        assert!(refused.ends_with("\" can't setting"), "{refused}");
    }
    mirror.finish().await;
}
