//! Single versions that are gone from a document, one policy after the other.

use actors::RemovedPolicy;
use store::VersionState;

use super::{becomes, lamp, mirror_that, shows};
use crate::harness::Package;

#[tokio::test]
async fn a_kept_version_stays_in_the_document_beside_new_ones() {
    let mut mirror = mirror_that(RemovedPolicy::Keep).await;
    mirror.upstream.publish(&lamp().without("1.0.0").version("2.0.0"));
    mirror.sync(&["lamp"]).await;
    shows(&mirror, &["1.0.0", "1.1.0", "2.0.0"]).await;
    let kept = mirror.get("/lamp/1.0.0").send().await.expect(200).json();
    assert_eq!(kept["dist"]["integrity"], lamp().get("1.0.0").dist["integrity"]);
    mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
    assert_eq!(mirror.version("lamp", "1.0.0").await.removed_at_ms, None);
    mirror.upstream.publish(&lamp().without("1.0.0").version("2.0.0").version("2.1.0"));
    mirror.sync(&["lamp"]).await;
    shows(&mirror, &["1.0.0", "1.1.0", "2.0.0", "2.1.0"]).await;
    mirror.restart().await;
    shows(&mirror, &["1.0.0", "1.1.0", "2.0.0", "2.1.0"]).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_blocked_version_is_refused_until_it_is_back() {
    let mirror = mirror_that(RemovedPolicy::Block).await;
    mirror.upstream.publish(&lamp().without("1.0.0"));
    mirror.sync(&["lamp"]).await;
    shows(&mirror, &["1.1.0"]).await;
    becomes(&mirror, &lamp().tarball_path("1.0.0"), 451).await;
    becomes(&mirror, "/lamp/1.0.0", 451).await;
    mirror.get(&lamp().tarball_path("1.1.0")).send().await.expect(200);
    mirror.upstream.publish(&lamp());
    mirror.sync(&["lamp"]).await;
    shows(&mirror, &["1.0.0", "1.1.0"]).await;
    becomes(&mirror, &lamp().tarball_path("1.0.0"), 200).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_deleted_version_goes_with_the_second_answer_also_an_unchanged_one() {
    let mirror = mirror_that(RemovedPolicy::Delete).await;
    mirror.upstream.publish(&lamp().without("1.0.0"));
    mirror.sync(&["lamp"]).await;
    shows(&mirror, &["1.1.0"]).await;
    assert_eq!(mirror.version("lamp", "1.0.0").await.state, VersionState::Held);
    mirror.sync(&["lamp"]).await;
    let row = mirror.version("lamp", "1.0.0").await;
    assert_eq!((row.state, row.blob), (VersionState::Skipped, None));
    assert!(row.removed_at_ms.is_some() && row.expected.is_some());
    becomes(&mirror, &lamp().tarball_path("1.0.0"), 404).await;
    mirror.get(&lamp().tarball_path("1.1.0")).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_security_placeholder_hides_under_every_policy() {
    for removed in [RemovedPolicy::Keep, RemovedPolicy::Block, RemovedPolicy::Delete] {
        let mirror = mirror_that(removed).await;
        mirror.upstream.publish(&Package::new("lamp").version("0.0.1-security"));
        mirror.sync(&["lamp"]).await;
        mirror.sync(&["lamp"]).await;
        shows(&mirror, &["0.0.1-security"]).await;
        assert_eq!(mirror.version("lamp", "1.0.0").await.state, VersionState::Held, "evidence");
        mirror.finish().await;
    }
}
