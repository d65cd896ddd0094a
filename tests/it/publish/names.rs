//! Which names can be taken, and what is said of names that nobody took.

use espejo::app::OnMiss;
use store::PackageStatus;

use super::{builder, document, open, publish, published};
use crate::harness::{TestMirror, TokenKind};

#[tokio::test]
async fn a_404_says_whether_an_upstream_was_asked() {
    let (mirror, token) = open().await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    published(&mirror, &token, "@garden/ui", &["1.0.0"]).await;
    published(&mirror, &root, "lantern", &["1.0.0"]).await;
    mirror.sync(&["lamp"]).await;
    mirror.upstream.forget_asked();
    let asked = "check the name and the version; this mirror asked its upstream too";
    let private = "check the name and the version; its scope is private here, so no upstream is \
                   asked for it";
    let ours = "check the version; the package is published here, so no upstream is asked for it";
    for (target, what, hint) in [
        ("/ghost", "ghost", asked),
        ("/lamp/9.9.9", "lamp@9.9.9", asked),
        ("/lamp/-/lamp-9.9.9.tgz", "lamp@9.9.9", asked),
        ("/@garden/none", "@garden/none", private),
        ("/@garden/none/1.0.0", "@garden/none", private),
        ("/@garden/none/-/none-1.0.0.tgz", "@garden/none", private),
        ("/@garden/ui/9.9.9", "@garden/ui@9.9.9", private),
        ("/@garden/ui/-/ui-9.9.9.tgz", "@garden/ui@9.9.9", private),
        ("/lantern/9.9.9", "lantern@9.9.9", ours),
        ("/lantern/-/lantern-9.9.9.tgz", "lantern@9.9.9", ours),
    ] {
        let answer = mirror.get(target).send().await.expect(404);
        assert_eq!(answer.must("npm-notice"), hint, "{target}");
        assert_eq!(answer.error(), format!("[NOT_FOUND] {what} not found"));
    }
    let asked = mirror.upstream.asked();
    assert!(asked.iter().all(|asked| !asked.path.contains("lantern")), "{asked:?}");
    assert!(asked.iter().all(|asked| !asked.path.contains("garden")), "{asked:?}");
    mirror.finish().await;
}

#[tokio::test]
async fn no_client_is_sent_upstream_for_a_name_of_ours() {
    let builder = builder();
    let upstream = builder.upstream_url();
    let url = upstream.parse().expect("an address");
    let mirror = builder.serve(|settings| {
        settings.on_miss = OnMiss::Redirect;
        settings.upstream_url = Some(url);
    });
    let mirror = mirror.start().await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    published(&mirror, &token, "@garden/ui", &["1.0.0"]).await;
    published(&mirror, &root, "lantern", &["1.0.0"]).await;
    for target in [
        "/@garden/none",
        "/@garden/none/-/none-1.0.0.tgz",
        "/@garden/ui/-/ui-9.9.9.tgz",
        "/@garden/ui/9.9.9",
        "/lantern/-/lantern-9.9.9.tgz",
        "/lantern/9.9.9",
    ] {
        let answer = mirror.get(target).send().await.expect(404);
        assert!(answer.must("npm-notice").ends_with("so no upstream is asked for it"), "{target}");
    }
    mirror.get("/ghost").send().await.expect(302);
    mirror.finish().await;
}

#[tokio::test]
async fn a_name_that_an_upstream_may_have_is_not_taken_while_it_cannot_be_asked() {
    for on_miss in [OnMiss::Fetch, OnMiss::None] {
        let mirror = builder().serve(|settings| settings.on_miss = on_miss).start().await;
        let (root, _) = mirror.token("root", TokenKind::Admin).await;
        publish(&mirror, &root, "lamp", "9.0.0").await.expect(403);
        mirror.upstream.fail("/lantern", 503, 1_000);
        let refused = publish(&mirror, &root, "lantern", "1.0.0").await.expect(503);
        let start = "[SERVICE_UNAVAILABLE] lantern is new here, and its upstream cannot be asked \
                     whether it has a package of that name: ";
        assert!(refused.error().starts_with(start), "{}", refused.error());
        assert!(refused.must("npm-notice").contains("publish it in a scope of publish.scopes"));
        refused.must("retry-after");
        // what nobody else can have needs nobody's answer
        publish(&mirror, &root, "@garden/ui", "1.0.0").await.expect(201);
        mirror.upstream.heal("/lantern");
        publish_when_believed(&mirror, &root).await;
        mirror.finish().await;
    }
}

/// An upstream that just failed is not asked again at once.
async fn publish_when_believed(mirror: &TestMirror, token: &str) {
    crate::harness::until("a name that is free", || async {
        (publish(mirror, token, "lantern", "1.0.0").await.status == 201).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_mirror_that_knows_no_upstream_takes_every_name() {
    let mut mirror = builder().serve(|settings| settings.publish.unscoped = true).start().await;
    mirror.change_engine(|settings| settings.upstream = None).await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    for name in ["lamp", "@garden/ui"] {
        publish(&mirror, &token, name, "1.0.0").await.expect(201);
        mirror.get(&format!("/{name}/1.0.0")).send().await.expect(200);
    }
    assert_eq!(mirror.upstream.asked().len(), 0);
    mirror.finish().await;
}

#[tokio::test]
async fn a_version_named_like_a_security_placeholder_is_one_like_others_when_it_is_ours() {
    let (mirror, token) = open().await;
    published(&mirror, &token, "@garden/ui", &["0.0.1-security"]).await;
    let snapshot = mirror.store_snapshot("@garden/ui").await;
    assert_eq!(snapshot["status"], PackageStatus::Live.as_str());
    assert!(document(&mirror, "@garden/ui").await["versions"].get("0.0.1-security").is_some());
    let feed = mirror.get("/_changes").send().await.expect(200).json();
    assert!(feed["results"][0].get("deleted").is_none(), "{feed}");
    mirror.get("/@garden/ui/-/ui-0.0.1-security.tgz").send().await.expect(200);
    published(&mirror, &token, "@garden/ui", &["1.0.0"]).await;
    assert_eq!(document(&mirror, "@garden/ui").await["dist-tags"]["latest"], "1.0.0");
    mirror.finish().await;
}
