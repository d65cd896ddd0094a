//! Publishing: what is taken, from whom, what readers get of it, and what it leaves alone.

mod blocked;
mod bodies;
mod closed;
mod commands;
mod doors;
mod large;
mod many;
mod names;
mod readmes;
mod rights;
mod versions;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Answer, Builder, Package, TestMirror, TokenKind, Version};

/// A mirror on which any user publishes in `@garden`, with `lamp` and `@other/thing` upstream.
pub fn builder() -> Builder {
    let upstream =
        [Package::new("lamp").version("1.0.0"), Package::new("@other/thing").version("1.0.0")];
    TestMirror::builder()
        .packages(&upstream)
        .serve(|settings| settings.publish.scopes = vec!["@garden".to_owned()])
        .engine(|settings| settings.private_scopes = vec!["@garden".to_owned()])
}

/// The same with a user's token.
async fn open() -> (TestMirror, String) {
    let mirror = builder().start().await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    (mirror, token)
}

/// What `npm publish` sends.
pub fn body_of(name: &str, version: &Version, tag: &str) -> Value {
    let mut manifest = Value::Object(version.manifest.clone());
    let mut dist = Value::Object(version.dist.clone());
    dist["tarball"] = json!(format!("http://elsewhere.example/{name}/-/{}", version.file));
    manifest["_id"] = json!(format!("{name}@{}", version.version));
    manifest["dist"] = dist;
    manifest["readme"] = json!(format!("# {name} {}", version.version));
    json!({
        "_id": name,
        "name": name,
        "description": "for tests",
        "dist-tags": { tag: version.version },
        "versions": { version.version.clone(): manifest },
        "access": null,
        "_attachments": {
            format!("{name}-{}.tgz", version.version): {
                "content_type": "application/octet-stream",
                "data": STANDARD.encode(&version.tarball),
                "length": version.tarball.len(),
            },
        },
    })
}

pub async fn send(mirror: &TestMirror, token: &str, name: &str, body: &Value) -> Answer {
    let path = format!("/{}", name.replace('/', "%2f"));
    mirror
        .request("PUT", &path)
        .token(token)
        .header("npm-command", "publish")
        .json(body)
        .send()
        .await
}

/// Publishes a small version.
pub async fn publish(mirror: &TestMirror, token: &str, name: &str, version: &str) -> Answer {
    let made = Version::new(name, version, 300);
    send(mirror, token, name, &body_of(name, &made, "latest")).await
}

async fn document(mirror: &TestMirror, name: &str) -> Value {
    mirror.get(&format!("/{name}")).send().await.expect(200).json()
}

/// Publishes versions and expects that to work.
async fn published(mirror: &TestMirror, token: &str, name: &str, versions: &[&str]) {
    for version in versions {
        publish(mirror, token, name, version).await.expect(201);
    }
}
