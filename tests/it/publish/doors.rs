//! No upstream hears of what is published here, and none overwrites it.

use store::TaskState;
use store::registries::SELF;

use super::{document, open, published};
use crate::harness::{Package, TokenKind};

#[tokio::test]
async fn no_door_leads_from_what_is_published_here_to_an_upstream() {
    let (mirror, token) = open().await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    published(&mirror, &token, "@garden/ui", &["1.0.0"]).await;
    published(&mirror, &root, "lantern", &["1.0.0"]).await;
    let asked_before = mirror.upstream.asked().len();
    // what somebody else publishes under the same names
    for name in ["@garden/ui", "lantern"] {
        mirror.upstream.publish(&Package::new(name).version("9.9.9"));
    }
    for name in ["@garden/ui", "lantern"] {
        let before = document(&mirror, name).await;
        for path in [
            format!("/{name}?write=true"),
            format!("/{name}/9.9.9"),
            format!("/{name}/-/x-9.9.9.tgz"),
            format!("/-/package/{name}/dist-tags"),
            format!("/-/npm/v1/attestations/{name}@1.0.0"),
        ] {
            let answer = mirror.get(&path).header("npm-command", "view").send().await;
            assert!(matches!(answer.status, 200 | 404), "{path}: {}", answer.text());
        }
        let rows = mirror.sync(&[name]).await;
        assert_eq!(rows[0].state, TaskState::Error, "{name}");
        let put = mirror.request("PUT", &format!("/{name}/sync")).token(&root).send().await;
        assert!(matches!(put.status, 201 | 403), "{name}: {}", put.text());
        assert_eq!(document(&mirror, name).await, before, "{name}");
        assert_eq!(mirror.store_snapshot(name).await["registry"], SELF);
    }
    assert_eq!(mirror.upstream.asked().len(), asked_before, "{:?}", mirror.upstream.asked());
    mirror.finish().await;
}
