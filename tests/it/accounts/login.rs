//! `PUT /-/user/org.couchdb.user:NAME`, its reading, logging out.

use serde_json::json;
use store::users::{self, UserChange};

use super::{PASSWORD, add_user, builder, change_user, credentials, open, put, register, text};
use crate::harness::TestMirror;

#[tokio::test]
async fn whoever_registers_is_logged_in_and_can_log_in_again() {
    let mirror = open().await;
    let first = put(&mirror, "ada", &credentials("ada")).await.expect(201).json();
    assert_eq!((&first["ok"], &first["id"]), (&json!(true), &json!("org.couchdb.user:ada")));
    assert!(text(&first["rev"]).starts_with("1-"), "{first}");
    assert!(espejo::admin_token::is_well_formed(text(&first["token"])));
    let second = put(&mirror, "ada", &credentials("ada")).await.expect(201).json();
    assert_ne!(first["token"], second["token"]);
    for token in [&first["token"], &second["token"]] {
        let me = mirror.get("/-/whoami").token(text(token)).send().await.expect(200).json();
        assert_eq!(me, json!({ "username": "ada" }));
    }
    // npm sends no address with a login, and another form of the path after a conflict
    let login = json!({ "name": "ada", "password": PASSWORD, "type": "user" });
    put(&mirror, "ada/-rev/1-abc", &login).await.expect(201);
    let escaped = mirror.request("PUT", "/-/user/org.couchdb.user%3Aada").json(&login).send().await;
    escaped.expect(201);
    // an unknown one without an address is made, too
    put(&mirror, "bea", &json!({ "name": "bea", "password": PASSWORD, "type": "user" }))
        .await
        .expect(201);
    mirror.finish().await;
}

#[tokio::test]
async fn every_wrong_login_is_told_why() {
    let mirror = open().await;
    register(&mirror, "ada").await;
    let with = |field: &str, value: serde_json::Value| {
        let mut body = credentials("ada");
        body[field] = value;
        body
    };
    let mismatch = "[INVALID_PARAM] username(ada) not match user.name(eve)";
    for (body, status, error) in [
        (
            with("password", json!("wrong horse")),
            401,
            "[UNAUTHORIZED] Please check your login name and password",
        ),
        (
            with("email", json!("eve@garden.test")),
            409,
            "[CONFLICT] User \"ada\" has another e-mail address",
        ),
        (with("name", json!("eve")), 422, mismatch),
        (
            with("password", json!("short")),
            422,
            "[INVALID_PARAM] password: must NOT have fewer than 8 characters",
        ),
        (with("type", json!("robot")), 422, "[INVALID_PARAM] type: must be equal to constant"),
        (
            with("email", json!("nowhere")),
            422,
            "[INVALID_PARAM] email: must match format \"email\"",
        ),
        (json!({}), 422, "[INVALID_PARAM] must have required property 'type'"),
        (json!([]), 422, "[INVALID_PARAM] must be object"),
    ] {
        let answer = put(&mirror, "ada", &body).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, error), "{body}");
    }
    put(&mirror, "ada", &with("_id", json!("org.couchdb.user:eve"))).await.expect(422);
    // a wrong password says nothing about the address
    let mut both = with("email", json!("eve@garden.test"));
    both["password"] = json!("wrong horse");
    put(&mirror, "ada", &both).await.expect(401);
    let broken = mirror.request("PUT", "/-/user/org.couchdb.user:ada");
    let broken = broken.body("application/json", "{\"password\":\"hush").send().await.expect(400);
    assert!(!broken.text().contains("hush"), "{}", broken.text());
    for name in ["Ada", "a%20b", "-ada"] {
        let plain = name.replace("%20", " ");
        let mut body = credentials(&plain);
        body["email"] = json!("x@garden.test");
        put(&mirror, name, &body).await.expect(422);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn closed_registration_stops_new_accounts_and_no_login() {
    let mut mirror = open().await;
    register(&mirror, "ada").await;
    mirror.change_serve(|settings| settings.registration_open = false).await;
    put(&mirror, "ada", &credentials("ada")).await.expect(201);
    let refused = put(&mirror, "bea", &credentials("bea")).await.expect(403);
    assert_eq!(refused.error(), "[FORBIDDEN] Public registration is not allowed");
    // a login of somebody unknown looks like one with a wrong password
    let login =
        |name: &str, password: &str| json!({ "name": name, "password": password, "type": "user" });
    let unknown = put(&mirror, "bea", &login("bea", PASSWORD)).await.expect(401);
    let wrong = put(&mirror, "ada", &login("ada", "wrong horse")).await.expect(401);
    assert_eq!(unknown.error(), wrong.error());
    // an account without a password is opened by none
    add_user(&mirror, "cara", true).await;
    put(&mirror, "cara", &login("cara", PASSWORD)).await.expect(401);
    mirror.finish().await;
}

#[tokio::test]
async fn without_an_address_a_known_and_an_unknown_name_are_refused_in_the_same_words() {
    let mut mirror = open().await;
    register(&mirror, "ada").await;
    let without = |name: &str| {
        let mut body = credentials(name);
        body["password"] = json!("wrong horse");
        body["email"] = json!("");
        body
    };
    let with = |name: &str| {
        let mut body = without(name);
        body["email"] = json!("ada@garden.test");
        body
    };
    let told = async |mirror: &TestMirror, name: &str| {
        let mut all = Vec::new();
        for body in [without(name), with(name)] {
            let answer = put(mirror, name, &body).await;
            all.push((answer.status, answer.error()));
        }
        all
    };
    let login = (401, "[UNAUTHORIZED] Please check your login name and password".to_owned());
    let closed = (403, "[FORBIDDEN] Public registration is not allowed".to_owned());
    // where people register, a name that nobody may take is as one that an admin has
    mirror.change_serve(|settings| settings.admins = vec!["ada".into(), "bea".into()]).await;
    for _ in 0..2 {
        let (known, unknown) = (told(&mirror, "ada").await, told(&mirror, "bea").await);
        assert_eq!(known, [login.clone(), login.clone()]);
        assert_eq!(unknown, [login.clone(), closed.clone()]);
        mirror
            .change_serve(|settings| {
                settings.registration_open = false;
                settings.admins = Vec::new();
            })
            .await;
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_password_is_hashed_anew_at_the_login_behind_a_change_of_its_cost() {
    let mut mirror = open().await;
    register(&mirror, "ada").await;
    let hash = async |mirror: &TestMirror| {
        let row = mirror.store().read(|rows| users::find(rows, "ada")).await.expect("a store");
        row.and_then(|row| row.password).expect("a password").0
    };
    assert!(hash(&mirror).await.starts_with("$2b$04$"));
    mirror.change_serve(|settings| settings.password_cost = 5).await;
    let mut wrong = credentials("ada");
    wrong["password"] = json!("wrong horse");
    put(&mirror, "ada", &wrong).await.expect(401);
    assert!(hash(&mirror).await.starts_with("$2b$04$"));
    put(&mirror, "ada", &credentials("ada")).await.expect(201);
    let anew = hash(&mirror).await;
    assert!(anew.starts_with("$2b$05$"), "{anew}");
    put(&mirror, "ada", &wrong).await.expect(401);
    put(&mirror, "ada", &credentials("ada")).await.expect(201);
    assert_eq!(hash(&mirror).await, anew, "once");
    mirror.finish().await;
}

#[tokio::test]
async fn nobody_registers_as_an_admin_and_those_who_are_may_everything() {
    let mut mirror = open().await;
    let token = register(&mirror, "ada").await;
    let force = |token: String| {
        let request = mirror.request("PUT", "/-/package/lamp/syncs").token(&token);
        request.json(&json!({ "force": true }))
    };
    force(token.clone()).send().await.expect(403);
    mirror.change_serve(|settings| settings.admins = vec!["ada".into(), "bea".into()]).await;
    let request = mirror.request("PUT", "/-/package/lamp/syncs").token(&token);
    request.json(&json!({ "force": true })).send().await.expect(201);
    let refused = put(&mirror, "bea", &credentials("bea")).await.expect(403);
    assert_eq!(refused.error(), "[FORBIDDEN] Public registration is not allowed");
    mirror.finish().await;
}

#[tokio::test]
async fn a_locked_account_opens_nothing() {
    let mirror = open().await;
    let token = register(&mirror, "ada").await;
    let locked = UserChange { disabled: Some(true), ..UserChange::default() };
    change_user(&mirror, "ada", locked).await;
    for answer in [
        put(&mirror, "ada", &credentials("ada")).await,
        mirror.get("/-/whoami").token(&token).send().await,
    ] {
        assert_eq!(answer.expect(401).error(), "[UNAUTHORIZED] Account disabled");
    }
    // only who knows the password is told
    let mut wrong = credentials("ada");
    wrong["password"] = json!("wrong horse");
    let refused = put(&mirror, "ada", &wrong).await.expect(401).error();
    assert_eq!(refused, "[UNAUTHORIZED] Please check your login name and password");
    mirror.finish().await;
}

#[tokio::test]
async fn a_user_is_read_by_all_and_his_address_by_those_who_are_logged_in() {
    let mirror = open().await;
    let token = register(&mirror, "ada").await;
    let path = "/-/user/org.couchdb.user:ada?write=true";
    let public = mirror.get(path).send().await.expect(200).json();
    assert_eq!((&public["_id"], &public["name"]), (&json!("org.couchdb.user:ada"), &json!("ada")));
    assert!(public.get("email").is_none() && public["_rev"].is_string(), "{public}");
    let known = mirror.get(path).token(&token).send().await.expect(200).json();
    assert_eq!(known["email"], "ada@garden.test");
    let nobody = mirror.get("/-/user/org.couchdb.user:nobody").send().await.expect(404);
    assert_eq!(nobody.error(), "[NOT_FOUND] User \"nobody\" not found");
    mirror.request("DELETE", "/-/user/org.couchdb.user:ada").send().await.expect(405);
    mirror.get("/-/user/ada").send().await.expect(404);
    mirror.finish().await;
}

#[tokio::test]
async fn logging_out_ends_the_token_at_once_and_no_other() {
    let mirror = open().await;
    let (token, other) = (register(&mirror, "ada").await, register(&mirror, "ada").await);
    let out = |path: &str| mirror.request("DELETE", &format!("/-/user/token/{path}"));
    assert_eq!(out(&token).send().await.expect(200).json(), json!({ "ok": false }));
    let wrong = out(&other).token(&token).send().await.expect(422);
    assert_eq!(wrong.error(), "[INVALID_PARAM] invalid token");
    mirror.get("/-/whoami").token(&token).send().await.expect(200);
    assert_eq!(out(&token).token(&token).send().await.expect(200).json(), json!({ "ok": true }));
    mirror.get("/-/whoami").token(&token).send().await.expect(401);
    mirror.get("/-/whoami").token(&other).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn who_tries_too_many_passwords_has_to_wait() {
    let limited = builder().serve(|settings| settings.login_per_minute = 3);
    let mirror = limited.start().await;
    add_user(&mirror, "ada", false).await;
    let mut refused = None;
    // a slow machine may win a try back before it has sent all of these
    for _ in 0..50 {
        let answer = put(&mirror, "ada", &credentials("ada")).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        answer.expect(401);
    }
    let refused = refused.expect("a limit");
    assert!(refused.error().starts_with("[TOO_MANY_REQUESTS] more than 3 logins a minute from "));
    let wait: u64 = refused.must("retry-after").parse().expect("seconds");
    assert!((1..=21).contains(&wait), "{wait}");
    mirror.finish().await;
}
