//! P7, T2: digests that are missing, weak, malformed, or change after the fact.

use serde_json::json;
use store::{TaskState, VersionState, alarms};

use super::{failed_with, good, reason, states};
use crate::harness::{Package, TestMirror, noise, shasum, sri};

#[tokio::test]
async fn a_second_integrity_raises_an_alarm_and_the_first_one_stays() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    let first = good().get("1.0.0").tarball.clone();
    let mut changed = good();
    changed.versions[0] = changed.versions[0].clone().with_tarball(noise("other", 500));
    mirror.upstream.publish(&changed);
    let rows = mirror.sync(&["good"]).await;
    let log = mirror.log(rows[0].id).await;
    assert!(log.contains(&sri(&first)) && log.contains("the first one is kept"), "{log}");
    let row = mirror.version("good", "1.0.0").await;
    assert_eq!(row.state, VersionState::Held);
    assert_eq!(row.expected.as_deref(), Some(sri(&first).as_str()));
    let answer = mirror.get(&good().tarball_path("1.0.0")).send().await.expect(200);
    assert_eq!(answer.body, first);
    let raised = mirror.store().read(alarms::count).await;
    assert!(raised.expect("a readable store") > 0);
    mirror.finish().await;
}

#[tokio::test]
async fn a_first_integrity_is_a_fact_even_before_its_tarball_is_here() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.get("/good").send().await.expect(200);
    crate::harness::until("the document in the store", || async {
        (!mirror.versions("good").await.is_empty()).then_some(())
    })
    .await;
    let mut changed = good();
    changed.versions[0] = changed.versions[0].clone().with_tarball(noise("other", 500));
    mirror.upstream.publish(&changed);
    mirror.sync(&["good"]).await;
    let row = mirror.version("good", "1.0.0").await;
    assert_eq!(row.expected.as_deref(), Some(sri(&good().get("1.0.0").tarball).as_str()));
    assert_eq!(row.state, VersionState::Failed, "the bytes upstream sends now are others");
    mirror.get(&good().tarball_path("1.1.0")).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_tarball_with_a_shasum_only_is_checked_by_it_and_no_integrity_is_invented() {
    let package = Package::new("old")
        .version_with("1.0.0", |version| version.dist("integrity", json!(null)))
        .version_with("1.1.0", |version| {
            version.dist("integrity", json!(null)).dist("shasum", json!(shasum(b"other bytes")))
        });
    let mirror = TestMirror::with(std::slice::from_ref(&package)).await;
    let rows = mirror.sync(&["old"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "one of two versions is here");
    assert!(rows[0].error.as_deref().is_some_and(|error| error.contains("old@1.1.0")), "{rows:?}");
    assert_eq!(mirror.version("old", "1.0.0").await.state, VersionState::Held);
    let why = reason(&mirror, "old", "1.1.0").await;
    assert!(why.contains(&shasum(b"other bytes")), "{why}");
    let document = mirror.get("/old").send().await.expect(200).json();
    let dist = &document["versions"]["1.0.0"]["dist"];
    assert!(dist.get("integrity").is_none());
    assert_eq!(dist["shasum"], shasum(&package.get("1.0.0").tarball));
    mirror.finish().await;
}

#[tokio::test]
async fn other_algorithms_and_several_hashes_are_understood() {
    let bytes = noise("digests", 400);
    let sha384 = {
        use base64::Engine as _;
        use sha2::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha384::digest(&bytes))
    };
    let several = format!("sha1-{} {}", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", sri(&bytes));
    let with = |integrity: String| {
        let bytes = bytes.clone();
        move |version: crate::harness::Version| {
            version.with_tarball(bytes).dist("integrity", json!(integrity))
        }
    };
    let package = Package::new("hashes")
        .version_with("1.0.0", with(format!("sha384-{sha384}")))
        .version_with("2.0.0", with(several))
        .version_with(
            "3.0.0",
            with(format!("sha384-{} ", sha384.replacen('A', "B", 1).replacen('C', "D", 1))),
        );
    let mirror = TestMirror::with(&[package]).await;
    mirror.sync(&["hashes"]).await;
    let states = states(&mirror, "hashes").await;
    let expected = [
        ("1.0.0".to_owned(), VersionState::Held),
        ("2.0.0".to_owned(), VersionState::Held),
        ("3.0.0".to_owned(), VersionState::Failed),
    ];
    assert_eq!(states, expected);
    mirror.finish().await;
}

#[tokio::test]
async fn a_malformed_or_missing_digest_fails_the_version_with_the_reason() {
    let package = Package::new("nodigest")
        .version("0.9.0")
        .version_with("1.0.0", |version| {
            version.dist("integrity", json!("sha512-!!!not-base64!!!"))
        })
        .version_with("1.1.0", |version| {
            version.dist("integrity", json!(null)).dist("shasum", json!(null))
        })
        .version_with("1.2.0", |version| {
            version.dist("integrity", json!(null)).dist("shasum", json!("xyz"))
        });
    let mirror = TestMirror::with(&[package]).await;
    mirror.sync(&["nodigest"]).await;
    assert_eq!(mirror.version("nodigest", "0.9.0").await.state, VersionState::Held);
    for (version, word) in [("1.0.0", "sha512-!!!"), ("1.1.0", "neither"), ("1.2.0", "xyz")] {
        let why = reason(&mirror, "nodigest", version).await;
        assert!(why.contains(word), "{version}: {why}");
        let answer = mirror.get(&format!("/nodigest/-/nodigest-{version}.tgz")).send().await;
        assert!(answer.status >= 400, "{version} was served unchecked");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_of_which_no_version_can_be_had_is_an_error() {
    let package = Package::new("hollow").version("1.0.0");
    let mirror = TestMirror::with(std::slice::from_ref(&package)).await;
    mirror.upstream.put_tarball(&package.tarball_path("1.0.0"), "not it");
    let rows = mirror.sync(&["hollow"]).await;
    failed_with(&rows[0], &["hollow@1.0.0", "sha512-"]);
    mirror.finish().await;
}
