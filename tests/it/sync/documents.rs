//! Bad documents (P1 to P7, P10 to P13): each gets a clear error, nothing held is lost.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::json;
use store::{TaskState, VersionState};

use super::{failed_with, good, states, sync_beside_good};
use crate::harness::{Fault, Package, TestMirror, gzip};

/// What a bad document arrives as.
enum Sent {
    Body(Vec<u8>),
    Fault(Fault),
}

/// A document the sync has to refuse, and words of the error it gets.
async fn refused(what: &str, sent: Sent, words: &[&str]) {
    // Cold: nothing is known of the package. Warm: two versions are here and have to stay.
    for warm in [false, true] {
        let here = Package::new("bad").version("1.0.0");
        let mirror = TestMirror::builder()
            .packages(&[good(), here.clone()])
            .engine(|settings| settings.max_attempts = 1)
            .start()
            .await;
        if warm {
            mirror.sync(&["bad"]).await;
            mirror.upstream.publish(&here.version("2.0.0"));
        }
        match &sent {
            Sent::Body(body) => mirror.upstream.publish_document("bad", body.clone()),
            Sent::Fault(fault) => mirror.upstream.always("/bad", fault.clone()),
        }
        let row = sync_beside_good(&mirror, "bad").await;
        println!("{what}, warm {warm}: {:?}", row.error);
        failed_with(&row, words);
        let held = states(&mirror, "bad").await;
        if warm {
            assert_eq!(held, [("1.0.0".to_owned(), VersionState::Held)], "{what}");
            mirror.get("/bad").send().await.expect(200);
            mirror.get("/bad/-/bad-1.0.0.tgz").send().await.expect(200);
        } else {
            assert!(held.is_empty(), "{what}: {held:?}");
        }
        mirror.finish().await;
    }
}

fn whole() -> Vec<u8> {
    Package::new("bad").version("1.0.0").version("2.0.0").document("http://127.0.0.1:1")
}

#[tokio::test]
async fn an_empty_or_tiny_document_is_refused() {
    refused("no bytes", Sent::Body(Vec::new()), &["empty"]).await;
    refused("one byte", Sent::Body(b"{".to_vec()), &["no end"]).await;
    refused("a number", Sent::Body(b"7".to_vec()), &["JSON"]).await;
    refused("null", Sent::Body(b"null".to_vec()), &["JSON"]).await;
}

#[tokio::test]
async fn a_document_cut_anywhere_is_refused() {
    let whole = whole();
    for at in (1..whole.len()).step_by(whole.len() / 8) {
        let cut = whole[..at].to_vec();
        refused(&format!("JSON cut at {at}"), Sent::Body(cut), &["no end"]).await;
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_is_refused() {
    let fault = Fault::Cut { after: 40 };
    refused("a cut connection", Sent::Fault(fault), &["cut short"]).await;
}

#[tokio::test]
async fn nesting_without_end_is_refused() {
    let deep = format!(
        r#"{{"name":"bad","versions":{{"1.0.0":{}1{}}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let mirror = TestMirror::with(&[good()]).await;
    mirror.upstream.publish_document("bad", deep.into_bytes());
    let row = sync_beside_good(&mirror, "bad").await;
    assert_eq!(row.state, TaskState::Error, "{:?}", row.error);
    mirror.finish().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused() {
    let mut broken = whole();
    let at = broken.windows(4).position(|window| window == b"MIT\"").expect("a licence");
    broken[at] = 0xff;
    refused("invalid UTF-8", Sent::Body(broken), &["bad"]).await;
    let mut marked = vec![0xef, 0xbb, 0xbf];
    marked.extend(whole());
    refused("a byte order mark", Sent::Body(marked), &["not JSON"]).await;
}

#[tokio::test]
async fn a_web_page_or_an_error_object_with_200_is_refused() {
    refused("HTML", Sent::Fault(Fault::html()), &["bad"]).await;
    let error = br#"{"error":"internal","reason":"try later"}"#.to_vec();
    refused("an error object", Sent::Body(error), &["no package document"]).await;
}

#[tokio::test]
async fn the_document_of_another_package_is_refused() {
    let other = good().document("http://127.0.0.1:1");
    refused("another package", Sent::Body(other), &["bad", "good"]).await;
    let shouted = Package::new("BAD").version("1.0.0").document("http://127.0.0.1:1");
    refused("another letter case", Sent::Body(shouted), &["bad", "BAD"]).await;
}

#[tokio::test]
async fn a_gzip_bomb_is_refused_at_the_limit() {
    let mut bomb = br#"{"name":"bad","versions":{},"readme":""#.to_vec();
    bomb.resize(6 << 20, b' ');
    bomb.extend_from_slice(b"\"}");
    let answer = gzipped(gzip(&bomb));
    for warm in [false, true] {
        let mirror = TestMirror::builder()
            .packages(&[good(), Package::new("bad").version("1.0.0")])
            .asks(|settings| settings.max_document_bytes = 4 << 20)
            .start()
            .await;
        if warm {
            mirror.sync(&["bad"]).await;
        }
        mirror.upstream.always("/bad", answer.clone());
        let row = sync_beside_good(&mirror, "bad").await;
        failed_with(&row, &["document", "limit of 4194304 bytes"]);
        assert_eq!(states(&mirror, "bad").await.len(), usize::from(warm));
        mirror.finish().await;
    }
}

fn gzipped(body: Vec<u8>) -> Fault {
    let headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("content-encoding".to_owned(), "gzip".to_owned()),
    ];
    Fault::Answer { status: 200, headers, body: Bytes::from(body) }
}

#[tokio::test]
async fn wrong_labels_of_the_encoding_are_refused_or_read_right() {
    // Twice compressed, once said; said compressed and plain; compressed and not said; cut.
    let twice = gzipped(gzip(&gzip(&whole())));
    refused("double gzip", Sent::Fault(twice), &["gzip where JSON is due"]).await;
    refused("plain called gzip", Sent::Fault(gzipped(whole())), &["gzip"]).await;
    let silent = Fault::body("application/json", gzip(&whole()));
    refused("gzip without a word", Sent::Fault(silent), &["gzip where JSON is due"]).await;
    let mut cut = gzip(&whole());
    cut.truncate(cut.len() / 2);
    refused("half a gzip", Sent::Fault(gzipped(cut)), &["no end"]).await;
    let unknown = Fault::Answer {
        status: 200,
        headers: vec![("content-encoding".to_owned(), "snappy".to_owned())],
        body: Bytes::from(whole()),
    };
    refused("an unknown encoding", Sent::Fault(unknown), &["snappy"]).await;
}

#[tokio::test]
async fn an_encoding_nobody_asked_for_is_refused_before_its_body_is_read() {
    // What would become 64 MiB of JSON, and has not arrived after the first kilobyte.
    for (encoding, announced) in [("br", 300), ("br", 64 << 20), ("zstd", 1 << 20)] {
        let mut raw = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
             content-encoding: {encoding}\r\ncontent-length: {announced}\r\n\r\n"
        );
        raw.push_str(&"\u{b}".repeat(announced.min(1_000)));
        let mirror = TestMirror::with(&[good()]).await;
        mirror.upstream.always("/bad", Fault::Raw(Bytes::from(raw)));
        let row = sync_beside_good(&mirror, "bad").await;
        failed_with(&row, &[encoding, "asked for gzip"]);
        assert_eq!(mirror.upstream.count("/bad"), 1, "{encoding}: asking again changes nothing");
        let asked = mirror.upstream.headers("/bad", "accept-encoding");
        assert_eq!(asked, [Some("gzip".to_owned())]);
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_wrong_length_or_a_cut_chunk_is_refused() {
    let body = String::from_utf8(whole()).expect("JSON");
    let short = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len() + 10
    );
    refused("too long a length", Sent::Fault(Fault::Raw(short.into())), &["cut short"]).await;
    let mut chunked = String::from(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    let _ = write!(chunked, "{:x}\r\n{}", body.len(), &body[..body.len() / 2]);
    refused("a cut chunk", Sent::Fault(Fault::Raw(chunked.into())), &["cut short"]).await;
}

#[tokio::test]
async fn a_document_above_the_limit_fails_that_package_alone() {
    let mirror = TestMirror::builder()
        .packages(&[good()])
        .asks(|settings| settings.max_document_bytes = 64 << 10)
        .start()
        .await;
    let mut fat = Package::new("fat").version("1.0.0");
    fat.readme = String::from_utf8(vec![b'x'; 64 << 10]).expect("text");
    mirror.upstream.publish(&fat);
    let row = sync_beside_good(&mirror, "fat").await;
    failed_with(&row, &["document", "limit of 65536 bytes"]);
    fat.readme.truncate(32 << 10);
    mirror.upstream.publish(&fat);
    let rows = mirror.sync(&["fat"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
    mirror.finish().await;
}

#[tokio::test]
async fn a_document_of_many_versions_is_taken_whole() {
    let versions: serde_json::Map<_, _> = (0..8_000)
        .map(|n| {
            let version = format!("1.{n}.0");
            let manifest = json!({"name": "wide", "version": version, "dist": {
                "tarball": format!("{{base}}/wide/-/wide-{version}.tgz"),
                "shasum": "0123456789abcdef0123456789abcdef01234567",
            }});
            (version, manifest)
        })
        .collect();
    let document =
        json!({"name": "wide", "dist-tags": {"latest": "1.7999.0"}, "versions": versions});
    let mirror = TestMirror::with(&[]).await;
    mirror.upstream.publish_document("wide", serde_json::to_vec(&document).expect("JSON"));
    // A miss: 8,000 tarballs are not what this is about.
    let brief = mirror.get("/wide").abbreviated().send().await.expect(200).json();
    assert_eq!(brief["versions"].as_object().expect("versions").len(), 8_000);
    let manifest = mirror.get("/wide/1.4321.0").send().await.expect(200).json();
    assert_eq!(manifest["version"], "1.4321.0");
    mirror.finish().await;
}

#[tokio::test]
async fn odd_but_readable_documents_are_taken() {
    let mut duplicate = whole();
    duplicate.splice(1..1, br#""name":"other","versions":{"0.0.1":{}},"#.iter().copied());
    let keys = r#"{"name":"bad","__proto__":{"polluted":true},"constructor":7,"dist-tags":{},"versions":{}}"#;
    let bodies = [
        ("duplicate keys, the last one counts", duplicate, true),
        ("keys that are special in JavaScript", keys.as_bytes().to_vec(), false),
    ];
    for (what, body, versions) in bodies {
        let mirror = TestMirror::with(&[good()]).await;
        mirror.upstream.publish_document("bad", body);
        sync_beside_good(&mirror, "bad").await;
        let answer = mirror.get("/bad").send().await;
        if versions {
            let names = answer.expect(200).json()["versions"].as_object().expect("versions").len();
            assert_eq!(names, 2, "{what}");
        }
        mirror.finish().await;
    }
}

#[tokio::test]
async fn documents_without_tags_or_times_are_served_as_they_are() {
    let base = Package::new("bare").version("1.0.0");
    let shapes = [
        ("no dist-tags", base.clone().member("dist-tags", json!(null))),
        ("latest without its version", base.clone().tag("latest", "3.0.0")),
        ("no time", base.clone().member("time", json!(null))),
        (
            "no time of the version",
            base.clone().member("time", json!({"modified": "2020-01-01T00:00:00.000Z"})),
        ),
        (
            "odd times",
            base.clone().member(
                "time",
                json!({"1.0.0": "yesterday", "modified": 7, "created": "2999-01-01T00:00:00.000Z"}),
            ),
        ),
    ];
    for (what, package) in shapes {
        let mirror = TestMirror::with(&[package]).await;
        let rows = mirror.sync(&["bare"]).await;
        assert_eq!(rows[0].state, TaskState::Success, "{what}: {:?}", rows[0].error);
        for request in [mirror.get("/bare"), mirror.get("/bare").abbreviated()] {
            let document = request.send().await.expect(200).json();
            assert!(document["versions"]["1.0.0"].is_object(), "{what}");
        }
        mirror.get("/bare/-/bare-1.0.0.tgz").send().await.expect(200);
        mirror.finish().await;
    }
}

#[tokio::test]
async fn versions_that_are_no_strict_semver_are_kept_as_they_are() {
    let odd = ["v1.0", "01.2.3", "1.2", "1.0.0+a", "1.0.0+b"];
    let long = format!("1.0.0-{}", "x".repeat(300));
    let mut package = Package::new("oldtimer");
    for version in odd.iter().copied().chain([long.as_str()]) {
        package = package.version(version);
    }
    let mirror = TestMirror::with(&[package.clone().tag("latest", "1.0.0+a")]).await;
    let rows = mirror.sync(&["oldtimer"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
    let document = mirror.get("/oldtimer").send().await.expect(200).json();
    for version in odd {
        let url = document["versions"][version]["dist"]["tarball"].as_str().expect("an address");
        let target = url.strip_prefix(&mirror.url()).expect("an address of ours").to_owned();
        let answer = mirror.get(&target).send().await.expect(200);
        assert_eq!(answer.body, package.get(version).tarball, "{version} at {target}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn an_etag_that_lies_is_overruled_by_force() {
    // P13: upstream changed the document and kept its ETag, so it answers 304 for ever.
    let mirror = TestMirror::with(&[]).await;
    let etag = Some("W/\"stuck\"".to_owned());
    let publish = |package: &Package| {
        mirror.upstream.publish(package);
        let document = package.document(&mirror.upstream.url());
        mirror.upstream.publish_document_with_etag("good", document, etag.clone());
    };
    publish(&good());
    mirror.sync(&["good"]).await;
    publish(&good().version("2.0.0"));
    mirror.sync(&["good"]).await;
    assert_eq!(states(&mirror, "good").await.len(), 2, "a 304 was believed");
    let forced = store::tasks::TaskOptions {
        skip_dependencies: true,
        force: true,
        keep: store::Keeping::Mirrored,
        ..store::tasks::TaskOptions::default()
    };
    mirror.sync_with(&["good"], &forced).await;
    assert_eq!(states(&mirror, "good").await.len(), 3);
    mirror.finish().await;
}

#[tokio::test]
async fn an_etag_that_flips_between_two_edges_loses_nothing() {
    let mirror = TestMirror::with(&[good()]).await;
    let document = good().document(&mirror.upstream.url());
    for round in 0..6 {
        let etag = Some(format!("\"edge-{}\"", round % 2));
        mirror.upstream.publish_document_with_etag("good", document.clone(), etag);
        let rows = mirror.sync(&["good"]).await;
        assert_eq!(rows[0].state, TaskState::Success);
    }
    assert_eq!(mirror.upstream.count("/good/-/good-1.0.0.tgz"), 1);
    mirror.get("/good").send().await.expect(200);
    mirror.finish().await;
}
