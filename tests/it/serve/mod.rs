//! What readers of packages get.

mod addresses;
mod conditional;
mod errors;
mod manifests;
mod names;
mod packuments;
mod small_routes;
mod tarballs;
mod tls;

use serde_json::json;

use crate::harness::{Package, TestMirror};

/// Two versions, a prerelease and a deprecated one, tags, install scripts, odd extra fields.
fn lamp() -> Package {
    Package::new("lamp")
        .version_with("0.9.0", |version| {
            version.member("deprecated", json!("use 1.x")).member("x-unknown", json!({"kept": [1]}))
        })
        .version_with("1.0.0", |version| {
            version.member("scripts", json!({"postinstall": "node build.js"}))
        })
        .version_with("1.1.0", |version| {
            version.depends_on("wick", "^2.0.0").dist(
                "attestations",
                json!({
                    "url": "https://registry.example/-/npm/v1/attestations/lamp@1.1.0",
                    "provenance": {"predicateType": "https://slsa.dev/provenance/v1"}
                }),
            )
        })
        .version("2.0.0-rc.1")
        .tag("latest", "1.1.0")
        .tag("next", "2.0.0-rc.1")
        .member("x-top", json!({"kept": true}))
}

/// A mirror with [`lamp`] and a scoped package upstream, nothing here yet.
async fn mirror() -> TestMirror {
    let scoped = Package::new("@garden/ui").version("2.0.0").version("2.0.4");
    TestMirror::with(&[lamp(), scoped]).await
}
