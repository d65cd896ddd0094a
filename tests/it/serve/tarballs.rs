//! `GET /NAME/-/FILE`: whole, in parts, under every path clients know.

use super::{lamp, mirror};
use crate::harness::{Package, TestMirror};

#[tokio::test]
async fn a_tarball_is_served_byte_for_byte_and_for_ever() {
    let mirror = mirror().await;
    let expected = lamp().get("1.0.0").tarball.clone();
    let answer = mirror.get("/lamp/-/lamp-1.0.0.tgz").send().await.expect(200);
    assert_eq!(answer.body, expected);
    assert_eq!(answer.must("content-type"), "application/octet-stream");
    assert_eq!(answer.must("content-length"), expected.len().to_string());
    assert_eq!(answer.header("content-encoding").unwrap_or("identity"), "identity");
    assert_eq!(answer.must("accept-ranges"), "bytes");
    assert!(answer.must("cache-control").contains("immutable"));
    assert!(answer.must("etag").starts_with('"'), "a tarball's etag is strong");
    // Second read: from here, without upstream.
    mirror.get("/lamp/-/lamp-1.0.0.tgz").send().await.expect(200);
    assert_eq!(mirror.upstream.count("/lamp/-/lamp-1.0.0.tgz"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn every_path_form_of_a_tarball_leads_to_the_same_bytes() {
    let mirror = mirror().await;
    let expected = mirror.get("/@garden/ui/-/ui-2.0.4.tgz").send().await.expect(200).body;
    for target in [
        "/@garden%2fui/-/ui-2.0.4.tgz",
        "/@garden%2Fui/-/ui-2.0.4.tgz",
        "/%40garden/ui/-/ui-2.0.4.tgz",
        "/@garden/ui/-/@garden/ui-2.0.4.tgz",
        "/@garden/ui/download/@garden/ui-2.0.4.tgz",
        "//@garden/ui/-/ui-2.0.4.tgz",
    ] {
        let answer = mirror.get(target).send().await.expect(200);
        assert_eq!(answer.body, expected, "{target}");
    }
    assert_eq!(mirror.upstream.count("/@garden/ui/-/ui-2.0.4.tgz"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_tarball_with_another_name_upstream_is_found_by_both_names() {
    let package = Package::new("renamed").version_with("1.0.0", |mut version| {
        version.file = "an-old-upload.tgz".into();
        version
    });
    let mirror = TestMirror::with(std::slice::from_ref(&package)).await;
    let document = mirror.get("/renamed").send().await.expect(200).json();
    assert_eq!(
        document["versions"]["1.0.0"]["dist"]["tarball"],
        format!("{}/renamed/-/renamed-1.0.0.tgz", mirror.url())
    );
    for file in ["renamed-1.0.0.tgz", "an-old-upload.tgz"] {
        let answer = mirror.get(&format!("/renamed/-/{file}")).send().await.expect(200);
        assert_eq!(answer.body, package.get("1.0.0").tarball);
    }
    assert_eq!(mirror.upstream.count("/renamed/-/an-old-upload.tgz"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn parts_of_a_tarball_are_answered_as_asked() {
    let package = Package::new("long").version_with("1.0.0", |version| version.size(200_000));
    let whole = package.get("1.0.0").tarball.clone();
    let mirror = TestMirror::with(&[package]).await;
    let target = "/long/-/long-1.0.0.tgz";
    let last = whole.len() - 1;
    let parts = [
        ("bytes=0-99".to_owned(), 0, 99),
        ("bytes=100-100".to_owned(), 100, 100),
        (format!("bytes=1000-{}", last + 500), 1000, last),
        ("bytes=150000-".to_owned(), 150_000, last),
        ("bytes=-7".to_owned(), last - 6, last),
    ];
    for (range, from, to) in parts {
        let answer = mirror.get(target).header("range", &range).send().await.expect(206);
        assert_eq!(answer.body, whole[from..=to], "{range}");
        assert_eq!(answer.must("content-range"), format!("bytes {from}-{to}/{}", whole.len()));
    }
    for range in [format!("bytes={}-", whole.len()), "bytes=-0".to_owned()] {
        let answer = mirror.get(target).header("range", &range).send().await.expect(416);
        assert_eq!(answer.must("content-range"), format!("bytes */{}", whole.len()));
    }
    for range in ["bytes=9-2", "lines=0-1", "bytes=x-"] {
        let answer = mirror.get(target).header("range", range).send().await.expect(200);
        assert_eq!(answer.body.len(), whole.len(), "{range} is to be ignored");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn if_range_decides_between_the_part_and_the_whole() {
    let mirror = mirror().await;
    let target = "/lamp/-/lamp-1.0.0.tgz";
    let etag = mirror.get(target).send().await.expect(200).must("etag").to_owned();
    let part = mirror.get(target).header("range", "bytes=0-9");
    let same = part.header("if-range", &etag).send().await.expect(206);
    assert_eq!(same.body.len(), 10);
    let part = mirror.get(target).header("range", "bytes=0-9");
    part.header("if-range", "\"other\"").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_version_that_does_not_exist_is_404_without_asking_for_bytes() {
    let mirror = mirror().await;
    mirror.get("/lamp").send().await.expect(200);
    let answer = mirror.get("/lamp/-/lamp-7.7.7.tgz").send().await.expect(404);
    assert!(answer.error().starts_with("[NOT_FOUND]"));
    assert_eq!(mirror.upstream.count("/lamp/-/lamp-7.7.7.tgz"), 0);
    mirror.finish().await;
}
