//! What receivers hear of syncs.

use serde_json::{Value, json};

use super::{World, check_signature, lines};
use crate::harness::{Package, Reply, until};

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0").version("1.1.0")
}

pub(super) fn maintained(package: Package, names: &[&str]) -> Package {
    let people: Vec<_> = names.iter().map(|name| json!({ "name": name, "email": "" })).collect();
    package.member("maintainers", json!(people))
}

/// The package with another member in the manifest of a version.
pub(super) fn edited(mut package: Package, version: &str, member: &str, value: Value) -> Package {
    let found = package.versions.iter_mut().find(|known| known.version == version);
    found.expect("a version").manifest.insert(member.to_owned(), value);
    package
}

#[tokio::test]
async fn a_sync_is_told_signed_in_order_and_with_the_document_that_readers_get() {
    let world = World::start(&[lamp(), Package::new("other").version("1.0.0")]).await;
    let id = world.hook("package", "lamp", "/in").await;
    world.mirror.sync(&["lamp", "other"]).await;
    let received = world.receiver.wait_for(3).await;
    assert_eq!(
        lines(&received),
        [
            r#"package:publish {"version":"1.0.0"}"#,
            r#"package:publish {"dist-tag":"latest","version":"1.1.0"}"#,
            r#"package:dist-tag {"dist-tag":"latest"}"#,
        ]
    );
    let document = world.mirror.get("/lamp").send().await.expect(200).json();
    for delivery in &received {
        check_signature(delivery);
        let mut body = delivery.json();
        assert_eq!(body["payload"], document);
        assert!(body["time"].as_i64().is_some_and(|time| time > 1_700_000_000_000));
        body["payload"] = Value::Null;
        for member in ["time", "change", "event", "delivery"] {
            body.as_object_mut().expect("an object").remove(member);
        }
        let expected = json!({
            "name": "lamp", "type": "package", "version": "1.0.0",
            "hookOwner": { "username": "ada" }, "payload": null,
        });
        assert_eq!(body, expected);
    }
    let listed = world.all(&id, "delivered", 3).await;
    let ids: Vec<_> = listed.iter().map(|delivery| delivery["id"].clone()).collect();
    assert_eq!(ids, received.iter().map(|delivery| json!(delivery.id())).collect::<Vec<_>>());
    assert_eq!(listed[0]["last"]["answer"], "the receiver says 200");
    let hook = world.get(&id, "").await;
    assert_eq!((&hook["delivered"], &hook["response_code"]), (&json!(true), &json!(200)));
    assert!(hook["last_delivery"].is_string());
    world.mirror.finish().await;
}

#[tokio::test]
async fn what_differs_in_a_later_document_is_told_and_nothing_else() {
    let first = maintained(lamp().tag("old", "1.0.0"), &["eve", "bob"]);
    let world = World::start(&[first]).await;
    world.mirror.sync(&["lamp"]).await;
    let id = world.hook("package", "lamp", "/in").await;
    world.mirror.sync(&["lamp"]).await;
    let grown = maintained(lamp().version("2.0.0").without("1.0.0"), &["eve", "mallory"]);
    let deprecated = edited(grown, "1.1.0", "deprecated", json!("use 2"));
    world.mirror.upstream.publish(&deprecated);
    world.mirror.sync(&["lamp"]).await;
    let told = [
        r#"package:publish {"dist-tag":"latest","version":"2.0.0"}"#,
        r#"package:unpublish {"dist-tag":"old","version":"1.0.0"}"#,
        r#"package:dist-tag {"dist-tag":"latest"}"#,
        r#"package:dist-tag-rm {"dist-tag":"old"}"#,
        r#"package:owner {"maintainer":"eve"}"#,
        r#"package:owner {"maintainer":"mallory"}"#,
        r#"package:owner-rm {"maintainer":"bob"}"#,
        r#"package:deprecated {"deprecated":"1.1.0"}"#,
    ];
    assert_eq!(lines(&world.receiver.wait_for(told.len()).await), told);
    let again = edited(deprecated, "1.1.0", "deprecated", json!(""));
    world.mirror.upstream.publish(&again);
    world.mirror.sync(&["lamp"]).await;
    let received = world.receiver.wait_for(told.len() + 1).await;
    assert_eq!(received[told.len()].line(), r#"package:undeprecated {"deprecated":"1.1.0"}"#);
    world.all(&id, "delivered", told.len() + 1).await;
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_package_that_is_taken_away_is_one_event() {
    let world = World::start(&[lamp()]).await;
    world.mirror.sync(&["lamp"]).await;
    world.hook("package", "lamp", "/in").await;
    let document = json!({
        "_id": "lamp", "name": "lamp",
        "time": {"created": "2020-01-01T00:00:00.000Z",
                 "unpublished": {"time": "2021-01-01T00:00:00.000Z", "versions": ["1.0.0"]}}
    });
    let document = serde_json::to_vec(&document).expect("JSON");
    world.mirror.upstream.publish_document("lamp", document);
    world.mirror.sync(&["lamp"]).await;
    let received = world.receiver.wait_for(1).await;
    assert_eq!(lines(&received), ["package:unpublish {}"]);
    world.mirror.finish().await;
}

#[tokio::test]
async fn hooks_of_scopes_and_owners_hear_of_their_packages_and_a_miss_is_told_too() {
    let ui = maintained(Package::new("@garden/ui").version("1.0.0"), &["eve"]);
    let other = maintained(Package::new("other").version("1.0.0"), &["bob"]);
    let world = World::start(&[ui, other]).await;
    let scope = world.hook("scope", "@garden", "/scope").await;
    let owner = world.hook("owner", "eve", "/owner").await;
    world.mirror.get("/@garden%2fui").send().await.expect(200);
    world.mirror.sync(&["other"]).await;
    let received = world.receiver.wait_for(4).await;
    let of = |path: &str| {
        let of: Vec<_> = received.iter().filter(|one| one.path == path).cloned().collect();
        lines(&of)
    };
    let told = [
        r#"package:publish {"dist-tag":"latest","version":"1.0.0"}"#,
        r#"package:dist-tag {"dist-tag":"latest"}"#,
    ];
    assert_eq!(of("/scope"), told);
    assert_eq!(of("/owner"), told);
    world.all(&scope, "delivered", 2).await;
    world.all(&owner, "delivered", 2).await;
    assert_eq!(world.receiver.received().len(), 4);
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_sync_that_read_its_document_before_there_was_a_hook_and_commits_later_is_told() {
    let world = World::start(&[lamp()]).await;
    let tarball = lamp().tarball_path("1.0.0");
    let gate = world.mirror.upstream.gate(&tarball);
    let task = world.mirror.enqueue(&["lamp"], &Default::default()).await.remove(0);
    until("the request for a tarball", || async {
        (world.mirror.upstream.count(&tarball) > 0).then_some(())
    })
    .await;
    let id = world.hook("package", "lamp", "/in").await;
    gate.send_replace(true);
    world.mirror.ended(task.id).await;
    assert_eq!(world.receiver.wait_for(3).await.len(), 3);
    world.all(&id, "delivered", 3).await;
    assert!(world.mirror.log(task.id).await.contains("the sync starts over"));
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_hook_of_a_locked_account_hears_nothing_any_more() {
    let world = World::start(&[lamp()]).await;
    let id = world.hook("package", "lamp", "/in").await;
    world.receiver.answer(|_| Reply::Status(200));
    let lock = store::users::UserChange { disabled: Some(true), ..Default::default() };
    let write: store::WriteFn =
        Box::new(move |rows| store::users::change(rows, "ada", &lock).map(drop));
    world.mirror.engine().write(write).await.expect("a writable store");
    world.mirror.sync(&["lamp"]).await;
    until("deliveries that are skipped", || async {
        let hook = id.clone();
        let read = move |rows: &mut _| store::hooks::history::list(rows, &hook, None, 9, |_| true);
        let rows = world.mirror.store().read(read).await.expect("rows").rows;
        let why = "the account of the owner of the hook is gone or locked";
        let skipped = rows.iter().filter(|row| row.reason.as_deref() == Some(why));
        (rows.len() == 3 && skipped.count() == 3).then_some(())
    })
    .await;
    assert!(world.receiver.received().is_empty());
    world.mirror.finish().await;
}

#[tokio::test]
async fn a_large_document_is_delivered_whole() {
    let mut large = Package::new("large");
    for minor in 0..400 {
        let version = format!("1.{minor}.0");
        large = edited(large.version(&version), &version, "keywords", json!(["x".repeat(1_000)]));
    }
    let world = World::start(&[large.clone()]).await;
    world.mirror.get("/large").send().await.expect(200);
    world.hook("package", "large", "/in").await;
    world.mirror.upstream.publish(&large.version("2.0.0"));
    let options = store::tasks::TaskOptions {
        specific_versions: Some(vec!["2.0.0".to_owned()]),
        ..Default::default()
    };
    world.mirror.sync_with(&["large"], &options).await;
    let received = world.receiver.wait_for(2).await;
    assert!(received[0].body.len() > 400_000);
    check_signature(&received[0]);
    let versions = received[0].json()["payload"]["versions"].as_object().expect("versions").len();
    assert_eq!(versions, 401);
    world.mirror.finish().await;
}
