//! `/-/registry`, `/-/scope` and `/-/audit` on the wire.

use serde_json::{Value, json};

use crate::harness::{Answer, FakeUpstream, Package, TestMirror, TokenKind, until};

struct Api {
    mirror: TestMirror,
    admin: String,
}

impl Api {
    async fn start() -> Self {
        let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
        let (admin, _) = mirror.token("root", TokenKind::Admin).await;
        Self { mirror, admin }
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.mirror.request(method, path).token(&self.admin).json(body).send().await
    }

    async fn get(&self, path: &str) -> Value {
        self.mirror.get(path).send().await.expect(200).json()
    }

    async fn audit(&self, query: &str) -> Vec<Value> {
        let path = format!("/-/audit{query}");
        let answer = self.mirror.get(&path).token(&self.admin).send().await.expect(200);
        answer.json()["data"].as_array().expect("rows").clone()
    }
}

#[tokio::test]
async fn a_registry_is_made_shown_changed_and_deleted() {
    let api = Api::start().await;
    let inner = FakeUpstream::start();
    inner.publish(&Package::new("@garden/ui").version("1.0.0"));
    let body = json!({
        "name": " Garden Registry ", "host": inner.url(), "type": "cnpm",
        "userPrefix": "garden:", "authToken": "hush-hush", "changeStream": "off",
    });
    let made = api.send("POST", "/-/registry", &body).await.expect(201);
    assert!(!made.text().contains("hush"), "{}", made.text());
    let made = made.json();
    let id = made["registryId"].as_str().expect("an id").to_owned();
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
    for (key, value) in [
        ("ok", json!(true)),
        ("name", json!("Garden Registry")),
        ("type", json!("cnpmcore")),
        ("userPrefix", json!("garden:")),
        ("hasAuthToken", json!(true)),
        ("changeStream", json!("")),
        ("response", json!(null)),
    ] {
        assert_eq!(made[key], value, "{key}");
    }
    assert!(made.get("authToken").is_none());
    let again = api.send("POST", "/-/registry", &body).await.expect(409);
    assert_eq!(again.error(), "[CONFLICT] registry Garden Registry is there already");

    // it is asked from now on
    let scope = json!({ "name": "@garden", "registryId": id });
    let bound = api.send("POST", "/-/scope", &scope).await.expect(201).json();
    assert_eq!((&bound["name"], &bound["registryId"]), (&json!("@garden"), &json!(id)));
    api.send("POST", "/-/scope", &scope).await.expect(409);
    api.mirror.get("/@garden/ui").send().await.expect(200);
    let asked = inner.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer hush-hush"));
    // a document is answered before it is kept
    until("the package to be here", || async {
        (!api.mirror.versions("@garden/ui").await.is_empty()).then_some(())
    })
    .await;
    let list = api.get(&format!("/-/registry/{id}/scopes")).await;
    assert_eq!((&list["total"], &list["data"][0]["name"]), (&json!(1), &json!("@garden")));
    let kept = api.send("DELETE", &format!("/-/registry/{id}"), &json!({})).await.expect(409);
    assert!(kept.error().contains("1 packages"), "{}", kept.error());

    let path = format!("/-/registry/{id}/");
    let changed = json!({ "type": "npm", "authToken": null, "rate": 20 });
    let changed = api.send("PATCH", &path, &changed).await.expect(200).json();
    assert_eq!((&changed["type"], &changed["rate"]), (&json!("npm"), &json!(20)));
    assert_eq!(changed["hasAuthToken"], json!(false));
    let shown = api.get("/-/registry/Garden%20Registry").await;
    assert_eq!((&shown["registryId"], &shown["host"]), (&json!(id), &changed["host"]));
    api.mirror.finish().await;
}

#[tokio::test]
async fn the_default_registry_and_this_one_are_always_there() {
    let api = Api::start().await;
    let list = api.get("/-/registry").await;
    assert_eq!((&list["total"], &list["count"]), (&json!(2), &json!(2)));
    let names: Vec<_> =
        list["data"].as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, [&json!("default"), &json!("self")]);
    assert_eq!(list["data"][1]["type"], json!("cnpmcore"));
    assert_eq!(list["data"][1]["host"], json!(format!("{}/", api.mirror.url())));
    assert_eq!(api.get("/-/registry/default").await["host"], list["data"][0]["host"]);
    assert_eq!(api.get("/-/registry/self").await["name"], json!("self"));
    for number in 0..3 {
        let body =
            json!({ "name": format!("r{number}"), "host": "http://127.0.0.1:9", "type": "npm" });
        api.send("POST", "/-/registry/", &body).await.expect(201);
    }
    let page = api.get("/-/registry?pageSize=2&pageIndex=1").await;
    let names: Vec<_> =
        page["data"].as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!((names, &page["total"]), (vec![&json!("r0"), &json!("r1")], &json!(5)));
    for query in ["pageSize=0", "pageSize=101", "pageSize=x", "pageIndex=-1"] {
        api.mirror.get(&format!("/-/registry?{query}")).send().await.expect(400);
    }
    for name in ["default", "self"] {
        api.send("DELETE", &format!("/-/registry/{name}"), &json!({})).await.expect(422);
    }
    api.send("DELETE", "/-/registry/nowhere", &json!({})).await.expect(200);
    api.send("DELETE", "/-/scope/@nowhere", &json!({})).await.expect(200);
    let gone = api.mirror.get("/-/registry/nowhere").send().await.expect(404);
    assert_eq!(gone.error(), "[NOT_FOUND] registry not found");
    api.mirror.finish().await;
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_in_the_words_of_the_contract() {
    let api = Api::start().await;
    let host = "http://127.0.0.1:9/";
    let long = "x".repeat(257);
    for (body, error) in [
        (json!({}), "must have required property 'name'"),
        (json!({ "name": "a" }), "must have required property 'host'"),
        (json!({ "name": "a", "host": host }), "must have required property 'type'"),
        (json!({ "name": "", "host": host, "type": "npm" }), "name: must NOT have fewer than 1"),
        (json!({ "name": long, "host": host, "type": "npm" }), "name: must NOT have more than 256"),
        (json!({ "name": "a/b", "host": host, "type": "npm" }), "name: has letters"),
        (json!({ "name": "self", "host": host, "type": "npm" }), "name: `self` is this mirror"),
        (json!({ "name": "a", "host": "ftp://x/", "type": "npm" }), "host: "),
        (json!({ "name": "a", "host": host, "type": "git" }), "type: must be equal to one of"),
        (json!({ "name": "a", "host": host, "type": "npm", "x": 1 }), "must NOT have additional"),
        (
            json!({ "name": "a", "host": "http://u:p@127.0.0.1:9/", "type": "npm" }),
            "host: credentials belong into the token",
        ),
    ] {
        let refused = api.send("POST", "/-/registry", &body).await.expect(422);
        let text = refused.error();
        assert!(text.starts_with(&format!("[INVALID_PARAM] {error}")), "{body}: {text}");
        assert!(!text.contains("u:p"), "{text}");
    }
    let unknown = json!({ "name": "@garden", "registryId": "nowhere" });
    let refused = api.send("POST", "/-/scope", &unknown).await.expect(400);
    assert_eq!(refused.error(), "[BAD_REQUEST] registry nowhere not found");
    let scope = json!({ "name": "garden", "registryId": "self" });
    api.send("POST", "/-/scope", &scope).await.expect(422);
    api.send("PATCH", "/-/registry/nowhere", &json!({ "type": "npm" })).await.expect(404);
    api.send("PATCH", "/-/registry/default", &json!({ "name": "other" })).await.expect(422);
    api.send("POST", "/-/registry/nowhere/sync", &json!({})).await.expect(404);
    let inner = json!({ "name": "inner", "host": host, "type": "npm", "changeStream": "off" });
    let id = api.send("POST", "/-/registry", &inner).await.expect(201).json()["registryId"].clone();
    let refused = api.send("POST", "/-/registry/inner/sync", &json!({})).await.expect(400);
    let text = format!(
        "[BAD_REQUEST] registry {} has no scopes, please create scopes first",
        id.as_str().expect("an id")
    );
    assert_eq!(refused.error(), text);
    api.mirror.request("PUT", "/-/registry").send().await.expect(405);
    api.mirror.finish().await;
}

#[tokio::test]
async fn only_admins_change_registries_and_every_change_is_written_down() {
    let api = Api::start().await;
    let (user, _) = api.mirror.token("me", TokenKind::User).await;
    let body = json!({ "name": "inner", "host": "http://127.0.0.1:9/", "type": "npm", "authToken": "hush-hush" });
    for (method, path) in [
        ("POST", "/-/registry"),
        ("PATCH", "/-/registry/default"),
        ("DELETE", "/-/registry/inner"),
        ("POST", "/-/registry/default/sync"),
        ("POST", "/-/scope"),
        ("DELETE", "/-/scope/@garden"),
        ("GET", "/-/audit"),
    ] {
        let anonymous = api.mirror.request(method, path).json(&body).send().await.expect(401);
        assert_eq!(anonymous.error(), "[UNAUTHORIZED] Login first", "{method} {path}");
        api.mirror.request(method, path).token(&user).json(&body).send().await.expect(403);
    }
    assert!(api.audit("").await.is_empty(), "what is refused is no change");
    api.send("POST", "/-/registry", &body).await.expect(201);
    api.send("PATCH", "/-/registry/inner", &json!({ "rate": 7 })).await.expect(200);
    let scope = json!({ "name": "@garden", "registryId": "inner" });
    api.send("POST", "/-/scope", &scope).await.expect(201);
    api.send("DELETE", "/-/registry/inner", &json!({})).await.expect(200);
    let rows = api.audit("").await;
    let actions: Vec<_> = rows.iter().map(|row| row["action"].as_str().expect("a word")).collect();
    let expected =
        ["registry.remove", "scope.remove", "scope.add", "registry.change", "registry.add"];
    assert_eq!(actions, expected);
    assert!(rows.iter().all(|row| row["who"] == "root" && row["from"] == "127.0.0.1"), "{rows:?}");
    assert_eq!((&rows[3]["before"]["rate"], &rows[3]["after"]["rate"]), (&json!(0), &json!(7)));
    assert_eq!(rows[4]["after"]["hasAuthToken"], json!(true));
    assert!(!json!(rows).to_string().contains("hush"));
    assert_eq!(api.audit("?action=scope&limit=1").await.len(), 1);
    assert_eq!(api.audit("?subject=%40garden").await.len(), 2);
    assert_eq!(api.audit("?who=nobody").await.len(), 0);
    let first = api.mirror.get("/-/audit?limit=2").token(&api.admin).send().await.expect(200);
    let next = first.json()["next"].as_str().expect("a next page").to_owned();
    assert_eq!(api.audit(&format!("?before={next}")).await.len(), 3);
    api.mirror.get("/-/audit?limit=0").token(&api.admin).send().await.expect(422);
    api.mirror.finish().await;
}
