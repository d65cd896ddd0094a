//! A package that is closed to somebody tells him nothing, whatever he sends.

use npm::PackageName;
use serde_json::{Value, json};
use store::audit::By;

use super::{body_of, open, publish, send};
use crate::harness::{TestMirror, TokenKind, Version, until};

const NAME: &str = "@garden/ui";

/// What npm's commands send about one package.
fn requests() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let made = Version::new(NAME, "1.1.0", 300);
    let deprecated = json!({
        "_id": NAME, "name": NAME, "versions": {"1.0.0": {"deprecated": "no"}},
    });
    let owners = json!({"_id": NAME, "maintainers": [{"name": "eve", "email": "e@b"}]});
    vec![
        ("PUT", "/@garden%2fui", "publish", body_of(NAME, &made, "latest")),
        ("PUT", "/@garden%2fui", "publish", body_of(NAME, &Version::new(NAME, "1.0.0", 300), "x")),
        ("PUT", "/@garden%2fui", "deprecate", deprecated),
        ("PUT", "/@garden%2fui/-rev/1", "owner", owners),
        ("PUT", "/-/package/@garden%2fui/dist-tags/beta", "dist-tag", json!("1.0.0")),
        ("PUT", "/-/package/@garden%2fui/dist-tags/beta", "dist-tag", json!("7.7.7")),
        ("DELETE", "/-/package/@garden%2fui/dist-tags/beta", "dist-tag", Value::Null),
        ("DELETE", "/@garden/ui/-/ui-1.0.0.tgz/-rev/1", "unpublish", Value::Null),
        ("DELETE", "/@garden/ui/-/ui-7.7.7.tgz/-rev/1", "unpublish", Value::Null),
        ("DELETE", "/@garden%2fui/-rev/1", "unpublish", Value::Null),
    ]
}

async fn closed() -> (TestMirror, String) {
    let (mirror, ada) = open().await;
    let mut body = body_of(NAME, &Version::new(NAME, "1.0.0", 300), "latest");
    body["access"] = json!("restricted");
    send(&mirror, &ada, NAME, &body).await.expect(201);
    (mirror, ada)
}

#[tokio::test]
async fn whoever_may_not_read_a_package_hears_nothing_of_it_when_he_changes_it() {
    let (mirror, ada) = closed().await;
    let (eve, _) = mirror.token("eve", TokenKind::User).await;
    let before = mirror.get("/@garden/ui").token(&ada).send().await.expect(200).json();
    for (method, path, command, body) in requests() {
        let ask = |token: Option<&str>| {
            let request = mirror.request(method, path).header("npm-command", command);
            let request = if body.is_null() { request } else { request.json(&body) };
            match token {
                Some(token) => request.token(token).send(),
                None => request.send(),
            }
        };
        let refused = ask(Some(&eve)).await.expect(403);
        let text = "[FORBIDDEN] \"eve\" is not authorized to access @garden/ui";
        assert_eq!(refused.error(), text, "{method} {path}");
        assert!(!refused.text().contains("ada"), "{}", refused.text());
        ask(None).await.expect(401);
    }
    let after = mirror.get("/@garden/ui").token(&ada).send().await.expect(200).json();
    assert_eq!(after, before);
    // one who maintains it does all of that
    publish(&mirror, &ada, NAME, "1.1.0").await.expect(201);
    mirror.finish().await;
}

#[tokio::test]
async fn a_block_is_told_to_those_who_may_read_the_package() {
    let (mirror, ada) = closed().await;
    let (eve, _) = mirror.token("eve", TokenKind::User).await;
    let name = PackageName::parse(NAME).expect("a name");
    let by = By::terminal("root");
    let engine = mirror.engine();
    let reads = [
        "/@garden/ui",
        "/@garden/ui/1.0.0",
        "/@garden/ui/latest",
        "/@garden/ui/-/ui-1.0.0.tgz",
        "/-/package/@garden%2fui/dist-tags",
        "/-/package/@garden%2fui/collaborators",
        "/-/package/@garden%2fui/visibility",
        "/downloads/point/last-week/@garden/ui",
    ];
    for version in ["1.0.0", "*"] {
        engine.block(&name, version, "a miner", by.clone()).await.expect("a block");
        let is_blocked = |target: &'static str| {
            let request = mirror.get(target).token(&ada);
            async move { (request.send().await.status == 451).then_some(()) }
        };
        until("the block", || is_blocked("/@garden/ui/-/ui-1.0.0.tgz")).await;
        until("the block", || is_blocked("/@garden/ui/1.0.0")).await;
        for target in reads {
            let stranger = mirror.get(target).send().await.expect(401);
            assert_eq!(stranger.error(), "[UNAUTHORIZED] Login first", "{target}");
            let refused = mirror.get(target).token(&eve).send().await.expect(403);
            let text = "[FORBIDDEN] \"eve\" is not authorized to access @garden/ui";
            assert_eq!(refused.error(), text, "{target}");
        }
        publish(&mirror, &eve, NAME, "1.0.0").await.expect(403);
        publish(&mirror, &ada, NAME, "1.0.0").await.expect(451);
    }
    mirror.finish().await;
}
