//! Mirrors that are each other's upstream.

use std::time::Duration;

use actors::upstream::UpstreamSettings;

use crate::harness::{Package, TestMirror, until};

/// Nothing here may end because somebody was silent for too long.
const LONGER_THAN_THE_TEST: Duration = Duration::from_secs(3_600);

fn named(settings: &mut UpstreamSettings, id: &str, upstream: &str) {
    settings.instance_id = id.to_owned();
    settings.url = upstream.parse().expect("an address");
    settings.first_byte_timeout = LONGER_THAN_THE_TEST;
}

/// `near` asks `far`, and `far` asks `near`.
async fn circle() -> (TestMirror, TestMirror) {
    let far = TestMirror::with(&[]).await;
    let url = far.url();
    let near = TestMirror::builder().asks(|settings| named(settings, "near", &url)).start().await;
    let mut settings = UpstreamSettings::new("default", near.url().parse().expect("an address"));
    named(&mut settings, "far", &near.url());
    far.engine().set_upstream(Some(settings)).expect("an upstream");
    (near, far)
}

#[tokio::test]
async fn a_circle_of_mirrors_is_found_at_once_and_said_to_the_reader() {
    let (near, far) = circle().await;
    for path in ["/lamp", "/tidy-list/-/tidy-list-1.0.0.tgz"] {
        let answer = near.get(path).send().await.expect(508);
        assert_eq!(answer.header("espejo-via"), Some("near"), "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("[LOOP_DETECTED]") && text.contains("near"), "{text}");
    }
    let rows = far.sync(&["garden"]).await;
    let error = rows[0].error.as_deref().unwrap_or_default();
    assert!(error.contains("leads back to the mirror"), "{rows:?}");
    near.finish().await;
    far.finish().await;
}

#[tokio::test]
async fn readers_at_both_mirrors_of_a_circle_do_not_wait_for_each_other() {
    let (near, far) = circle().await;
    let (at_near, at_far) = tokio::join!(near.get("/lamp").send(), far.get("/lamp").send());
    at_near.expect(508);
    at_far.expect(508);
    near.finish().await;
    far.finish().await;
}

#[tokio::test]
async fn a_made_up_chain_fails_its_own_reader_only() {
    let mirror = TestMirror::builder()
        .packages(&[Package::new("lamp").version("1.0.0")])
        .asks(|settings| settings.instance_id = "near".to_owned())
        .start()
        .await;
    mirror.get("/lamp").header("espejo-via", "other, near").send().await.expect(508);
    mirror.get("/lamp").send().await.expect(200);
    mirror.get("/lamp").header("espejo-via", "other").send().await.expect(200);
    // A document is answered before it is kept; what is kept is nobody's circle any more.
    until("the package to be here", || async {
        (!mirror.versions("lamp").await.is_empty()).then_some(())
    })
    .await;
    mirror.get("/lamp").header("espejo-via", "near").send().await.expect(200);
    mirror.finish().await;
}
