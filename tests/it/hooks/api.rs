//! The routes of hooks: who may do what, and with which words the rest is refused.

use serde_json::json;

use super::{SECRET, World};
use crate::harness::{Answer, TestMirror, TokenKind};

const HOOKS: &str = "/-/npm/v1/hooks";
const HOOK: &str = "/-/npm/v1/hooks/hook";
const OUTSIDE: &str = "https://hooks.example/in";

#[tokio::test]
async fn a_hook_is_made_listed_changed_and_removed_by_its_owner_and_its_secret_is_never_shown() {
    let world = World::start(&[]).await;
    let wish =
        json!({ "type": "package", "name": " lamp ", "endpoint": OUTSIDE, "secret": SECRET });
    let ask = |method: &str, path: &str| world.mirror.request(method, path).token(&world.ada);
    let made = ask("POST", HOOK).json(&wish).send().await.expect(201);
    let shown = made.json();
    let id = shown["id"].as_str().expect("an id").to_owned();
    let expected = json!({
        "id": id, "username": "ada", "name": "lamp", "endpoint": OUTSIDE, "type": "package",
        "created": shown["created"], "updated": shown["created"], "delivered": false,
        "last_delivery": null, "response_code": 0, "status": "active",
    });
    assert_eq!(shown, expected);
    assert!(shown["created"].as_str().expect("a time").ends_with('Z'));
    let scope =
        json!({ "type": "scope", "name": "@garden", "endpoint": OUTSIDE, "secret": SECRET });
    let scope = ask("POST", HOOK).json(&scope).send().await.expect(201).json();
    let owner = json!({ "type": "owner", "name": "~eve", "endpoint": OUTSIDE, "secret": SECRET });
    let owner = ask("POST", HOOK).json(&owner).send().await.expect(201).json();
    assert_eq!(owner["name"], "eve");

    let ids = |answer: Answer| -> Vec<serde_json::Value> {
        let list = answer.expect(200).json()["objects"].as_array().expect("a list").clone();
        list.iter().map(|hook| hook["id"].clone()).collect()
    };
    let all = [shown["id"].clone(), scope["id"].clone(), owner["id"].clone()];
    assert_eq!(ids(ask("GET", HOOKS).send().await), all);
    assert_eq!(ids(ask("GET", "/-/npm/v1/hooks?offset=1&limit=1").send().await), all[1..2]);
    assert_eq!(ids(ask("GET", "/-/npm/v1/hooks?package=lamp").send().await), all[..1]);
    assert_eq!(ids(ask("GET", "/-/npm/v1/hooks?package=@garden").send().await), all[1..2]);
    assert_eq!(ids(ask("GET", "/-/npm/v1/hooks?package=other").send().await), all[..0]);

    let one = format!("{HOOK}/{id}");
    assert_eq!(ask("GET", &one).send().await.expect(200).json(), shown);
    let update = json!({ "endpoint": "https://hooks.example/2", "secret": "another" });
    let changed = ask("PUT", &one).json(&update).send().await.expect(200);
    assert_eq!(changed.json()["endpoint"], "https://hooks.example/2");
    let gone = ask("DELETE", &one).send().await.expect(200);
    assert!(gone.json()["deleted"].as_str().expect("a time").ends_with('Z'));
    ask("GET", &one).send().await.expect(404);
    for answer in [&made, &changed, &gone] {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains(SECRET) && !text.contains("another"), "{text}");
    }
    let (admin, _) = world.mirror.token("root", TokenKind::Admin).await;
    let audit = world.mirror.get("/-/audit").token(&admin).send().await.expect(200);
    let audit = String::from_utf8_lossy(&audit.body).into_owned();
    assert!(audit.contains("hook.remove") && !audit.contains(SECRET), "{audit}");
    world.mirror.finish().await;
}

#[tokio::test]
async fn hooks_of_others_are_refused_and_so_are_tokens_that_may_not_set() {
    let world = World::start(&[]).await;
    let id = world.hook_to("package", "lamp", OUTSIDE).await;
    let (eve, _) = world.mirror.token("eve", TokenKind::User).await;
    let (readonly, _) = world.mirror.token("ada", TokenKind::Readonly).await;
    let one = format!("{HOOK}/{id}");
    let body = json!({ "type": "scope", "name": "@a", "endpoint": OUTSIDE, "secret": "x" });
    let foreign = format!("[FORBIDDEN] hook {id} not belong to eve");
    for (method, path) in [
        ("GET", one.clone()),
        ("PUT", one.clone()),
        ("DELETE", one.clone()),
        ("GET", format!("{one}/deliveries")),
        ("POST", format!("{one}/test")),
    ] {
        let ask = || world.mirror.request(method, &path).json(&body);
        assert_eq!(ask().token(&eve).send().await.expect(403).error(), foreign, "{path}");
        assert_eq!(ask().send().await.expect(401).error(), "[UNAUTHORIZED] Login first");
        if method != "GET" {
            let refused = ask().token(&readonly).send().await.expect(403).error();
            assert!(refused.contains("can't setting"), "{refused}");
        }
    }
    world.mirror.get(HOOKS).token(&readonly).send().await.expect(200);
    let missing = format!("{HOOK}/0199c5d2-7b1e-7c44-9f0a-000000000000");
    let missing = world.mirror.get(&missing).token(&eve).send().await.expect(404).error();
    assert_eq!(missing, "[NOT_FOUND] hook 0199c5d2-7b1e-7c44-9f0a-000000000000 not found");
    world.mirror.finish().await;
}

#[tokio::test]
async fn bad_wishes_are_refused_with_the_first_broken_rule_before_anybody_is_asked_who_he_is() {
    let world = World::start(&[]).await;
    let good = json!({ "type": "package", "name": "lamp", "endpoint": OUTSIDE, "secret": "x" });
    for (field, value, told) in [
        ("type", json!(null), "must have required property 'type'"),
        ("type", json!("team"), "type: must be equal to constant"),
        ("type", json!(7), "type: must be string"),
        ("name", json!(null), "must have required property 'name'"),
        ("name", json!(" "), "name: must NOT have fewer than 1 characters"),
        ("name", json!("x".repeat(429)), "name: must NOT have more than 428 characters"),
        ("endpoint", json!(null), "must have required property 'endpoint'"),
        ("endpoint", json!("x".repeat(2049)), "endpoint: must NOT have more than 2048 characters"),
        ("endpoint", json!("hooks"), "endpoint: it is no web address"),
        ("endpoint", json!("ftp://a/"), "endpoint: only http and https addresses are called"),
        ("endpoint", json!("http://a:b@c/"), "endpoint: it holds a user name or password"),
        ("secret", json!(null), "must have required property 'secret'"),
        ("secret", json!("x".repeat(201)), "secret: must NOT have more than 200 characters"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answer = world.mirror.request("POST", HOOK).json(&body).send().await;
        assert_eq!(answer.expect(422).error(), format!("[INVALID_PARAM] {told}"));
    }
    for query in ["limit=0", "limit=101", "limit=x", "offset=-1"] {
        let path = format!("{HOOKS}?{query}");
        world.mirror.get(&path).token(&world.ada).send().await.expect(422);
    }
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_user_has_one_hook_for_a_target_and_twenty_in_all() {
    let mirror = TestMirror::builder().serve(|serve| serve.hooks_per_user = 2).start().await;
    let (ada, _) = mirror.token("ada", TokenKind::User).await;
    let add = async |name: &str| {
        let wish = json!({ "type": "package", "name": name, "endpoint": OUTSIDE, "secret": "x" });
        mirror.request("POST", HOOK).token(&ada).json(&wish).send().await
    };
    add("lamp").await.expect(201);
    add("lamp").await.expect(409);
    add("tidy-list").await.expect(201);
    assert_eq!(add("other").await.expect(403).error(), "[FORBIDDEN] hooks limit exceeded");
    mirror.finish().await;
}

#[tokio::test]
async fn endpoints_inside_are_refused_unless_they_are_allowed() {
    let mirror = TestMirror::builder().start().await;
    let (ada, _) = mirror.token("ada", TokenKind::User).await;
    for endpoint in [
        "http://127.0.0.1:9/",
        "http://[::1]/",
        "http://2130706433/",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
    ] {
        let wish = json!({ "type": "package", "name": "a", "endpoint": endpoint, "secret": "x" });
        let refused = mirror.request("POST", HOOK).token(&ada).json(&wish).send().await;
        let refused = refused.expect(422).error();
        assert!(refused.contains("hooks.allow_private does not list it"), "{refused}");
    }
    mirror.finish().await;
}
