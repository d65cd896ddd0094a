//! Rounds in which everything here is asked for again.

use std::time::Duration;

use crate::harness::{Package, TestMirror, until};

/// A version disappears while the document keeps its validator: conditional requests say for ever
/// that nothing changed.
#[tokio::test]
async fn a_takedown_behind_an_unchanged_validator_is_found() {
    let whole = Package::new("lamp").version("1.0.0").version("1.1.0");
    let builder = TestMirror::builder().packages(std::slice::from_ref(&whole));
    let url = builder.upstream_url();
    let etag = Some("\"never-changes\"".to_owned());
    builder.upstream().publish_document_with_etag("lamp", whole.document(&url), etag.clone());
    let mut mirror = builder.start().await;
    mirror.sync(&["lamp"]).await;
    let less = whole.without("1.1.0").tag("latest", "1.0.0");
    mirror.upstream.publish_document_with_etag("lamp", less.document(&url), etag);
    mirror.sync(&["lamp"]).await;
    assert_eq!(mirror.version("lamp", "1.1.0").await.removed_at_ms, None, "304 hides it");
    mirror
        .change_engine(|engine| {
            engine.audit.sweep = Duration::from_millis(100);
            engine.audit.look_every = Duration::from_millis(10);
        })
        .await;
    let mirror = &mirror;
    until("the version to be gone", || async move {
        mirror.version("lamp", "1.1.0").await.removed_at_ms
    })
    .await;
    let status = mirror.engine().describe().await.expect("an engine that answers");
    assert!(status.audits[0].swept > 0);
}

#[tokio::test]
async fn without_a_feed_every_package_is_checked_in_its_time() {
    let lamp = Package::new("lamp").version("1.0.0");
    let builder = TestMirror::builder().packages(std::slice::from_ref(&lamp)).engine(|engine| {
        engine.audit.sweep_without_feed = Duration::from_millis(100);
        engine.audit.look_every = Duration::from_millis(10);
    });
    let mirror = builder.start().await;
    mirror.sync(&["lamp"]).await;
    mirror.upstream.forget_asked();
    mirror.upstream.publish(&lamp.version("1.1.0"));
    let mirror = &mirror;
    until("the new version", || async move {
        let rows = mirror.versions("lamp").await;
        rows.iter().any(|row| row.version == "1.1.0" && row.blob.is_some()).then_some(())
    })
    .await;
    let asked = mirror.upstream.asked();
    let first = asked.iter().find(|asked| asked.path == "/lamp").expect("a request");
    assert!(first.header("if-none-match").is_some(), "with its validator");
}
