//! Upstream has nothing, is down, or sends rubbish while somebody waits.

use std::time::Duration;

use actors::upstream::UpstreamSettings;
use espejo::app::OnMiss;
use store::VersionState;

use crate::harness::{Fault, Package, TestMirror, until};

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0").version("1.1.0")
}

#[tokio::test]
async fn a_package_upstream_does_not_have_is_404_and_asked_once_for_a_while() {
    let mirror = TestMirror::builder()
        .engine(|settings| settings.negative_for = Duration::from_secs(3600))
        .serve(|settings| settings.negative_for = Duration::from_secs(3600))
        .start()
        .await;
    for _ in 0..3 {
        let answer = mirror.get("/ghost").send().await.expect(404);
        assert_eq!(answer.error(), "[NOT_FOUND] ghost not found");
    }
    assert_eq!(mirror.upstream.count("/ghost"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_fresh_publish_is_seen_when_the_negative_answer_has_run_out() {
    let mirror = TestMirror::builder()
        .engine(|settings| settings.negative_for = Duration::ZERO)
        .serve(|settings| settings.negative_for = Duration::ZERO)
        .start()
        .await;
    mirror.get("/lamp").send().await.expect(404);
    mirror.upstream.publish(&lamp());
    // Errors are shared for a second among those who wait.
    until("the new package", || async {
        (mirror.get("/lamp").send().await.status == 200).then_some(())
    })
    .await;
    mirror.finish().await;
}

#[tokio::test]
async fn with_upstream_down_a_miss_is_503_and_what_is_here_is_served() {
    let mut mirror = TestMirror::builder()
        .packages(&[lamp()])
        .serve(|settings| settings.fresh_for = Duration::ZERO)
        .start()
        .await;
    let held = lamp().tarball_path("1.0.0");
    mirror.get(&held).send().await.expect(200);
    until("the document in the store", || async {
        (mirror.version("lamp", "1.0.0").await.state == VersionState::Held).then_some(())
    })
    .await;
    mirror.upstream.go_down();
    for target in ["/ghost", "/@no/such", lamp().tarball_path("1.1.0").as_str()] {
        let answer = mirror.get(target).send().await.expect(503);
        assert!(answer.must("retry-after").parse::<u64>().is_ok(), "{target}");
        answer.error();
    }
    for target in ["/lamp", "/lamp/latest", held.as_str(), "/-/package/lamp/dist-tags"] {
        mirror.get(target).send().await.expect(200);
    }
    mirror.get("/-/ping").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn short_failures_of_upstream_are_not_seen_by_the_reader() {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.upstream.fail("/lamp", 503, 2);
    mirror.get("/lamp").send().await.expect(200);
    assert_eq!(mirror.upstream.count("/lamp"), 3);
    let path = lamp().tarball_path("1.0.0");
    mirror.upstream.fail(&path, 502, 2);
    mirror.get(&path).send().await.expect(200);
    assert_eq!(mirror.upstream.count(&path), 3);
    mirror.finish().await;
}

#[tokio::test]
async fn an_upstream_in_trouble_is_left_alone_and_what_is_here_is_served() {
    let mirror = TestMirror::builder()
        .packages(&[lamp()])
        .asks(|settings| {
            settings.breaker.failures = 3;
            settings.breaker.rest = Duration::from_secs(3600);
            settings.retry.attempts = 1;
        })
        .start()
        .await;
    mirror.sync(&["lamp"]).await;
    for n in 0..8 {
        mirror.upstream.fail(&format!("/ghost-{n}"), 502, usize::MAX);
    }
    mirror.upstream.forget_asked();
    for n in 0..8 {
        let answer = mirror.get(&format!("/ghost-{n}")).send().await.expect(503);
        answer.must("retry-after");
    }
    let asked = mirror.upstream.asked().len();
    assert!(asked < 8, "{asked} requests reached an upstream that answers 502 to all");
    mirror.get("/lamp").send().await.expect(200);
    mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn what_cannot_change_is_not_asked_again() {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.upstream.fail("/lamp", 403, usize::MAX);
    let answer = mirror.get("/lamp").send().await.expect(403);
    assert!(answer.error().contains("refused"), "{}", answer.error());
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_web_page_in_place_of_a_document_is_an_error_and_nothing_is_kept() {
    let mirror = TestMirror::with(&[lamp()]).await;
    mirror.upstream.always("/lamp", Fault::html());
    let answer = mirror.get("/lamp").send().await;
    assert!((500..600).contains(&answer.status), "{}", answer.status);
    answer.error();
    assert!(mirror.versions("lamp").await.is_empty());
    mirror.upstream.heal("/lamp");
    until("the real document", || async {
        (mirror.get("/lamp").send().await.status == 200).then_some(())
    })
    .await;
    mirror.finish().await;
}

#[tokio::test]
async fn bytes_with_another_digest_never_reach_a_reader() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let path = lamp().tarball_path("1.0.0");
    let mut wrong = lamp().get("1.0.0").tarball.to_vec();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    mirror.upstream.put_tarball(&path, wrong.clone());
    let answer = mirror.get(&path).send().await;
    assert!((500..600).contains(&answer.status), "{}", answer.status);
    assert!(answer.error().contains("sha512-"), "{}", answer.error());
    assert_ne!(mirror.version("lamp", "1.0.0").await.state, VersionState::Held);
    mirror.upstream.publish(&lamp());
    until("the right bytes", || async {
        let answer = mirror.get(&path).send().await;
        assert_ne!(answer.body, wrong);
        (answer.status == 200).then_some(())
    })
    .await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_mirror_told_not_to_fetch_answers_404_or_sends_the_client_upstream() {
    let mirror = TestMirror::builder()
        .packages(&[lamp()])
        .serve(|settings| settings.on_miss = OnMiss::None)
        .start()
        .await;
    mirror.get("/lamp").send().await.expect(404);
    mirror.sync(&["lamp"]).await;
    mirror.get("/lamp").send().await.expect(200);
    mirror.finish().await;

    let builder = TestMirror::builder().packages(&[lamp()]);
    let upstream = builder.upstream_url();
    let url = upstream.parse().expect("an address");
    let mirror = builder
        .serve(|settings| {
            settings.on_miss = OnMiss::Redirect;
            settings.upstream_url = Some(url);
        })
        .start()
        .await;
    for target in ["/lamp", "/lamp/-/lamp-1.0.0.tgz", "/@garden%2fui?write=true"] {
        let answer = mirror.get(target).send().await.expect(302);
        assert_eq!(answer.must("location"), format!("{upstream}{target}"));
    }
    assert_eq!(mirror.upstream.asked().len(), 0);
    mirror.finish().await;
}

#[tokio::test]
async fn below_the_free_space_limit_a_miss_is_503_and_the_rest_is_served() {
    let mut mirror = TestMirror::with(&[lamp()]).await;
    mirror.sync(&["lamp"]).await;
    mirror.change_engine(|settings| settings.keep_free_bytes = u64::MAX).await;
    until("parked fetching", || async {
        mirror.engine().describe().await.expect("an engine").parked
    })
    .await;
    let wick = Package::new("wick").version("1.0.0");
    mirror.upstream.publish(&wick);
    // A document passes through; nothing of it is kept.
    mirror.get("/wick").send().await.expect(200);
    assert!(mirror.versions("wick").await.is_empty());
    let answer = mirror.get(&wick.tarball_path("1.0.0")).send().await.expect(503);
    assert!(answer.error().contains("free"), "{}", answer.error());
    answer.must("retry-after");
    mirror.get("/lamp").send().await.expect(200);
    mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
    mirror.change_engine(|settings| settings.keep_free_bytes = 0).await;
    mirror.get(&wick.tarball_path("1.0.0")).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_mirror_that_is_its_own_upstream_says_so_at_once() {
    let mirror = TestMirror::with(&[]).await;
    let own_address = mirror.url().parse().unwrap();
    let settings = UpstreamSettings::new("default", own_address);
    mirror.engine().set_upstream(Some(settings)).unwrap();
    let answer = mirror.get("/ghost").send().await.expect(508);
    assert!(answer.error().contains("came back to the mirror unnamed"), "{}", answer.error());
    mirror.finish().await;
}
