//! The same with nothing but `curl`.

use serde_json::json;

use super::*;

/// `curl`'s status and JSON.
async fn curl(setting: &Setting, path: &str, arguments: &[&str]) -> (u16, Value) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--write-out", "\n%{http_code}"]).args(arguments);
    command.arg(format!("{}{path}", setting.mirror.url()));
    // no file of settings of whoever runs the tests
    command.env("HOME", setting.scratch.path()).env("CURL_HOME", setting.scratch.path());
    let said = ended(command).await.well();
    let (body, status) = said.rsplit_once('\n').expect("a status");
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect(body) };
    (status.parse().expect("a status"), body)
}

/// Sends JSON.
async fn send_json(
    setting: &Setting,
    method: &str,
    path: &str,
    who: &[&str],
    body: Value,
) -> (u16, Value) {
    let body = body.to_string();
    let mut arguments =
        vec!["--request", method, "--header", "content-type: application/json", "--data", &body];
    arguments.extend(who);
    curl(setting, path, &arguments).await
}

fn bearer(token: &Value) -> String {
    format!("authorization: Bearer {}", token.as_str().expect("a token"))
}

fn is_here() -> bool {
    let here = Command::new("curl").arg("--version").output().is_ok();
    if !here {
        eprintln!("left out: there is no curl here");
    }
    here
}

const ADA: &str = "/-/user/org.couchdb.user:ada";

fn login(password: &str) -> Value {
    json!({ "name": "ada", "password": password, "type": "user" })
}

#[tokio::test]
async fn curl_makes_an_account_logs_in_changes_the_password_and_logs_out() {
    if !is_here() {
        return;
    }
    let setting = Setting::new().await;
    let mut account = login(PASSWORD);
    account["email"] = json!("ada@garden.test");
    let (status, made) = send_json(&setting, "PUT", ADA, &[], account).await;
    assert_eq!((status, &made["ok"]), (201, &json!(true)), "{made}");
    assert_eq!(made["id"], "org.couchdb.user:ada");
    // as CouchDB's clients do: the password in the header too, which says nothing here
    let basic = format!("ada:{PASSWORD}");
    let (status, again) =
        send_json(&setting, "PUT", ADA, &["--user", &basic], login(PASSWORD)).await;
    assert_eq!(status, 201, "{again}");
    let (status, refused) = curl(&setting, "/-/whoami", &["--user", &basic]).await;
    assert_eq!((status, &refused["error"]), (401, &json!("[UNAUTHORIZED] Invalid token")));
    let (status, _) = curl(&setting, "/-/whoami", &[]).await;
    assert_eq!(status, 401);
    let own = bearer(&made["token"]);
    let own = ["--header", own.as_str()];
    assert_eq!(curl(&setting, "/-/whoami", &own).await, (200, json!({ "username": "ada" })));
    let (status, profile) = curl(&setting, "/-/npm/v1/user", &own).await;
    assert_eq!((status, &profile["email"]), (200, &json!("ada@garden.test")));

    let change = json!({ "password": { "old": "not my password", "new": "battery staple" } });
    let (status, refused) = send_json(&setting, "POST", "/-/npm/v1/user", &own, change).await;
    assert_eq!((status, &refused["reason"]), (401, &json!("Invalid password")));
    let change = json!({
        "email": "a@garden.test", "password": { "old": PASSWORD, "new": "battery staple" },
    });
    let (status, changed) = send_json(&setting, "POST", "/-/npm/v1/user", &own, change).await;
    assert_eq!((status, &changed["email"]), (200, &json!("a@garden.test")));
    let (status, refused) = send_json(&setting, "PUT", ADA, &[], login(PASSWORD)).await;
    assert_eq!(
        (status, &refused["reason"]),
        (401, &json!("Please check your login name and password"))
    );
    let (status, _) = send_json(&setting, "PUT", ADA, &[], login("battery staple")).await;
    assert_eq!(status, 201);

    let end = format!("/-/user/token/{}", made["token"].as_str().expect("a token"));
    let delete = ["--request", "DELETE", own[0], own[1]];
    assert_eq!(curl(&setting, &end, &delete).await, (200, json!({ "ok": true })));
    assert_eq!(curl(&setting, "/-/whoami", &own).await.0, 401);
    setting.mirror.finish().await;
}

#[tokio::test]
async fn curl_makes_lists_and_ends_tokens_and_meets_their_limits() {
    if !is_here() {
        return;
    }
    let setting = Setting::new().await;
    let own = bearer(&json!(register(&setting.mirror, "ada").await));
    let own = ["--header", own.as_str()];
    let tokens = "/-/npm/v1/tokens";
    let wish = json!({ "password": PASSWORD, "cidr_whitelist": ["192.0.2.0/24"] });
    let (status, far) = send_json(&setting, "POST", tokens, &own, wish).await;
    assert_eq!((status, &far["cidr_whitelist"][0]), (201, &json!("192.0.2.0/24")), "{far}");
    let wish = json!({ "password": PASSWORD, "readonly": true });
    let (status, reader) = send_json(&setting, "POST", tokens, &own, wish).await;
    assert_eq!((status, &reader["readonly"]), (201, &json!(true)), "{reader}");
    let wish = json!({ "password": PASSWORD, "cidr_whitelist": ["nowhere"] });
    assert_eq!(send_json(&setting, "POST", tokens, &own, wish).await.0, 422);
    let wish = json!({ "name": "ci", "expires": 3, "allowedScopes": ["@garden"] });
    let (status, granular) =
        send_json(&setting, "POST", "/-/npm/v1/tokens/gat", &own, wish.clone()).await;
    assert_eq!((status, &granular["name"]), (201, &json!("ci")), "{granular}");
    let (status, _) = send_json(&setting, "POST", "/-/npm/v1/tokens/gat", &own, wish).await;
    assert_eq!(status, 409, "a name stands for one token");
    let (status, listed) = curl(&setting, tokens, &own).await;
    assert_eq!((status, &listed["total"]), (200, &json!(3)), "{listed}");
    let (status, listed) = curl(&setting, "/-/npm/v1/tokens/gat", &own).await;
    assert_eq!((status, &listed["objects"][0]["name"]), (200, &json!("ci")), "{listed}");

    let far_header = bearer(&far["token"]);
    let (status, refused) = curl(&setting, "/-/whoami", &["--header", &far_header]).await;
    let reason = refused["reason"].as_str().expect("a reason");
    assert!(status == 403 && reason.ends_with("may not be used from 127.0.0.1"), "{reason}");
    let reader_header = bearer(&reader["token"]);
    let body = json!({ "name": "@garden/ui" });
    let publish =
        send_json(&setting, "PUT", "/@garden%2fui", &["--header", &reader_header], body).await;
    let reason = publish.1["reason"].as_str().expect("a reason");
    assert!(publish.0 == 403 && reason.starts_with("Read-only Token"), "{reason}");

    let path = format!("{tokens}/token/{}", reader["key"].as_str().expect("a key"));
    let delete = ["--request", "DELETE", own[0], own[1]];
    assert_eq!(curl(&setting, &path, &delete).await, (200, json!({ "ok": true })));
    assert_eq!(curl(&setting, "/-/whoami", &["--header", &reader_header]).await.0, 401);
    assert_eq!(curl(&setting, &path, &delete).await.0, 404);
    let path = format!("{tokens}/gat/{}", granular["key"].as_str().expect("a key"));
    assert_eq!(curl(&setting, &path, &delete).await, (204, Value::Null));
    let granular_header = bearer(&granular["token"]);
    assert_eq!(curl(&setting, "/-/whoami", &["--header", &granular_header]).await.0, 401);
    setting.mirror.finish().await;
}
