//! `GET /NAME`: both forms, encodings, headers.

use serde_json::{Value, json};

use super::{lamp, mirror};
use crate::harness::{TestMirror, shasum, sri};

const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";

#[tokio::test]
async fn a_full_document_is_upstreams_with_our_tarball_addresses() {
    let mirror = mirror().await;
    let answer = mirror.get("/lamp").send().await.expect(200);
    let mut expected: Value =
        serde_json::from_slice(&lamp().document(&mirror.url())).expect("a fixture");
    expected["versions"]["1.1.0"]["dist"]["attestations"]["url"] =
        json!(format!("{}/-/npm/v1/attestations/lamp@1.1.0", mirror.url()));
    let mut got = answer.json();
    // Computed by a registry, not part of package.json; only the abbreviated form must have it.
    for version in ["0.9.0", "1.0.0", "1.1.0", "2.0.0-rc.1"] {
        if let Some(manifest) = got["versions"][version].as_object_mut() {
            manifest.remove("hasInstallScript");
        }
    }
    assert_eq!(got, expected);
    assert!(answer.must("content-type").starts_with("application/json"));
    mirror.finish().await;
}

/// A body with words for what differs from run to run, or with the compressor of the fixtures.
fn with_names(body: &[u8], mirror: &TestMirror) -> Value {
    let mut text = String::from_utf8_lossy(body).replace(&mirror.url(), "http://mirror");
    for version in &lamp().versions {
        let digests = [("sha512", sri(&version.tarball)), ("sha1", shasum(&version.tarball))];
        for (kind, digest) in digests {
            text = text.replace(&digest, &format!("{kind} of {}", version.version));
        }
    }
    serde_json::from_str(&text).expect("a document")
}

#[tokio::test]
async fn an_abbreviated_document_has_what_an_install_needs() {
    let mirror = mirror().await;
    let answer = mirror.get("/lamp").abbreviated().send().await.expect(200);
    assert!(answer.must("content-type").starts_with(ABBREVIATED));
    insta::assert_json_snapshot!(with_names(&answer.body, &mirror));
    mirror.finish().await;
}

#[tokio::test]
async fn the_form_follows_accept() {
    let mirror = mirror().await;
    let forms = [
        (None, "application/json"),
        (Some("*/*"), "application/json"),
        (Some("application/json"), "application/json"),
        (Some("application/vnd.npm.install-v1+json"), ABBREVIATED),
        (
            Some("application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"),
            ABBREVIATED,
        ),
        (Some("application/json, application/vnd.npm.install-v1+json; q=0.5"), "application/json"),
    ];
    for (accept, expected) in forms {
        let request = mirror.get("/lamp");
        let request = match accept {
            Some(accept) => request.header("accept", accept),
            None => request,
        };
        let answer = request.send().await.expect(200);
        let got = answer.must("content-type");
        assert!(got.starts_with(expected), "{accept:?} was answered with {got}");
        let vary = answer.must("vary").to_lowercase();
        assert!(vary.contains("accept-encoding"), "{vary}");
        assert!(vary.split(',').any(|name| name.trim() == "accept"), "{vary}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn gzip_goes_to_who_takes_it_and_plain_bytes_to_all_others() {
    let mirror = mirror().await;
    let plain = mirror.get("/lamp").send().await.expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    for accepted in ["gzip", "gzip, deflate", "br;q=0.1, gzip"] {
        let zipped =
            mirror.get("/lamp").header("accept-encoding", accepted).send().await.expect(200);
        assert_eq!(zipped.header("content-encoding"), Some("gzip"), "{accepted}");
        assert_eq!(zipped.plain(), plain.body, "{accepted}");
    }
    for accepted in ["identity", "gzip;q=0", "identity;q=1, gzip;q=0"] {
        let other =
            mirror.get("/lamp").header("accept-encoding", accepted).send().await.expect(200);
        assert_eq!(other.header("content-encoding"), None, "{accepted}");
        assert_eq!(other.body, plain.body, "{accepted}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let mirror = mirror().await;
    for target in ["/lamp", "/lamp/1.0.0", "/lamp/-/lamp-1.0.0.tgz", "/-/package/lamp/dist-tags"] {
        let get = mirror.get(target).send().await.expect(200);
        let head = mirror.head(target).send().await.expect(200);
        assert_eq!(head.body, b"", "{target}");
        for name in ["content-type", "content-length", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {target}");
        }
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_document_is_asked_upstream_once_and_rendered_once() {
    let mirror = mirror().await;
    for _ in 0..3 {
        mirror.get("/lamp").send().await.expect(200);
        mirror
            .get("/lamp")
            .abbreviated()
            .header("accept-encoding", "gzip")
            .send()
            .await
            .expect(200);
    }
    assert_eq!(mirror.upstream.count("/lamp"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_packages_odd_fields_and_forms_pass_through() {
    let odd = crate::harness::Package::new("odd-fields")
        .version_with("1.0.0", |version| {
            version
                .member("bin", json!("cli.js"))
                .member("deprecated", json!(true))
                .member("engines", json!(["node >= 0.4"]))
                .member("license", json!({"type": "MIT", "url": "there"}))
                .member("os", json!("linux"))
                .member("libc", json!(["glibc"]))
                .member("bundleDependencies", json!(true))
                .member("repository", json!("here"))
        })
        .version_with("1.0.0+build.7", |version| {
            version.member("bundledDependencies", json!(["a"])).member("deprecated", json!(""))
        });
    let mirror = TestMirror::with(&[odd]).await;
    let full = mirror.get("/odd-fields").send().await.expect(200).json();
    let brief = mirror.get("/odd-fields").abbreviated().send().await.expect(200).json();
    for field in ["bin", "deprecated", "engines", "license", "os", "libc", "bundleDependencies"] {
        let sent = &full["versions"]["1.0.0"][field];
        assert!(!sent.is_null(), "{field}");
        if field != "license" {
            assert_eq!(&brief["versions"]["1.0.0"][field], sent, "{field}");
        }
    }
    assert_eq!(full["versions"]["1.0.0+build.7"]["bundledDependencies"], json!(["a"]));
    mirror.get("/odd-fields/-/odd-fields-1.0.0+build.7.tgz").send().await.expect(200);
    mirror.finish().await;
}
