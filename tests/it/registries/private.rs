//! Ownership: scopes of other registries, private ones, and credentials.

use serde_json::json;
use store::{TaskState, VersionState};

use super::{add_registry, asked, bind};
use crate::harness::{FakeUpstream, Package, TestMirror, TokenKind};

fn ui() -> Package {
    Package::new("@garden/ui").version("1.0.0")
}

fn lamp() -> Package {
    Package::new("lamp").version_with("1.0.0", |version| version.depends_on("@garden/ui", "1"))
}

/// A second registry that holds `@garden/ui`.
fn inner() -> FakeUpstream {
    let inner = FakeUpstream::start();
    inner.publish(&ui());
    inner
}

#[tokio::test]
async fn a_private_scope_is_never_asked_upstream() {
    // what an attacker would publish under our name
    let mirror = TestMirror::builder()
        .packages(&[ui(), Package::new("@house/door").version("9.9.9"), lamp()])
        .engine(|settings| settings.private_scopes = vec!["house".to_owned()])
        .start()
        .await;
    bind(&mirror, "@garden", "self").await;
    for path in [
        "/@garden/ui",
        "/@garden%2fui",
        "/%40garden%2Fui",
        "/@garden/ui/latest",
        "/@garden/ui/-/ui-1.0.0.tgz",
        "/@house/door",
        "/@house/door/-/door-9.9.9.tgz",
        "/-/npm/v1/attestations/@garden%2fui@1.0.0",
    ] {
        let answer = mirror.get(path).send().await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let rows = mirror.sync(&["@garden/ui", "@house/door"]).await;
    for row in rows {
        assert_eq!(row.state, TaskState::Error);
        let why = row.error.unwrap_or_default();
        assert!(why.contains("private scope"), "{why}");
    }
    assert_eq!(asked(&mirror.upstream), Vec::<String>::new());
    // the dependencies of others lead nowhere either
    let options = store::tasks::TaskOptions::default();
    mirror.sync_with(&["lamp"], &options).await;
    crate::harness::until("an idle queue", || async {
        let status = mirror.engine().describe().await.expect("an engine");
        (status.tasks.waiting + status.tasks.processing == 0).then_some(())
    })
    .await;
    let garden = asked(&mirror.upstream).into_iter().filter(|path| path.contains("garden"));
    assert_eq!(garden.count(), 0);
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_scope_that_becomes_private_is_served_from_here_and_asked_no_more() {
    let mirror = TestMirror::with(&[ui()]).await;
    mirror.get("/@garden/ui").send().await.expect(200);
    let before = mirror.upstream.asked().len();
    bind(&mirror, "@garden", "self").await;
    mirror.get("/@garden/ui").header("npm-command", "view").send().await;
    mirror.get("/@garden/ui").send().await.expect(200);
    mirror.get("/@garden/new").send().await.expect(404);
    assert_eq!(mirror.upstream.asked().len(), before);
    mirror.finish().await;
}

#[tokio::test]
async fn a_scope_belongs_to_its_registry_for_misses_syncs_and_dependencies() {
    let inner = inner();
    inner.publish(&Package::new("@garden/seed").version("2.0.0"));
    let mirror = TestMirror::with(&[lamp()]).await;
    add_registry(&mirror, "inner", &inner.url(), None).await;
    bind(&mirror, "@garden", "inner").await;
    // a miss
    mirror.get("/@garden/seed").send().await.expect(200);
    mirror.get("/@garden/seed/-/seed-2.0.0.tgz").send().await.expect(200);
    // a sync and what it needs
    mirror.sync_with(&["lamp"], &store::tasks::TaskOptions::default()).await;
    crate::harness::until("the dependency", || async {
        let versions = mirror.versions("@garden/ui").await;
        let held = |row: &store::versions::VersionRow| row.state == VersionState::Held;
        (versions.len() == 1 && versions.iter().all(held)).then_some(())
    })
    .await;
    assert!(!asked(&mirror.upstream).iter().any(|path| path.contains("garden")));
    assert!(!asked(&inner).iter().any(|path| path.contains("lamp")));
    let status = mirror.engine().describe().await.expect("an engine");
    let names: Vec<_> = status.syncs.iter().map(|sync| sync.registry.as_str()).collect();
    assert_eq!(names, ["default", "inner"]);
    assert_eq!(status.syncs[1].success, 1);
    mirror.finish().await;
}

#[tokio::test]
async fn an_owner_stays_when_a_scope_is_bound_later() {
    let inner = inner();
    let mirror = TestMirror::with(&[ui()]).await;
    mirror.sync(&["@garden/ui"]).await;
    add_registry(&mirror, "inner", &inner.url(), None).await;
    bind(&mirror, "@garden", "inner").await;
    let rows = mirror.sync(&["@garden/ui"]).await;
    assert_eq!(rows[0].registry, "default");
    assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
    assert_eq!(asked(&inner), Vec::<String>::new());
    // and nobody else is asked by way of a task for another registry
    let options = store::tasks::TaskOptions::default();
    let mut task = mirror.new_task("@garden/ui", &options);
    task.registry = "inner".to_owned();
    let rows = mirror.engine().enqueue(vec![task]).await.expect("a queue");
    let ended = mirror.ended(rows[0].id).await;
    let why = ended.error.unwrap_or_default();
    assert!(why.contains("belongs to registry default"), "{why}");
    assert_eq!(asked(&inner), Vec::<String>::new());
    mirror.finish().await;
}

#[tokio::test]
async fn the_token_of_a_registry_goes_to_its_own_origin_only() {
    let inner = FakeUpstream::start();
    let far = FakeUpstream::start();
    let tool = Package::new("@garden/tool")
        .version("1.0.0")
        .version_with("2.0.0", |version| version.at(&format!("{}/far.tgz", far.url())));
    inner.publish(&tool);
    far.put_tarball("/far.tgz", tool.get("2.0.0").tarball.clone());
    let mirror = TestMirror::builder()
        .packages(&[Package::new("lamp").version("1.0.0")])
        .asks(|settings| settings.token = Some("of-default".to_owned()))
        .start()
        .await;
    add_registry(&mirror, "inner", &inner.url(), Some("of-inner")).await;
    bind(&mirror, "@garden", "inner").await;
    mirror.sync(&["@garden/tool", "lamp"]).await;
    assert_eq!(mirror.version("@garden/tool", "2.0.0").await.state, VersionState::Held);
    let tokens = |upstream: &FakeUpstream| {
        let asked = upstream.asked();
        let tokens = asked.iter().map(|asked| asked.header("authorization").map(str::to_owned));
        tokens.collect::<std::collections::HashSet<_>>()
    };
    assert_eq!(tokens(&inner), [Some("Bearer of-inner".to_owned())].into());
    assert_eq!(tokens(&far), [None].into());
    assert_eq!(tokens(&mirror.upstream), [Some("Bearer of-default".to_owned())].into());
    // a registry without a token of its own does not get that of the default one
    let open = FakeUpstream::start();
    open.publish(&Package::new("@open/tool").version("1.0.0"));
    add_registry(&mirror, "open", &open.url(), None).await;
    bind(&mirror, "@open", "open").await;
    mirror.sync(&["@open/tool"]).await;
    assert_eq!(tokens(&open), [None].into());
    mirror.finish().await;
}

#[tokio::test]
async fn a_registry_in_trouble_does_not_hold_the_others() {
    let inner = inner();
    let mirror = TestMirror::builder()
        .packages(&[Package::new("lamp").version("1.0.0")])
        .asks(|settings| settings.breaker.failures = 3)
        .start()
        .await;
    add_registry(&mirror, "inner", &inner.url(), None).await;
    bind(&mirror, "@garden", "inner").await;
    inner.fail("/@garden/ui", 500, usize::MAX);
    mirror.get("/@garden/ui").send().await.expect(503);
    let status = mirror.engine().describe().await.expect("an engine");
    let breaker = |place: usize| status.syncs[place].upstream.as_ref().map(|known| known.breaker);
    assert_eq!(breaker(1), Some(actors::upstream::BreakerState::Open));
    assert_eq!(breaker(0), Some(actors::upstream::BreakerState::Closed));
    mirror.get("/lamp").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_sync_may_be_asked_for_only_where_the_name_belongs() {
    let inner = inner();
    let mirror = TestMirror::with(&[ui(), lamp()]).await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    mirror.get("/lamp").send().await.expect(200);
    add_registry(&mirror, "inner", &inner.url(), None).await;
    bind(&mirror, "@garden", "inner").await;
    bind(&mirror, "@house", "self").await;
    let put = |name: &str, body: serde_json::Value| {
        let path = format!("/-/package/{name}/syncs");
        mirror.request("PUT", &path).token(&user).json(&body).send()
    };
    for (name, body, error) in [
        ("@garden/ui", json!({ "registryName": "default" }), "The package is synced from inner"),
        ("lamp", json!({ "registryName": "inner" }), "The package is synced from default"),
        ("@house/door", json!({}), "Can't sync private package \"@house/door\""),
        (
            "@house/door",
            json!({ "registryName": "inner" }),
            "Can't sync private package \"@house/door\"",
        ),
    ] {
        let refused = put(name, body).await.expect(403);
        assert_eq!(refused.error(), format!("[FORBIDDEN] {error}"), "{name}");
    }
    let all = |body| put("@garden/ui", body);
    for answer in [all(json!({})).await, all(json!({ "registryName": "inner" })).await] {
        let id = answer.expect(201).json()["id"].as_str().expect("an id").parse();
        let ended = mirror.ended(store::TaskId(id.expect("a UUID"))).await;
        assert_eq!((ended.registry.as_str(), ended.state), ("inner", TaskState::Success));
    }
    assert!(!asked(&mirror.upstream).iter().any(|path| path.contains('@')));
    // what nobody owns goes where it is told, and stays there
    inner.publish(&Package::new("rug").version("1.0.0"));
    let id = put("rug", json!({ "registryName": "inner" })).await.expect(201).json()["id"].clone();
    let id = id.as_str().expect("an id").parse().expect("a UUID");
    assert_eq!(mirror.ended(store::TaskId(id)).await.state, TaskState::Success);
    let refused = put("rug", json!({ "registryName": "default" })).await.expect(403);
    assert_eq!(refused.error(), "[FORBIDDEN] The package is synced from inner");
    mirror.finish().await;
}
