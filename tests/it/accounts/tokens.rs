//! `/-/npm/v1/tokens`: making, listing and ending tokens, classic and granular.

use serde_json::{Value, json};

use super::{PASSWORD, new_token, open, post, register, text};
use crate::harness::TestMirror;

const TOKENS: &str = "/-/npm/v1/tokens";
const GRANULAR: &str = "/-/npm/v1/tokens/gat";

async fn list(mirror: &TestMirror, path: &str, token: &str) -> Vec<Value> {
    let body = mirror.get(path).token(token).send().await.expect(200).json();
    let objects = body["objects"].as_array().expect("a list").clone();
    assert_eq!((&body["total"], &body["urls"]), (&json!(objects.len()), &json!({})));
    objects
}

#[tokio::test]
async fn a_classic_token_is_shown_once_listed_by_its_mark_and_ended_by_its_key_or_text() {
    let mirror = open().await;
    let login = register(&mirror, "ada").await;
    let ranges = json!(["127.0.0.1", "192.168.1.0/24"]);
    let made =
        new_token(&mirror, &login, json!({ "cidr_whitelist": ranges, "readonly": true })).await;
    let full = text(&made["token"]).to_owned();
    assert!(espejo::admin_token::is_well_formed(&full));
    assert_eq!(made["key"], npm::Sha512Digest::of(full.as_bytes()).to_hex());
    assert_eq!((&made["cidr_whitelist"], &made["readonly"]), (&ranges, &json!(true)));
    assert_eq!((&made["automation"], &made["created"]), (&json!(false), &made["updated"]));

    let listed = list(&mirror, TOKENS, &login).await;
    assert_eq!(listed.len(), 2, "that of the login and the new one");
    assert_eq!(listed[0]["cidr_whitelist"], Value::Null);
    assert_eq!(listed[1]["token"], format!("{}...{}", &full[..6], &full[38..]));
    assert_eq!((&listed[1]["key"], &listed[1]["lastUsedAt"]), (&made["key"], &Value::Null));
    assert!(!listed.iter().any(|row| row.to_string().contains(&full)), "{listed:?}");

    let other = new_token(&mirror, &login, json!({})).await;
    for named in [text(&made["key"]), text(&other["token"])] {
        let path = format!("{TOKENS}/token/{named}");
        let ended = mirror.request("DELETE", &path).token(&login).send().await.expect(200);
        assert_eq!(ended.json(), json!({ "ok": true }));
    }
    mirror.get("/-/whoami").token(&full).send().await.expect(401);
    mirror.get("/-/whoami").token(text(&other["token"])).send().await.expect(401);
    assert_eq!(list(&mirror, TOKENS, &login).await.len(), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_token_needs_the_password_and_a_token_that_may_make_one() {
    let mirror = open().await;
    let login = register(&mirror, "ada").await;
    let nobody = mirror.request("POST", TOKENS).json(&json!({ "password": PASSWORD }));
    assert_eq!(nobody.send().await.expect(401).error(), "[UNAUTHORIZED] Login first");
    let wrong = post(&mirror, TOKENS, &login, &json!({ "password": "wrong horse" })).await;
    assert_eq!(wrong.expect(401).error(), "[UNAUTHORIZED] Invalid password");
    let none = post(&mirror, TOKENS, &login, &json!({})).await.expect(422);
    assert_eq!(none.error(), "[INVALID_PARAM] must have required property 'password'");
    let odd = json!({ "password": PASSWORD, "cidr_whitelist": ["nonsense"] });
    post(&mirror, TOKENS, &login, &odd).await.expect(422);
    for (limit, kind) in [("readonly", "Read-only"), ("automation", "Automation")] {
        let made = new_token(&mirror, &login, json!({ limit: true })).await;
        let (limited, key) = (text(&made["token"]), text(&made["key"]));
        let mark = format!("{}...{}", &limited[..6], &limited[38..]);
        let error = format!("[FORBIDDEN] {kind} Token \"{mark}\" can't setting");
        let path = format!("{TOKENS}/token/{key}");
        for answer in [
            post(&mirror, TOKENS, limited, &json!({ "password": PASSWORD })).await,
            mirror.get(TOKENS).token(limited).send().await,
            mirror.request("DELETE", &path).token(limited).send().await,
        ] {
            assert_eq!(answer.expect(403).error(), error);
        }
        mirror.get("/-/whoami").token(limited).send().await.expect(200);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn tokens_of_others_are_theirs_and_an_admins_business() {
    let mirror = open().await;
    let (ada, eve) = (register(&mirror, "ada").await, register(&mirror, "eve").await);
    let key = npm::Sha512Digest::of(ada.as_bytes()).to_hex();
    let path = format!("{TOKENS}/token/{key}");
    let refused = mirror.request("DELETE", &path).token(&eve).send().await.expect(403);
    assert_eq!(refused.error(), format!("[FORBIDDEN] Not authorized to remove token \"{key}\""));
    let text_path = format!("{TOKENS}/token/{ada}");
    let refused = mirror.request("DELETE", &text_path).token(&eve).send().await.expect(403);
    assert!(!refused.text().contains(&ada), "a token is not for answers");
    let unknown = format!("{TOKENS}/token/{}", "0".repeat(128));
    let unknown = mirror.request("DELETE", &unknown).token(&eve).send().await.expect(404);
    assert!(unknown.error().ends_with("\" not exists"), "{}", unknown.error());
    let (root, _) = mirror.token("root", crate::harness::TokenKind::Admin).await;
    mirror.request("DELETE", &path).token(&root).send().await.expect(200);
    mirror.get("/-/whoami").token(&ada).send().await.expect(401);
    mirror.finish().await;
}

#[tokio::test]
async fn a_granular_token_has_a_name_an_end_and_limits() {
    let mirror = open().await;
    let login = register(&mirror, "ada").await;
    let wish = json!({
        "name": "ci", "description": "builds", "expires": 30,
        "allowedPackages": ["lamp"], "allowedScopes": ["@garden"],
    });
    let made = post(&mirror, GRANULAR, &login, &wish).await.expect(201).json();
    assert_eq!((&made["name"], &made["allowedPackages"]), (&json!("ci"), &json!(["lamp"])));
    let again = post(&mirror, GRANULAR, &login, &wish).await.expect(409);
    assert_eq!(again.error(), "[CONFLICT] name: ada has a token named \"ci\"");
    let token = text(&made["token"]).to_owned();

    let listed = list(&mirror, GRANULAR, &login).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["type"], &listed[0]["description"]),
        (&json!("granular"), &json!("builds"))
    );
    assert!(text(&listed[0]["expiredAt"]) > text(&listed[0]["created"]));
    assert_eq!(list(&mirror, TOKENS, &login).await.len(), 1, "only that of the login");
    let me = mirror.get("/-/whoami").token(&token).send().await.expect(200).json();
    assert_eq!(
        (&me["username"], &me["name"], &me["type"]),
        (&json!("ada"), &json!("ci"), &json!("granular"))
    );
    assert_eq!(me["key"], made["key"]);
    let refused = post(&mirror, GRANULAR, &token, &json!({ "name": "x", "expires": 1 })).await;
    assert!(refused.expect(403).error().starts_with("[FORBIDDEN] Granular Token "));

    let path = format!("{GRANULAR}/{}", text(&made["key"]));
    let ended = mirror.request("DELETE", &path).token(&login).send().await.expect(204);
    assert!(ended.body.is_empty());
    mirror.get("/-/whoami").token(&token).send().await.expect(401);
    mirror.finish().await;
}

#[tokio::test]
async fn npm_11_makes_limited_tokens_with_the_route_of_classic_ones() {
    let mirror = open().await;
    let login = register(&mirror, "ada").await;
    let wish = json!({
        "name": "ci", "expires": 7, "scopes": ["@garden"],
        "packages_and_scopes_permission": "read-only",
    });
    let made = new_token(&mirror, &login, wish).await;
    assert_eq!((&made["readonly"], &made["allowedScopes"]), (&json!(true), &json!(["@garden"])));
    assert!(made["expires"].is_string(), "{made}");
    let listed = list(&mirror, TOKENS, &login).await;
    assert!(listed.iter().any(|row| row["name"] == "ci" && row["key"] == made["key"]));
    mirror.finish().await;
}

#[tokio::test]
async fn a_token_that_is_bounded_makes_no_other_without_the_password() {
    let mirror = open().await;
    let login = register(&mirror, "ada").await;
    let here = new_token(&mirror, &login, json!({ "cidr_whitelist": ["127.0.0.0/8"] })).await;
    let here = text(&here["token"]);
    let wish = json!({ "name": "elsewhere", "expires": 365 });
    let refused = post(&mirror, GRANULAR, here, &wish).await.expect(401);
    assert_eq!(refused.error(), "[UNAUTHORIZED] Invalid password");
    let mut known = wish.clone();
    known["password"] = PASSWORD.into();
    post(&mirror, GRANULAR, here, &known).await.expect(201);
    mirror.finish().await;
}
