//! Who may publish what.

use serde_json::json;

use super::{builder, document, open, publish, published};
use crate::harness::{Package, TestMirror, TokenKind};

#[tokio::test]
async fn names_are_for_those_who_may_have_them() {
    let (mirror, ada) = open().await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    let (readonly, mark) = mirror.token("ada", TokenKind::Readonly).await;
    mirror.request("PUT", "/@garden/ui").json(&json!({})).send().await.expect(401);
    let refused = publish(&mirror, &readonly, "@garden/ui", "1.0.0").await.expect(403).error();
    assert!(refused.contains("can't publish"), "{refused} {mark}");
    for (name, text) in [
        ("lantern", "[FORBIDDEN] Package scope required, legal scopes: \"@garden\""),
        ("@other/new", "[FORBIDDEN] Scope \"@other\" not match legal scopes: \"@garden\""),
    ] {
        assert_eq!(publish(&mirror, &ada, name, "1.0.0").await.expect(403).error(), text);
    }
    publish(&mirror, &root, "lantern", "1.0.0").await.expect(201);
    // an upstream has it, whether or not it is here
    let text = "[FORBIDDEN] Can't modify npm public package \"lamp\"";
    assert_eq!(publish(&mirror, &root, "lamp", "9.0.0").await.expect(403).error(), text);
    mirror.sync(&["lamp"]).await;
    assert_eq!(publish(&mirror, &root, "lamp", "9.0.0").await.expect(403).error(), text);
    assert_eq!(publish(&mirror, &ada, "lamp", "9.0.0").await.expect(403).error(), text);
    for bad in ["@garden/fs!", "@garden/_x", "@garden/UI"] {
        let refused = publish(&mirror, &ada, bad, "1.0.0").await.expect(422).error();
        let text = "[UNPROCESSABLE_ENTITY] package.name invalid, errors: name ";
        assert!(refused.starts_with(text), "{bad}: {refused}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_is_changed_by_its_maintainers_and_admins_alone() {
    let (mirror, ada) = open().await;
    let (bob, _) = mirror.token("bob", TokenKind::User).await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    published(&mirror, &ada, "@garden/ui", &["1.0.0"]).await;
    let text = "[FORBIDDEN] \"bob\" not authorized to modify @garden/ui, please contact \
                maintainers: \"ada\"";
    assert_eq!(publish(&mirror, &bob, "@garden/ui", "1.1.0").await.expect(403).error(), text);
    publish(&mirror, &root, "@garden/ui", "1.1.0").await.expect(201);
    let tag = mirror.request("PUT", "/-/package/@garden%2fui/dist-tags/beta").token(&bob);
    assert_eq!(tag.json(&json!("1.0.0")).send().await.expect(403).error(), text);
    let gone = mirror.request("DELETE", "/@garden/ui/-/ui-1.0.0.tgz/-rev/1").token(&bob);
    let gone = gone.header("npm-command", "unpublish").send().await.expect(403);
    assert_eq!(gone.error(), text);
    assert_eq!(document(&mirror, "@garden/ui").await["maintainers"][0]["name"], "ada");
    mirror.finish().await;
}

#[tokio::test]
async fn publishing_can_be_opened_and_switched_off() {
    let mut mirror = builder().serve(|settings| settings.publish.unscoped = true).start().await;
    let (ada, _) = mirror.token("ada", TokenKind::User).await;
    publish(&mirror, &ada, "lantern", "1.0.0").await.expect(201);
    publish(&mirror, &ada, "lamp", "9.0.0").await.expect(403);
    mirror.change_serve(|settings| settings.publish.enabled = false).await;
    let refused = publish(&mirror, &ada, "lantern", "1.1.0").await.expect(403).error();
    assert!(refused.contains("publish.enabled"), "{refused}");
    mirror.get("/lantern").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn an_upstream_that_cannot_be_asked_lets_no_public_name_be_taken() {
    let mirror = TestMirror::builder().packages(&[Package::new("lamp").version("1.0.0")]);
    let mirror = mirror.start().await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    mirror.upstream.fail("/lamp", 503, 1_000);
    publish(&mirror, &root, "lamp", "9.0.0").await.expect(503);
    mirror.finish().await;
}
