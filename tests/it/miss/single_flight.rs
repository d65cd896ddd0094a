//! However many wait for one thing, upstream is asked once, and nobody depends on the first.

use futures_util::future::join_all;

use crate::harness::{Package, TestMirror, until};

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0").version_with("2.0.0", |version| version.size(300_000))
}

/// 200 readers of one target that is not here; each gets the whole answer.
async fn two_hundred(mirror: &TestMirror, target: &str, asked: &str) -> Vec<Vec<u8>> {
    let gate = mirror.upstream.gate(asked);
    let readers = join_all((0..200).map(|_| mirror.get(target).send()));
    let opener = async {
        mirror.upstream.wait_for(asked, 1).await;
        drop(gate);
    };
    let (answers, ()) = tokio::join!(readers, opener);
    assert_eq!(mirror.upstream.count(asked), 1, "upstream requests of {asked}");
    answers.into_iter().map(|answer| answer.expect(200).body).collect()
}

#[tokio::test]
async fn two_hundred_readers_of_one_document_are_one_upstream_request() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let bodies = two_hundred(&mirror, "/lamp", "/lamp").await;
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    mirror.finish().await;
}

#[tokio::test]
async fn two_hundred_readers_of_one_tarball_are_one_upstream_request() {
    let mirror = TestMirror::with(&[lamp()]).await;
    for version in ["1.0.0", "2.0.0"] {
        let path = lamp().tarball_path(version);
        let bodies = two_hundred(&mirror, &path, &path).await;
        assert!(bodies.iter().all(|body| *body == lamp().get(version).tarball));
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_leader_that_goes_away_fails_nobody_else() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let tarball = lamp().tarball_path("2.0.0");
    for target in ["/lamp", tarball.as_str()] {
        let gate = mirror.upstream.gate(target);
        mirror.get(target).send_and_leave().await;
        mirror.upstream.wait_for(target, 1).await;
        let follower = mirror.get(target).send();
        let (follower, ()) = tokio::join!(follower, async { drop(gate) });
        follower.expect(200);
        assert_eq!(mirror.upstream.count(target), 1, "{target}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn what_was_fetched_for_a_reader_who_left_is_kept() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let gate = mirror.upstream.gate("/lamp");
    mirror.get("/lamp").send_and_leave().await;
    mirror.upstream.wait_for("/lamp", 1).await;
    drop(gate);
    until("the document in the store", || async {
        (!mirror.versions("lamp").await.is_empty()).then_some(())
    })
    .await;
    mirror.get("/lamp").send().await.expect(200);
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_tarball_of_an_unknown_package_brings_its_document_along() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let path = lamp().tarball_path("1.0.0");
    let answer = mirror.get(&path).send().await.expect(200);
    assert_eq!(answer.body, lamp().get("1.0.0").tarball);
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.get("/lamp").send().await.expect(200);
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}
