//! The Package Sync API on the wire: every route, status and text.

use actors::DEFAULT_REGISTRY;
use serde_json::{Value, json};
use store::registries::RegistryRow;
use store::tasks::{PRIORITY_FORCED, PRIORITY_PEOPLE};
use store::{TaskId, TaskState, WriteFn, registries};

use super::{keep_busy, package};
use crate::harness::{Package, TestMirror, TokenKind};

/// A mirror, and a user's and an admin's token.
async fn start(packages: &[Package]) -> (TestMirror, String, String) {
    let mirror = TestMirror::builder().packages(packages);
    let mirror = mirror.engine(|settings| settings.workers = 1).start().await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    (mirror, user, admin)
}

fn id_of(text: &Value) -> TaskId {
    TaskId(text.as_str().expect("an id").parse().expect("a UUID"))
}

async fn put(mirror: &TestMirror, token: &str, name: &str, body: &Value) -> TaskId {
    let path = format!("/-/package/{name}/syncs");
    let answer = mirror.request("PUT", &path).token(token).json(body).send().await.expect(201);
    id_of(&answer.json()["id"])
}

#[tokio::test]
async fn a_sync_is_asked_for_watched_and_read() {
    let (mirror, user, _) = start(&[package("lamp"), package("@garden/ui")]).await;
    for (name, path) in [
        ("lamp", "/-/package/lamp/syncs"),
        ("@garden/ui", "/-/package/@garden/ui/syncs"),
        ("@garden/ui", "/-/package/@garden%2fui/syncs/"),
        ("@garden/ui", "/-/package/%40garden%2Fui/syncs"),
    ] {
        let answer = mirror.request("PUT", path).token(&user).send().await.expect(201);
        assert_eq!(answer.must("content-type"), "application/json; charset=utf-8");
        let created = answer.json();
        let id = id_of(&created["id"]);
        let expected =
            json!({ "ok": true, "id": id.to_string(), "type": "package", "state": "waiting" });
        assert_eq!(created, expected);
        let row = mirror.ended(id).await;
        assert_eq!((row.name.as_str(), row.author.as_deref()), (name, Some("me")));
        let (asked, path) = (path, path.trim_end_matches('/'));
        let status = mirror.get(&format!("{path}/{id}")).send().await.expect(200).json();
        let log_url = format!("{}/-/package/{name}/syncs/{id}/log", mirror.url());
        let expected = json!({
            "ok": true, "id": id.to_string(), "type": "package", "state": "success",
            "logUrl": log_url,
        });
        assert_eq!(status, expected);
        let log = mirror.get(&log_url[mirror.url().len()..]).send().await.expect(200);
        assert_eq!(log.must("content-type"), "text/plain; charset=utf-8");
        let text = log.text();
        assert_eq!(text, mirror.log(id).await, "one text everywhere");
        assert!(text.contains("] 👉 "), "{text}");
        let asked = format!("Sync cause by \"{}{asked}\", parent traceId: ", mirror.url());
        assert!(text.lines().next().expect("a line").contains(&asked), "{text}");
        let head = mirror.head(&log_url[mirror.url().len()..]).send().await.expect(200);
        assert_eq!(head.must("content-length"), text.len().to_string());
    }
    assert_eq!(mirror.versions("@garden/ui").await.len(), 1, "a new name was brought in");
    mirror.finish().await;
}

#[tokio::test]
async fn the_older_routes_do_the_same() {
    let (mirror, user, _) = start(&[package("@garden/ui")]).await;
    for (path, nodeps) in [
        ("/@garden/ui/sync?sync_upstream=true&nodeps=true", true),
        ("/@garden%2fui/sync?nodeps=false", false),
        ("/@garden/ui/sync", false),
    ] {
        let request = mirror.request("PUT", path).token(&user).json(&json!({ "tips": 7 }));
        let created = request.send().await.expect(201).json();
        let id = id_of(&created["logId"]);
        assert_eq!(created, json!({ "ok": true, "logId": id.to_string() }));
        assert_eq!(mirror.ended(id).await.options.skip_dependencies, nodeps);
        let target = format!("/@garden/ui/sync/log/{id}?offset=7");
        let answer = mirror.get(&target).send().await.expect(200).json();
        let log_url = format!("{}/-/package/@garden/ui/syncs/{id}/log", mirror.url());
        assert_eq!((&answer["ok"], &answer["syncDone"]), (&json!(true), &json!(true)));
        assert_eq!(answer["logUrl"], log_url);
        assert_eq!(answer.get("error"), None);
        let log = answer["log"].as_str().expect("a line");
        let (time, rest) = log.split_once("] ").expect("a time");
        assert!(time.starts_with("[20") && time.ends_with('Z'), "{log}");
        let data = rest.strip_prefix("[done] Sync @garden/ui data: ").expect("the data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!((&data["state"], &data["logUrl"]), (&json!("success"), &json!(log_url)));
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_task_that_failed_says_why() {
    let (mirror, user, _) = start(&[]).await;
    let id = put(&mirror, &user, "lamp", &json!({})).await;
    mirror.ended(id).await;
    let target = format!("/-/package/lamp/syncs/{id}");
    let status = mirror.get(&target).send().await.expect(200).json();
    assert_eq!(status["state"], "error");
    assert!(status["error"].as_str().is_some_and(|error| error.contains("404")), "{status}");
    let legacy = mirror.get(&format!("/lamp/sync/log/{id}")).send().await.expect(200).json();
    assert_eq!((&legacy["syncDone"], &legacy["error"]), (&json!(true), &status["error"]));
    mirror.finish().await;
}

#[tokio::test]
async fn a_waiting_task_says_its_place_and_a_running_one_its_lines() {
    let (mirror, user, _) = start(&[package("busy"), package("lamp"), package("rug")]).await;
    let gate = mirror.upstream.gate("/busy");
    let busy = keep_busy(&mirror).await;
    let lamp = put(&mirror, &user, "lamp", &json!({})).await;
    let rug = put(&mirror, &user, "rug", &json!({})).await;
    let mut places = Vec::new();
    for (name, id) in [("lamp", lamp), ("rug", rug)] {
        let target = format!("/-/package/{name}/syncs/{id}");
        let status = mirror.get(&target).send().await.expect(200).json();
        assert_eq!(status["state"], "waiting");
        assert!(status["logUrl"].is_string(), "also while it waits");
        let log = mirror.get(&format!("{target}/log")).send().await.expect(200).text();
        assert!(log.starts_with("[20") && log.ends_with('\n') && log.lines().count() == 1, "{log}");
        let (_, place) = log.split_once("] 🚧 waiting in the queue, place ").expect("a place");
        places.push(place.trim_end().parse::<u32>().expect("a number"));
        let legacy = mirror.get(&format!("/{name}/sync/log/{id}")).send().await.expect(200).json();
        assert_eq!(legacy["syncDone"], false);
        assert!(legacy["log"].as_str().is_some_and(|log| log.contains("] [processing] Sync ")));
    }
    assert!(
        places[0] >= 1 && places[0] <= places[1],
        "in the order they were asked for: {places:?}"
    );
    let target = format!("/-/package/busy/syncs/{busy}");
    let status = mirror.get(&target).send().await.expect(200).json();
    assert_eq!(status["state"], "processing");
    let log = mirror.get(&format!("{target}/log")).send().await.expect(200).text();
    assert!(log.contains("] 🚧 "), "{log}");
    drop(gate);
    for id in [busy, lamp, rug] {
        assert_eq!(mirror.ended(id).await.state, TaskState::Success);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let (mirror, ..) = start(&[]).await;
    for id in [TaskId::new().to_string(), "0123456789abcdef01234567".to_owned(), "x".to_owned()] {
        for name in ["lamp", "@garden/ui"] {
            let expected = format!("[NOT_FOUND] Package \"{name}\" sync task \"{id}\" not found");
            for target in [
                format!("/-/package/{name}/syncs/{id}"),
                format!("/-/package/{name}/syncs/{id}/log"),
                format!("/-/package/{name}/syncs/{id}/log/stream"),
                format!("/{name}/sync/log/{id}"),
            ] {
                let answer = mirror.get(&target).send().await.expect(404);
                assert_eq!(answer.error(), expected, "{target}");
            }
        }
    }
    let (method, syncs) = ("[METHOD_NOT_ALLOWED] only ", "/-/package/lamp/syncs");
    let answer = mirror.get(syncs).send().await.expect(405);
    assert_eq!(answer.must("allow"), "PUT, OPTIONS");
    assert!(answer.error().starts_with(method));
    let answer = mirror.request("DELETE", &format!("{syncs}/x/log")).send().await.expect(405);
    assert_eq!(answer.must("allow"), "GET, HEAD, OPTIONS");
    mirror.get("/-/package/lamp/syncs/x/log/stream/more").send().await.expect(404);
    mirror.request("PUT", "/-/package/%2e%2e/syncs").send().await.expect(422);
    mirror.finish().await;
}

#[tokio::test]
async fn a_log_that_is_gone_is_not_an_empty_one() {
    let (mirror, user, _) = start(&[package("lamp")]).await;
    let id = put(&mirror, &user, "lamp", &json!({})).await;
    mirror.ended(id).await;
    let forget: WriteFn = Box::new(move |rows| store::tasks::delete_log(rows, id));
    mirror.engine().write(forget).await.expect("a writable store");
    let answer = mirror.get(&format!("/-/package/lamp/syncs/{id}/log")).send().await.expect(404);
    let expected = format!("[NOT_FOUND] Package \"lamp\" sync task \"{id}\" log not found");
    assert_eq!(answer.error(), expected);
    mirror.finish().await;
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_is_told_which() {
    let (mirror, user, _) = start(&[package("lamp")]).await;
    let versions = "specificVersions: must match format \"unique-semver-version-array\"";
    for (body, status, error) in [
        (json!([]).to_string(), 422, "[INVALID_PARAM] must be object".to_owned()),
        (json!({ "tips": 1 }).to_string(), 422, "[INVALID_PARAM] tips: must be string".to_owned()),
        (
            json!({ "tips": "x".repeat(1025) }).to_string(),
            422,
            "[INVALID_PARAM] tips: must NOT have more than 1024 characters".to_owned(),
        ),
        (
            json!({ "specificVersions": "[\"1.0.0\",\"1.0.0\"]" }).to_string(),
            422,
            format!("[INVALID_PARAM] {versions}"),
        ),
        (
            json!({ "specificVersions": ["latest"] }).to_string(),
            422,
            format!("[INVALID_PARAM] {versions}"),
        ),
        (
            json!({ "registryName": "nowhere" }).to_string(),
            403,
            "[FORBIDDEN] Can't find target registry \"nowhere\"".to_owned(),
        ),
        (
            json!({ "syncDownloadData": true }).to_string(),
            403,
            "[FORBIDDEN] Not allow to sync package download data".to_owned(),
        ),
    ] {
        let request = mirror.request("PUT", "/-/package/lamp/syncs").token(&user);
        let answer = request.body("application/json", body.clone()).send().await.expect(status);
        assert_eq!(answer.error(), error, "{body}");
    }
    let request = mirror.request("PUT", "/-/package/lamp/syncs").token(&user);
    let answer = request.body("application/json", "{").send().await.expect(400);
    assert!(answer.error().starts_with("[BAD_REQUEST] the body is no JSON: "));
    assert_eq!(mirror.upstream.count("/lamp"), 0, "nothing was queued");
    mirror.finish().await;
}

#[tokio::test]
async fn a_name_stays_with_the_registry_that_owns_it() {
    let (mirror, user, admin) = start(&[package("lamp")]).await;
    let add: WriteFn = Box::new(|rows| {
        let other = RegistryRow::new("other", "http://127.0.0.1:9", "a test", 0);
        registries::upsert(rows, &other)
    });
    mirror.engine().write(add).await.expect("a writable store");
    let id = put(&mirror, &user, "rug", &json!({ "registryName": "other" })).await;
    assert_eq!(mirror.task(id).await.registry, "other", "an unknown name goes where it is told");
    let id = put(&mirror, &user, "lamp", &json!({ "registryName": DEFAULT_REGISTRY })).await;
    mirror.ended(id).await;
    for token in [&user, &admin] {
        let request = mirror.request("PUT", "/-/package/lamp/syncs").token(token);
        let refused = request.json(&json!({ "registryName": "other" })).send().await.expect(403);
        assert_eq!(refused.error(), "[FORBIDDEN] The package is synced from default");
    }
    let id = put(&mirror, &user, "lamp", &json!({ "registryName": DEFAULT_REGISTRY })).await;
    assert_eq!(mirror.ended(id).await.state, TaskState::Success);
    mirror.finish().await;
}

#[tokio::test]
async fn requests_for_one_package_become_one_task_that_does_all_of_it() {
    let (mirror, user, admin) = start(&[package("busy"), package("lamp")]).await;
    let gate = mirror.upstream.gate("/busy");
    let busy = keep_busy(&mirror).await;
    let first = json!({
        "skipDependencies": true, "tips": "first", "specificVersions": "[\"1.0.0\"]",
    });
    let id = put(&mirror, &user, "lamp", &first).await;
    let second =
        json!({ "skipDependencies": true, "tips": "second", "specificVersions": ["2.0.0"] });
    assert_eq!(put(&mirror, &user, "lamp", &second).await, id);
    let row = mirror.task(id).await;
    assert_eq!(row.options.tips.as_deref(), Some("first\nsecond"));
    let both = vec!["1.0.0".to_owned(), "2.0.0".to_owned()];
    assert_eq!(row.options.specific_versions, Some(both));
    assert!(row.options.skip_dependencies && !row.options.force);
    assert_eq!((row.priority, row.author.as_deref()), (PRIORITY_PEOPLE, Some("me")));
    assert_eq!(put(&mirror, &admin, "lamp", &json!({ "forceSyncHistory": true })).await, id);
    let row = mirror.task(id).await;
    assert_eq!(row.options.specific_versions, None, "all versions include some");
    assert!(row.options.force_sync_history && !row.options.skip_dependencies);
    assert_eq!(put(&mirror, &admin, "lamp", &json!({ "force": true })).await, id);
    let row = mirror.ended(id).await;
    assert_eq!((row.priority, row.attempts), (PRIORITY_FORCED, 1), "it ran beside the other, once");
    assert_eq!(mirror.task(busy).await.state, TaskState::Processing);
    let next = put(&mirror, &user, "busy", &json!({})).await;
    assert_ne!(next, busy, "a running task takes nothing in");
    drop(gate);
    mirror.ended(next).await;
    mirror.finish().await;
}
