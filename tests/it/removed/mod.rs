//! `sync.removed`: what becomes of what upstream takes away, and of what it brings back.
//!
//! The default, `hide`, of single versions and of unpublished packages stands in `sync::removed`.

mod block_api;
mod blocks;
mod denial_changes;
mod denials;
mod holds;
mod packages;
mod versions;

use std::time::Duration;

use actors::RemovedPolicy;
use serde_json::{Value, json};

use crate::harness::{Package, TestMirror, until};

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0").version("1.1.0")
}

/// A mirror that holds the package, with this policy; a second answer decides at once.
async fn mirror_that(removed: RemovedPolicy) -> TestMirror {
    let builder = TestMirror::builder().packages(&[lamp()]);
    let builder = builder.engine(|engine| {
        engine.policy.removed = removed;
        engine.policy.removed_after = Duration::ZERO;
    });
    let mirror = builder.start().await;
    mirror.sync(&["lamp"]).await;
    mirror
}

fn unpublished() -> Vec<u8> {
    let document = json!({
        "_id": "lamp", "name": "lamp",
        "time": {"created": "2020-01-01T00:00:00.000Z",
                 "unpublished": {"time": "2021-01-01T00:00:00.000Z", "versions": ["1.0.0", "1.1.0"]}}
    });
    serde_json::to_vec(&document).expect("JSON")
}

/// The status of a request, once it is this one: caches learn of commits a moment later.
async fn becomes(mirror: &TestMirror, target: &str, status: u16) -> Value {
    until(&format!("{status} of {target}"), || async {
        let answer = mirror.get(target).send().await;
        (answer.status == status).then(|| match answer.body.first() {
            Some(b'{') => answer.json(),
            _ => Value::Null,
        })
    })
    .await
}

/// The versions the document shows, once they are these.
async fn shows(mirror: &TestMirror, versions: &[&str]) {
    until(&format!("{versions:?} in the document"), || async {
        let document = mirror.get("/lamp").send().await.expect(200).json();
        let shown = document["versions"]
            .as_object()
            .map_or_else(Vec::new, |versions| versions.keys().cloned().collect::<Vec<_>>());
        (shown == versions).then_some(())
    })
    .await;
}
