//! T4 for a reader who waits: a tarball that breaks off is continued under the bytes already
//! sent, and cut where the rest would not fit them.

use store::VersionState;

use crate::harness::{Fault, Package, TestMirror, until};

const CUT: usize = 1 << 20;

fn long() -> Package {
    Package::new("long").version_with("1.0.0", |version| version.size(3 << 20))
}

fn path() -> String {
    long().tarball_path("1.0.0")
}

async fn mirror() -> TestMirror {
    let mirror = TestMirror::with(&[long()]).await;
    mirror.upstream.tag(&path(), "\"one\"");
    mirror.upstream.fault(&path(), Fault::Cut { after: CUT }, 1);
    mirror
}

fn answer(status: u16, headers: &[(&str, String)], body: impl Into<bytes::Bytes>) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Fault::Answer { status, headers: headers.collect(), body: body.into() }
}

async fn arrives(mirror: TestMirror) {
    let answer = mirror.get(&path()).send().await.expect(200);
    assert!(answer.complete && answer.body == long().get("1.0.0").tarball);
    until("the version held", || async {
        (mirror.version("long", "1.0.0").await.state == VersionState::Held).then_some(())
    })
    .await;
    assert_eq!(mirror.upstream.count(&path()), 2);
    mirror.finish().await;
}

#[tokio::test]
async fn a_reader_does_not_notice_that_upstream_broke_off() {
    arrives(mirror().await).await;
}

#[tokio::test]
async fn a_reader_does_not_notice_a_server_without_ranges() {
    let mirror = mirror().await;
    let whole = long().get("1.0.0").tarball.clone();
    mirror.upstream.fault(&path(), answer(200, &[("etag", "\"one\"".into())], whole), 1);
    arrives(mirror).await;
}

#[tokio::test]
async fn a_reader_never_gets_bytes_that_do_not_belong_together() {
    let total = long().get("1.0.0").tarball.len();
    let range = |from: usize| ("content-range", format!("bytes {from}-{}/{total}", total - 1));
    let other = vec![7_u8; total - CUT];
    for (what, rest) in [
        ("another part", answer(206, &[range(CUT - 1)], other.clone())),
        ("other bytes", answer(206, &[range(CUT), ("etag", "\"two\"".into())], other)),
        ("all new", answer(200, &[("etag", "\"two\"".into())], vec![7_u8; total])),
    ] {
        let mirror = mirror().await;
        mirror.upstream.fault(&path(), rest, 1);
        let answer = mirror.get(&path()).send().await;
        assert!(!answer.complete, "{what}");
        let whole = long().get("1.0.0").tarball.clone();
        assert!(whole.starts_with(&answer.body), "{what}: no wrong byte");
        assert_eq!(mirror.upstream.count(&path()), 2, "{what}: not begun again");
        assert_ne!(mirror.version("long", "1.0.0").await.state, VersionState::Held, "{what}");
        // errors are shared for a second, the next reader then gets it all
        until("the whole tarball", || async {
            let again = mirror.get(&path()).send().await;
            (again.status == 200 && again.complete && again.body == whole).then_some(())
        })
        .await;
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_small_tarball_that_breaks_off_is_continued_before_it_is_answered() {
    let small = Package::new("small").version_with("1.0.0", |version| version.size(200_000));
    let path = small.tarball_path("1.0.0");
    let mirror = TestMirror::with(std::slice::from_ref(&small)).await;
    mirror.upstream.tag(&path, "\"one\"");
    mirror.upstream.fault(&path, Fault::Cut { after: 100_000 }, 1);
    let answer = mirror.get(&path).send().await.expect(200);
    assert!(answer.body == small.get("1.0.0").tarball);
    let ranges = mirror.upstream.headers(&path, "range");
    assert!(ranges.len() == 2 && ranges[1].is_some(), "{ranges:?}");
    mirror.finish().await;
}
