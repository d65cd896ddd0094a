//! `/-/tasks`: lists, filters, pages; cancelling and trying again.

use serde_json::{Value, json};
use store::{TaskId, TaskState};

use super::{keep_busy, one_worker, options, package};
use crate::harness::{TestMirror, TokenKind};

async fn list(mirror: &TestMirror, token: Option<&str>, query: &str) -> Value {
    let request = mirror.get(&format!("/-/tasks{query}"));
    let request = match token {
        Some(token) => request.token(token),
        None => request,
    };
    request.send().await.expect(200).json()
}

fn names(list: &Value) -> Vec<&str> {
    let tasks = list["tasks"].as_array().expect("rows");
    tasks.iter().map(|task| task["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn tasks_are_listed_filtered_and_paged() {
    let mirror = TestMirror::with(&[package("lamp"), package("rug")]).await;
    let (token, _) = mirror.token("me", TokenKind::User).await;
    for name in ["lamp", "rug", "gone"] {
        let path = format!("/-/package/{name}/syncs");
        let created = mirror.request("PUT", &path).token(&token).send().await.expect(201).json();
        let id = created["id"].as_str().expect("an id").parse().map(TaskId).expect("a UUID");
        mirror.ended(id).await;
    }
    mirror.sync(&["lamp"]).await;
    let all = list(&mirror, None, "").await;
    assert_eq!(names(&all), ["lamp", "gone", "rug", "lamp"], "newest first");
    assert_eq!(all["next"], Value::Null);
    assert_eq!(all["counts"]["success_last_hour"], 3);
    assert_eq!(all["counts"]["error_last_hour"], 1);
    let row = &all["tasks"][1];
    assert_eq!((&row["state"], &row["registry"]), (&json!("error"), &json!("default")));
    for row in all["tasks"].as_array().expect("rows") {
        assert_eq!(row["author"], Value::Null, "nobody in particular asks");
    }
    assert_eq!(list(&mirror, Some(&token), "").await["tasks"][1]["author"], "me");
    assert_eq!(names(&list(&mirror, None, "?state=error").await), ["gone"]);
    assert_eq!(names(&list(&mirror, None, "?name=lamp").await), ["lamp", "lamp"]);
    assert_eq!(names(&list(&mirror, None, "?registry=default&state=success").await).len(), 3);
    assert!(names(&list(&mirror, None, "?registry=other").await).is_empty());
    let mine = list(&mirror, Some(&token), "?author=me").await;
    assert_eq!(names(&mine), ["gone", "rug", "lamp"]);
    assert!(names(&list(&mirror, None, "?since=2100-01-01T00:00:00Z").await).is_empty());
    assert_eq!(names(&list(&mirror, None, "?since=0").await).len(), 4);
    let mut seen = Vec::new();
    let mut before = String::new();
    loop {
        let page = list(&mirror, None, &format!("?limit=3{before}")).await;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(seen, names(&all));
    let id = all["tasks"][1]["id"].as_str().expect("an id");
    let one = mirror.get(&format!("/-/tasks/{id}")).send().await.expect(200).json();
    assert_eq!(one, all["tasks"][1]);
    mirror.finish().await;
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_told_so_with_a_request_id() {
    let mirror = TestMirror::with(&[]).await;
    for (query, part) in [
        ("?state=broken", "broken"),
        ("?limit=0", "limit: must be 1 to 1000, not 0"),
        ("?since=yesterday", "since: must be unix milliseconds"),
        ("?before=x", "x"),
        ("?unknown=1", "unknown"),
    ] {
        let answer = mirror.get(&format!("/-/tasks{query}")).send().await;
        assert!(matches!(answer.status, 400 | 422), "{query}: {}", answer.status);
        assert!(answer.error().contains(part), "{query}: {}", answer.error());
        assert_eq!(answer.json()["request_id"], answer.must("request-id"));
    }
    let answer = mirror.get("/-/tasks?author=me").send().await.expect(401);
    assert_eq!(answer.error(), "[UNAUTHORIZED] Login first");
    let id = TaskId::new();
    let answer = mirror.get(&format!("/-/tasks/{id}")).send().await.expect(404);
    assert_eq!(answer.error(), format!("[NOT_FOUND] task {id} not found"));
    assert_eq!(answer.json()["code"], "NOT_FOUND");
    mirror.get("/-/tasks/x").send().await.expect(422);
    mirror.request("DELETE", "/-/tasks").send().await.expect(405);
    mirror.get(&format!("/-/tasks/{id}/cancel")).send().await.expect(405);
    mirror.finish().await;
}

#[tokio::test]
async fn a_task_is_cancelled_and_retried_by_whom_it_belongs_to_or_by_an_admin() {
    let (mirror, gate) = one_worker(&["lamp", "rug"]).await;
    let (me, _) = mirror.token("me", TokenKind::User).await;
    let (you, _) = mirror.token("you", TokenKind::User).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    let (readonly, _) = mirror.token("me", TokenKind::Readonly).await;
    let busy = keep_busy(&mirror).await;
    let created = mirror.request("PUT", "/-/package/lamp/syncs").token(&me).send().await;
    let id = created.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let post = |action: &str, token: Option<&str>| {
        let request = mirror.request("POST", &format!("/-/tasks/{id}/{action}"));
        match token {
            Some(token) => request.token(token),
            None => request,
        }
    };
    for action in ["cancel", "retry"] {
        let refused = post(action, None).send().await.expect(401);
        assert_eq!(refused.error(), "[UNAUTHORIZED] Login first");
        let refused = post(action, Some(&you)).send().await.expect(403);
        assert_eq!(refused.error(), "[FORBIDDEN] Not allow to access");
        post(action, Some(&readonly)).send().await.expect(403);
        let request = mirror.request("POST", &format!("/-/tasks/{}/{action}", TaskId::new()));
        request.token(&admin).send().await.expect(404);
    }
    let refused = post("retry", Some(&me)).send().await.expect(409);
    let text = format!("[CONFLICT] task {id} is in state waiting; only tasks that ended");
    assert!(refused.error().starts_with(&text), "{}", refused.error());
    let done = post("cancel", Some(&me)).send().await.expect(200).json();
    assert_eq!(done, json!({ "ok": true, "id": id, "type": "package", "state": "error" }));
    let refused = post("cancel", Some(&me)).send().await.expect(409);
    assert!(refused.error().contains("is in state error; only waiting and running tasks"));
    // an admin ends what runs: its job stops and the worker is free
    let path = format!("/-/tasks/{busy}/cancel");
    mirror.request("POST", &path).token(&me).send().await.expect(403);
    mirror.request("POST", &path).token(&admin).send().await.expect(200);
    assert_eq!(mirror.ended(busy).await.error.as_deref(), Some("cancelled"));
    let rows = mirror.sync_with(&["rug"], &options()).await;
    assert_eq!(rows[0].state, TaskState::Success, "while upstream still keeps the other waiting");
    assert!(mirror.versions("busy").await.is_empty());
    let again = post("retry", Some(&me)).send().await.expect(200).json();
    assert_ne!(again["state"], "error", "it waits, or an idle worker has it already");
    let row = mirror.ended(id.parse().map(TaskId).expect("a UUID")).await;
    assert_eq!((row.state, row.error), (TaskState::Success, None));
    drop(gate);
    mirror.finish().await;
}
