//! T1 to T5: tarballs that are cut, doubled, wrong, late, too long or no archive at all.

use std::time::Duration;

use store::{TaskState, VersionState};

use super::{good, reason, sync_beside_good};
use crate::harness::{Fault, Package, TestMirror, gzip, noise};

fn package() -> Package {
    Package::new("bad").version("1.0.0").version_with("2.0.0", |version| version.size(200_000))
}

/// Version 2.0.0 meets a fault for ever; 1.0.0 and the good package come through, the reason holds
/// the words, and healing upstream heals the version.
async fn fails(what: &str, prepare: impl FnOnce(&TestMirror, &str), words: &[&str]) {
    let mirror = TestMirror::with(&[good(), package()]).await;
    let path = package().tarball_path("2.0.0");
    prepare(&mirror, &path);
    let row = sync_beside_good(&mirror, "bad").await;
    assert_eq!(row.state, TaskState::Success, "one version is here");
    let why = reason(&mirror, "bad", "2.0.0").await;
    println!("{what}: {why}");
    for word in words {
        assert!(why.contains(word), "{what}: {word:?} is missing in {why:?}");
    }
    assert_eq!(mirror.version("bad", "1.0.0").await.state, VersionState::Held);
    mirror.upstream.heal(&path);
    mirror.upstream.publish(&package());
    mirror.sync(&["bad"]).await;
    assert_eq!(mirror.version("bad", "2.0.0").await.state, VersionState::Held, "{what}, healed");
    let answer = mirror.get(&path).send().await.expect(200);
    assert!(answer.body == package().get("2.0.0").tarball);
    mirror.finish().await;
}

#[tokio::test]
async fn an_empty_tarball_is_never_kept() {
    fails("empty", |mirror, path| mirror.upstream.put_tarball(path, ""), &["sha512-"]).await;
}

#[tokio::test]
async fn a_truncated_tarball_is_never_kept() {
    for after in [0, 1, 65_536, 131_072, 199_999] {
        let cut = move |mirror: &TestMirror, path: &str| {
            mirror.upstream.always(path, Fault::Cut { after });
        };
        fails(&format!("cut after {after}"), cut, &["cut short"]).await;
    }
}

#[tokio::test]
async fn a_tarball_with_a_byte_more_or_twice_itself_is_never_kept() {
    let whole = package().get("2.0.0").tarball.to_vec();
    let mut longer = whole.clone();
    longer.push(0);
    let doubled = [whole.clone(), whole].concat();
    fails("longer", |mirror, path| mirror.upstream.put_tarball(path, longer), &["sha512-"]).await;
    fails("doubled", |mirror, path| mirror.upstream.put_tarball(path, doubled), &["sha512-"]).await;
}

#[tokio::test]
async fn a_web_page_in_place_of_a_tarball_is_never_kept() {
    fails("HTML", |mirror, path| mirror.upstream.always(path, Fault::html()), &["sha512-"]).await;
}

#[tokio::test]
async fn an_error_of_the_gateway_is_tried_again_and_then_said() {
    let fault = |mirror: &TestMirror, path: &str| mirror.upstream.fail(path, 504, usize::MAX);
    fails("504", fault, &["504"]).await;
}

#[tokio::test]
async fn a_listed_tarball_that_is_not_there_is_tried_again_by_a_later_sync() {
    for (status, word) in [(404, "404"), (403, "403"), (451, "451")] {
        let fault = move |mirror: &TestMirror, path: &str| {
            mirror.upstream.fail(path, status, usize::MAX);
        };
        fails(&format!("status {status}"), fault, &[word]).await;
    }
}

#[tokio::test]
async fn a_tarball_above_the_limit_is_skipped_with_the_limit() {
    let long = || Package::new("long").version("1.0.0").version_with("2.0.0", |v| v.size(3 << 20));
    // Announced by Content-Length, and found out while reading.
    for silent in [false, true] {
        let mirror = TestMirror::builder()
            .packages(&[long()])
            .asks(|settings| settings.max_tarball_bytes = 2 << 20)
            .engine(|settings| settings.max_tarball_bytes = 2 << 20)
            .start()
            .await;
        if silent {
            let mut raw = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
            raw.extend_from_slice(&long().get("2.0.0").tarball);
            mirror.upstream.always(&long().tarball_path("2.0.0"), Fault::Raw(raw.into()));
        }
        let rows = mirror.sync(&["long"]).await;
        assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
        let row = mirror.version("long", "2.0.0").await;
        assert_eq!(row.state, VersionState::Skipped);
        let why = row.reason.unwrap_or_default();
        assert!(why.contains("limit of 2097152 bytes"), "{why}");
        assert_eq!(mirror.version("long", "1.0.0").await.state, VersionState::Held);
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_length_of_five_gigabytes_is_refused_before_reading() {
    let claim = "HTTP/1.1 200 OK\r\ncontent-length: 5000000000\r\n\r\nshort";
    let mirror = TestMirror::with(&[package()]).await;
    let path = package().tarball_path("2.0.0");
    mirror.upstream.always(&path, Fault::Raw(claim.into()));
    mirror.sync(&["bad"]).await;
    let row = mirror.version("bad", "2.0.0").await;
    assert_eq!(row.state, VersionState::Skipped);
    assert!(row.reason.unwrap_or_default().contains("5000000000"));
    mirror.finish().await;
}

#[tokio::test]
async fn a_stalled_tarball_ends_after_the_stall_timeout() {
    let mirror = TestMirror::builder()
        .packages(&[good(), package()])
        .asks(|settings| settings.stall_timeout = Duration::from_millis(200))
        .start()
        .await;
    mirror.upstream.always(&package().tarball_path("2.0.0"), Fault::Stall { after: 1_000 });
    sync_beside_good(&mirror, "bad").await;
    let why = reason(&mirror, "bad", "2.0.0").await;
    assert!(why.contains("sent nothing for 200 ms"), "{why}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_slow_tarball_that_keeps_coming_is_taken() {
    let slow = || Package::new("slow").version_with("1.0.0", |version| version.size(60_000));
    let mirror = TestMirror::with(&[slow()]).await;
    let drip = Fault::Drip { pause: Duration::from_millis(2) };
    mirror.upstream.always(&slow().tarball_path("1.0.0"), drip);
    mirror.sync(&["slow"]).await;
    assert_eq!(mirror.version("slow", "1.0.0").await.state, VersionState::Held);
    mirror.finish().await;
}

#[tokio::test]
async fn bytes_that_are_no_archive_are_mirrored_when_their_digest_agrees() {
    // A mirror never unpacks: what upstream announced and sent is what clients get.
    let contents = [
        ("plain", noise("plain", 1_000)),
        ("double-gzip", gzip(&gzip(b"twice"))),
        ("trailing", [gzip(b"archive"), b"junk".to_vec()].concat()),
        ("zip", b"PK\x03\x04 and so on".to_vec()),
    ];
    let packages: Vec<_> = contents
        .iter()
        .map(|(name, bytes)| {
            Package::new(name).version_with("1.0.0", |version| version.with_tarball(bytes.clone()))
        })
        .collect();
    let mirror = TestMirror::with(&packages).await;
    let names: Vec<_> = contents.iter().map(|(name, _)| *name).collect();
    mirror.sync(&names).await;
    for (name, bytes) in contents {
        let answer = mirror.get(&format!("/{name}/-/{name}-1.0.0.tgz")).send().await.expect(200);
        assert_eq!(answer.body, bytes, "{name}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn an_archive_of_65_284_files_passes_untouched() {
    let files = {
        let mut archive = tar::Builder::new(Vec::new());
        for index in 0..65_284 {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            header.set_cksum();
            let path = format!("package/{index}");
            archive.append_data(&mut header, path, std::io::empty()).expect("memory");
        }
        gzip(&archive.into_inner().expect("memory"))
    };
    let crowd = Package::new("crowd").version_with("1.0.0", |version| {
        version.with_tarball(files.clone()).dist("fileCount", serde_json::json!(65_284))
    });
    let mirror = TestMirror::with(std::slice::from_ref(&crowd)).await;
    mirror.sync(&["crowd"]).await;
    assert_eq!(mirror.version("crowd", "1.0.0").await.state, VersionState::Held);
    let answer = mirror.get(&crowd.tarball_path("1.0.0")).send().await.expect(200);
    assert!(answer.body == files);
    mirror.finish().await;
}

#[tokio::test]
async fn throttling_is_obeyed_and_the_sync_gets_there() {
    let mirror = TestMirror::with(&[package()]).await;
    mirror.upstream.throttle("/bad", "0", 2);
    mirror.upstream.throttle(&package().tarball_path("1.0.0"), "garbage", 2);
    let rows = mirror.sync(&["bad"]).await;
    assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
    assert_eq!(mirror.version("bad", "1.0.0").await.state, VersionState::Held);
    assert_eq!(mirror.upstream.count("/bad"), 3);
    mirror.finish().await;
}
