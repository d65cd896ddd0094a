//! `sync.signatures`: what is not signed as required is neither fetched nor served.

use actors::SignaturePolicy;
use serde_json::json;
use store::{TaskState, VersionState};

use super::{LAMP, lamp, signer, verdicts};
use crate::harness::{KEYS_PATH, Package, TestMirror, key_list, until};

/// Version 1.0.0 is signed, 1.1.0 is not.
fn half_signed(signer: &crate::harness::Signer) -> Package {
    let mut package = signer.signed(lamp());
    package.versions[1].dist.remove("signatures");
    package
}

async fn requiring(package: &Package, keys: &[serde_json::Value]) -> TestMirror {
    let builder = TestMirror::builder().packages(std::slice::from_ref(package));
    let builder = builder.engine(|engine| engine.policy.signatures = SignaturePolicy::Require);
    let mirror = builder.start().await;
    mirror.upstream.put_json(KEYS_PATH, &key_list(keys));
    mirror
}

/// What a reader gets of the package of [`half_signed`].
async fn only_the_signed_version_is_served(mirror: &TestMirror, package: &Package) {
    for abbreviated in [false, true] {
        let request = mirror.get("/@garden%2flamp");
        let request = if abbreviated { request.abbreviated() } else { request };
        let document = request.send().await.expect(200).json();
        assert!(document["versions"].get("1.0.0").is_some());
        assert!(document["versions"].get("1.1.0").is_none());
        assert_eq!(document["dist-tags"], json!({"latest": "1.0.0"}));
    }
    let latest = mirror.get("/@garden%2flamp/latest").send().await.expect(200).json();
    assert_eq!(latest["version"], "1.0.0");
    mirror.get(&package.tarball_path("1.0.0")).send().await.expect(200);
    let tarball = mirror.get(&package.tarball_path("1.1.0")).send().await.expect(403);
    assert!(tarball.error().contains("\"unsigned\""), "{}", tarball.error());
    let manifest = mirror.get("/@garden%2flamp/1.1.0").send().await.expect(403);
    assert!(manifest.error().contains("sync.signatures"), "{}", manifest.error());
}

#[tokio::test]
async fn a_version_without_a_valid_signature_is_not_fetched_and_not_served() {
    let signer = signer();
    let package = half_signed(&signer);
    let mut mirror = requiring(&package, &[signer.key(None)]).await;
    let rows = mirror.sync(&[LAMP]).await;
    assert_eq!(rows[0].state, TaskState::Success);
    assert!(rows[0].error.as_deref().is_some_and(|error| error.contains("unsigned")), "{rows:?}");
    assert_eq!(mirror.version(LAMP, "1.0.0").await.state, VersionState::Held);
    assert_eq!(mirror.version(LAMP, "1.1.0").await.state, VersionState::Failed);
    assert_eq!(mirror.upstream.count(&package.tarball_path("1.1.0")), 0);
    only_the_signed_version_is_served(&mirror, &package).await;
    mirror.sync(&[LAMP]).await;
    assert_eq!(mirror.upstream.count(&package.tarball_path("1.1.0")), 0, "also not the next time");
    mirror.restart().await;
    only_the_signed_version_is_served(&mirror, &package).await;
    mirror.finish().await;
}

#[tokio::test]
async fn the_first_reader_of_a_package_sees_no_more_than_the_second() {
    let signer = signer();
    let package = half_signed(&signer);
    let mirror = requiring(&package, &[signer.key(None)]).await;
    let first = mirror.get("/@garden%2flamp").send().await.expect(200).json();
    assert!(first["versions"].get("1.1.0").is_none());
    only_the_signed_version_is_served(&mirror, &package).await;
    mirror.finish().await;
}

#[tokio::test]
async fn what_was_here_before_signatures_were_required_is_hidden_until_it_has_one() {
    let signer = signer();
    let package = half_signed(&signer);
    let mut mirror = TestMirror::with(std::slice::from_ref(&package)).await;
    mirror.upstream.put_json(KEYS_PATH, &key_list(&[signer.key(None)]));
    mirror.sync(&[LAMP]).await;
    let whole = mirror.get("/@garden%2flamp").send().await.expect(200).json();
    assert_eq!(whole["dist-tags"], json!({"latest": "1.1.0"}));
    mirror.change_engine(|engine| engine.policy.signatures = SignaturePolicy::Require).await;
    only_the_signed_version_is_served(&mirror, &package).await;
    assert_eq!(mirror.version(LAMP, "1.1.0").await.state, VersionState::Held, "kept, unseen");
    mirror.upstream.publish(&signer.signed(lamp()));
    mirror.sync(&[LAMP]).await;
    until("the signed version in the document", || async {
        let whole = mirror.get("/@garden%2flamp").send().await.expect(200).json();
        (whole["dist-tags"] == json!({"latest": "1.1.0"})).then_some(())
    })
    .await;
    mirror.get(&package.tarball_path("1.1.0")).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn required_signatures_wait_for_keys_that_cannot_be_had() {
    let signer = signer();
    let package = signer.signed(lamp());
    let builder = TestMirror::builder().packages(std::slice::from_ref(&package));
    let builder = builder.engine(|engine| {
        engine.policy.signatures = SignaturePolicy::Require;
        engine.max_attempts = 1;
    });
    let mirror = builder.start().await;
    mirror.upstream.fail(KEYS_PATH, 503, usize::MAX);
    let rows = mirror.sync(&[LAMP]).await;
    super::super::sync::failed_with(&rows[0], &["sync.signatures", "503"]);
    mirror.get("/@garden%2flamp").send().await.expect(503);
    mirror.finish().await;
}

#[tokio::test]
async fn with_off_nothing_is_verified_and_no_key_asked_for() {
    let signer = signer();
    let builder = TestMirror::builder().packages(&[signer.signed(lamp())]);
    let builder = builder.engine(|engine| engine.policy.signatures = SignaturePolicy::Off);
    let mirror = builder.start().await;
    mirror.sync(&[LAMP]).await;
    assert_eq!(verdicts(&mirror, LAMP).await, super::all("none"));
    assert_eq!(mirror.upstream.count(KEYS_PATH), 0);
    mirror.finish().await;
}
