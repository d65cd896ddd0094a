//! Documents that are here, but older than `sync.fresh_for`.

use std::time::Duration;

use crate::harness::{Package, TestMirror, until};

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0")
}

async fn latest(mirror: &TestMirror, headers: &[(&str, &str)], target: &str) -> String {
    let mut request = mirror.get(target);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let document = request.send().await.expect(200).json();
    document["dist-tags"]["latest"].as_str().expect("a tag").to_owned()
}

#[tokio::test]
async fn an_old_document_is_served_at_once_and_refreshed_behind_the_reader() {
    let mirror = TestMirror::builder()
        .packages(&[lamp()])
        .serve(|settings| settings.fresh_for = Duration::ZERO)
        .start()
        .await;
    mirror.sync(&["lamp"]).await;
    mirror.upstream.publish(&lamp().version("2.0.0"));
    // The refresh waits at the gate: what comes meanwhile is the old document.
    let gate = mirror.upstream.gate("/lamp");
    assert_eq!(latest(&mirror, &[], "/lamp").await, "1.0.0");
    drop(gate);
    until("the refreshed document", || async {
        (latest(&mirror, &[], "/lamp").await == "2.0.0").then_some(())
    })
    .await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_fresh_document_is_not_asked_for_again() {
    let mirror = TestMirror::with(&[lamp()]).await;
    for _ in 0..5 {
        latest(&mirror, &[], "/lamp").await;
    }
    mirror.sync(&["lamp"]).await;
    latest(&mirror, &[], "/lamp").await;
    assert_eq!(mirror.upstream.count("/lamp"), 2, "one miss and one sync");
    mirror.finish().await;
}

#[tokio::test]
async fn who_wants_to_know_what_is_new_waits_for_upstream() {
    let mirror = TestMirror::builder()
        .packages(&[lamp()])
        .serve(|settings| settings.fresh_for = Duration::ZERO)
        .start()
        .await;
    let ways: [(&[(&str, &str)], &str); 3] = [
        (&[("npm-command", "view")], "/lamp"),
        (&[("npm-command", "outdated")], "/lamp"),
        (&[], "/lamp?write=true"),
    ];
    let mut package = lamp();
    mirror.sync(&["lamp"]).await;
    for (major, (headers, target)) in (2..).zip(ways) {
        let version = format!("{major}.0.0");
        package = package.version(&version);
        mirror.upstream.publish(&package);
        assert_eq!(latest(&mirror, headers, target).await, version, "{headers:?} {target}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn an_unchanged_document_costs_upstream_a_304() {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.sync(&["lamp"]).await;
    mirror.upstream.forget_asked();
    let tasks = mirror.sync(&["lamp"]).await;
    assert!(mirror.log(tasks[0].id).await.contains("304"));
    let asked = mirror.upstream.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].header("if-none-match").is_some());
    mirror.finish().await;
}

#[tokio::test]
async fn a_304_with_nothing_held_is_an_error_and_not_a_document() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let unasked = crate::harness::Fault::Answer {
        status: 304,
        headers: vec![("etag".into(), "\"x\"".into())],
        body: bytes::Bytes::new(),
    };
    mirror.upstream.always("/lamp", unasked);
    let answer = mirror.get("/lamp").send().await;
    assert!((500..600).contains(&answer.status), "{}", answer.status);
    let tasks = mirror.sync(&["lamp"]).await;
    assert!(tasks[0].error.as_deref().is_some_and(|error| error.contains("304")), "{tasks:?}");
    mirror.finish().await;
}
