//! Tarballs above 1 MiB: streamed while they are checked, cut when they turn out wrong.

use store::VersionState;

use crate::harness::{Fault, Package, TestMirror, until};

const SIZE: usize = 3 << 20;

fn long() -> Package {
    Package::new("long").version_with("1.0.0", |version| version.size(SIZE))
}

fn path() -> String {
    long().tarball_path("1.0.0")
}

#[tokio::test]
async fn a_long_tarball_is_streamed_with_its_length_and_then_held() {
    let mirror = TestMirror::with(&[long()]).await;
    let expected = long().get("1.0.0").tarball.clone();
    let answer = mirror.get(&path()).send().await.expect(200);
    assert!(answer.complete);
    assert_eq!(answer.must("content-length"), expected.len().to_string());
    assert!(answer.body == expected);
    until("the version held", || async {
        (mirror.version("long", "1.0.0").await.state == VersionState::Held).then_some(())
    })
    .await;
    let again = mirror.get(&path()).send().await.expect(200);
    assert!(again.body == expected);
    assert_eq!(mirror.upstream.count(&path()), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_long_tarball_with_a_wrong_last_byte_never_arrives_whole() {
    let mirror = TestMirror::with(&[long()]).await;
    let mut wrong = long().get("1.0.0").tarball.to_vec();
    *wrong.last_mut().expect("bytes") ^= 1;
    mirror.upstream.put_tarball(&path(), wrong.clone());
    let answer = mirror.get(&path()).send().await;
    assert!(answer.status >= 500 || !answer.complete);
    assert!(answer.body.len() <= wrong.len() - (64 << 10), "the last 64 KiB are held back");
    assert_ne!(mirror.version("long", "1.0.0").await.state, VersionState::Held);
    mirror.finish().await;
}

#[tokio::test]
async fn a_long_tarball_cut_upstream_at_nine_tenths_is_cut_here_and_not_kept() {
    let mirror = TestMirror::with(&[long()]).await;
    let length = long().get("1.0.0").tarball.len();
    mirror.upstream.always(&path(), Fault::Cut { after: length / 10 * 9 });
    let answer = mirror.get(&path()).send().await;
    assert!(answer.status >= 500 || !answer.complete);
    assert_ne!(mirror.version("long", "1.0.0").await.state, VersionState::Held);
    mirror.upstream.heal(&path());
    until("the whole tarball", || async {
        let answer = mirror.get(&path()).send().await;
        (answer.status == 200 && answer.complete).then_some(())
    })
    .await;
    mirror.finish().await;
}

#[tokio::test]
async fn part_and_head_of_a_tarball_that_is_not_here_wait_for_it() {
    let mirror = TestMirror::with(&[long()]).await;
    let expected = long().get("1.0.0").tarball.clone();
    let part = mirror.get(&path()).header("range", "bytes=-100").send().await.expect(206);
    assert_eq!(part.body, expected[expected.len() - 100..]);
    let head = mirror.head(&path()).send().await.expect(200);
    assert_eq!(head.must("content-length"), expected.len().to_string());
    assert_eq!(mirror.upstream.count(&path()), 1);
    mirror.finish().await;
}
