//! P6: what upstream took away. Gone from documents, kept for old lockfiles.

use serde_json::json;
use store::{TaskState, VersionState};

use super::{good, states};
use crate::harness::{Package, TestMirror};

#[tokio::test]
async fn a_version_unpublished_upstream_is_hidden_and_its_tarball_stays() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    mirror.upstream.publish(&good().without("1.0.0"));
    mirror.upstream.remove(&good().tarball_path("1.0.0"));
    mirror.sync(&["good"]).await;
    let document = mirror.get("/good").send().await.expect(200).json();
    assert!(document["versions"].get("1.0.0").is_none());
    assert!(document["versions"].get("1.1.0").is_some());
    mirror.get("/good/1.0.0").send().await.expect(404);
    mirror.get(&good().tarball_path("1.0.0")).send().await.expect(200);
    let row = mirror.version("good", "1.0.0").await;
    assert!(row.removed_at_ms.is_some());
    assert_eq!(row.state, VersionState::Held, "the evidence stays");
    mirror.finish().await;
}

#[tokio::test]
async fn a_version_that_comes_back_is_shown_again() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    mirror.upstream.publish(&good().without("1.0.0"));
    mirror.sync(&["good"]).await;
    mirror.upstream.publish(&good());
    mirror.sync(&["good"]).await;
    let document = mirror.get("/good").send().await.expect(200).json();
    assert!(document["versions"].get("1.0.0").is_some());
    assert!(mirror.version("good", "1.0.0").await.removed_at_ms.is_none());
    assert_eq!(mirror.upstream.count(&good().tarball_path("1.0.0")), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn an_emptied_or_unpublished_package_keeps_its_tarballs_for_old_lockfiles() {
    let unpublished = json!({
        "_id": "good", "name": "good",
        "time": {"created": "2020-01-01T00:00:00.000Z",
                 "unpublished": {"time": "2021-01-01T00:00:00.000Z", "versions": ["1.0.0", "1.1.0"]}}
    });
    let emptied = json!({"name": "good", "versions": {}, "dist-tags": {}});
    for (what, document) in [("unpublished", unpublished), ("emptied", emptied)] {
        let mirror = TestMirror::with(&[good()]).await;
        mirror.sync(&["good"]).await;
        let document = serde_json::to_vec(&document).expect("JSON");
        mirror.upstream.publish_document("good", document);
        let rows = mirror.sync(&["good"]).await;
        assert_eq!(rows[0].state, TaskState::Success, "{what}: {:?}", rows[0].error);
        let answer = mirror.get("/good/latest").send().await;
        assert_eq!(answer.status, 404, "{what}");
        mirror.get(&good().tarball_path("1.0.0")).send().await.expect(200);
        assert_eq!(states(&mirror, "good").await.len(), 2, "{what}");
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_security_placeholder_hides_what_it_replaces() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    mirror.upstream.publish(&Package::new("good").version("0.0.1-security"));
    mirror.sync(&["good"]).await;
    let document = mirror.get("/good").send().await.expect(200).json();
    let shown: Vec<_> =
        document["versions"].as_object().expect("versions").keys().cloned().collect();
    assert_eq!(shown, ["0.0.1-security"]);
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_that_is_404_upstream_loses_nothing_here() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    mirror.upstream.remove("/good");
    let rows = mirror.sync(&["good"]).await;
    let error = rows[0].error.clone().unwrap_or_default();
    assert!(error.contains("404"), "{error}");
    for version in ["1.0.0", "1.1.0"] {
        mirror.get(&good().tarball_path(version)).send().await.expect(200);
    }
    mirror.finish().await;
}
