//! A sync that goes well: everything is here afterwards, once.

use serde_json::json;
use store::{Keeping, TaskState, VersionState, packages};

use super::{good, states};
use crate::harness::{Package, TestMirror};

#[tokio::test]
async fn a_synced_package_is_served_without_upstream() {
    let mut mirror = TestMirror::with(&[good()]).await;
    let rows = mirror.sync(&["good"]).await;
    assert_eq!(rows[0].state, TaskState::Success);
    assert_eq!(rows[0].error, None);
    insta::assert_json_snapshot!(mirror.store_snapshot("good").await);
    mirror.upstream.go_down();
    let document = mirror.get("/good").send().await.expect(200).json();
    assert_eq!(document["dist-tags"], json!({"latest": "1.1.0"}));
    for version in ["1.0.0", "1.1.0"] {
        let answer = mirror.get(&good().tarball_path(version)).send().await.expect(200);
        assert_eq!(answer.body, good().get(version).tarball);
    }
    mirror.restart().await;
    mirror.get("/good").abbreviated().send().await.expect(200);
    mirror.get(&good().tarball_path("1.1.0")).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_second_sync_fetches_only_what_is_new() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    mirror.upstream.publish(&good().version("2.0.0"));
    mirror.upstream.forget_asked();
    mirror.sync(&["good"]).await;
    let asked: Vec<_> = mirror.upstream.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, ["/good", "/good/-/good-2.0.0.tgz"]);
    let held = states(&mirror, "good").await;
    assert!(held.iter().all(|(_, state)| *state == VersionState::Held), "{held:?}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_changed_tag_or_deprecation_is_taken_over_without_new_bytes() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    let mut changed = good().tag("stable", "1.0.0");
    changed.versions[0].manifest.insert("deprecated".into(), json!("use 1.1"));
    mirror.upstream.publish(&changed);
    mirror.upstream.forget_asked();
    mirror.sync(&["good"]).await;
    assert_eq!(mirror.upstream.asked().len(), 1, "the document alone");
    let document = mirror.get("/good").abbreviated().send().await.expect(200).json();
    assert_eq!(document["dist-tags"]["stable"], "1.0.0");
    assert_eq!(document["versions"]["1.0.0"]["deprecated"], "use 1.1");
    mirror.finish().await;
}

#[tokio::test]
async fn equal_tarballs_under_many_names_are_fetched_as_needed_and_kept_once() {
    let tarball = good().get("1.0.0").tarball.to_vec();
    let names: Vec<_> = (0..30).map(|n| format!("twin-{n}")).collect();
    let twins: Vec<_> = names
        .iter()
        .map(|name| Package::new(name).version_with("1.0.0", |v| v.with_tarball(tarball.clone())))
        .collect();
    let mirror = TestMirror::with(&twins).await;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    mirror.sync(&names).await;
    let mut digests = std::collections::HashSet::new();
    for name in &names {
        let row = mirror.version(name, "1.0.0").await;
        assert_eq!(row.state, VersionState::Held);
        digests.insert(row.blob);
        let answer = mirror.get(&format!("/{name}/-/{name}-1.0.0.tgz")).send().await.expect(200);
        assert_eq!(answer.body, tarball);
    }
    assert_eq!(digests.len(), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_cached_package_becomes_mirrored_by_a_sync_and_never_less() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.get(&good().tarball_path("1.0.0")).send().await.expect(200);
    let keep = |mirror: &TestMirror| {
        let store = mirror.store();
        async move {
            let name = "good".parse().expect("a name");
            let found = store.read(move |connection| packages::find(connection, &name)).await;
            found.expect("a readable store").expect("a package").keep
        }
    };
    assert_eq!(keep(&mirror).await, Keeping::Cached);
    mirror.sync(&["good"]).await;
    assert_eq!(keep(&mirror).await, Keeping::Mirrored);
    mirror.get("/good?write=true").send().await.expect(200);
    assert_eq!(keep(&mirror).await, Keeping::Mirrored);
    mirror.finish().await;
}

#[tokio::test]
async fn many_packages_are_synced_side_by_side() {
    let packages: Vec<_> = (0..120)
        .map(|n| {
            let name = if n % 3 == 0 { format!("@many/p{n}") } else { format!("p{n}") };
            let package = Package::new(&name).version("1.0.0");
            package.version_with("1.1.0", |version| version.size(n * 2_000))
        })
        .collect();
    let mirror = TestMirror::with(&packages).await;
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    let rows = mirror.sync(&names).await;
    assert!(rows.iter().all(|row| row.state == TaskState::Success));
    for package in &packages {
        for version in &package.versions {
            let path = package.tarball_path(&version.version);
            let answer = mirror.get(&path).send().await.expect(200);
            assert!(answer.body == version.tarball, "{path}");
            assert_eq!(mirror.upstream.count(&path), 1, "{path}");
        }
    }
    mirror.finish().await;
}
