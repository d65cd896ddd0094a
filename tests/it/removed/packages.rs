//! Whole packages: 404, 410, 451, unpublished; once, twice, and back again.

use std::time::Duration;

use actors::RemovedPolicy;
use store::tasks::{NewTask, PRIORITY_FEED, TaskOptions};
use store::{TaskId, TaskState, VersionState};

use super::{becomes, lamp, mirror_that, shows, unpublished};
use crate::harness::TestMirror;

#[tokio::test]
async fn one_answer_that_a_package_is_gone_changes_nothing() {
    for removed in
        [RemovedPolicy::Hide, RemovedPolicy::Keep, RemovedPolicy::Block, RemovedPolicy::Delete]
    {
        let mirror = mirror_that(removed).await;
        for status in [404, 410, 451] {
            mirror.upstream.fail("/lamp", status, 1);
            let rows = mirror.sync(&["lamp"]).await;
            let error = rows[0].error.clone().unwrap_or_default();
            assert_eq!(rows[0].state, TaskState::Error);
            assert!(error.contains(&status.to_string()) && error.contains("stays"), "{error}");
            shows(&mirror, &["1.0.0", "1.1.0"]).await;
            mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
            // the answer in between takes the first one back
            mirror.sync(&["lamp"]).await;
        }
        mirror.finish().await;
    }
}

#[tokio::test]
async fn two_answers_too_close_together_are_one() {
    let builder = TestMirror::builder().packages(&[lamp()]);
    let builder = builder.engine(|engine| {
        engine.policy.removed = RemovedPolicy::Delete;
        engine.policy.removed_after = Duration::from_secs(3600);
    });
    let mirror = builder.start().await;
    mirror.sync(&["lamp"]).await;
    mirror.upstream.remove("/lamp");
    for _ in 0..3 {
        let rows = mirror.sync(&["lamp"]).await;
        assert_eq!(rows[0].state, TaskState::Error);
    }
    shows(&mirror, &["1.0.0", "1.1.0"]).await;
    assert_eq!(mirror.version("lamp", "1.0.0").await.state, VersionState::Held);
    mirror.finish().await;
}

#[tokio::test]
async fn hidden_is_gone_from_documents_and_there_for_old_lockfiles() {
    for (status, readers) in [(404, 404), (410, 410), (451, 451)] {
        let mirror = mirror_that(RemovedPolicy::Hide).await;
        mirror.upstream.fail("/lamp", status, usize::MAX);
        mirror.sync(&["lamp"]).await;
        let rows = mirror.sync(&["lamp"]).await;
        assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
        assert!(mirror.log(rows[0].id).await.contains("as before: hide"));
        becomes(&mirror, "/lamp", readers).await;
        mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
        assert_eq!(mirror.version("lamp", "1.0.0").await.state, VersionState::Held);
        mirror.finish().await;
    }
}

#[tokio::test]
async fn kept_stays_as_it_was() {
    let mirror = mirror_that(RemovedPolicy::Keep).await;
    mirror.upstream.remove("/lamp");
    mirror.sync(&["lamp"]).await;
    let rows = mirror.sync(&["lamp"]).await;
    assert_eq!(rows[0].state, TaskState::Success);
    shows(&mirror, &["1.0.0", "1.1.0"]).await;
    mirror.upstream.publish_document("lamp", unpublished());
    mirror.sync(&["lamp"]).await;
    shows(&mirror, &["1.0.0", "1.1.0"]).await;
    mirror.get("/lamp/latest").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn blocked_is_refused_with_its_reason_until_it_is_back() {
    for document in [None, Some(unpublished())] {
        let mirror = mirror_that(RemovedPolicy::Block).await;
        match document {
            Some(document) => mirror.upstream.publish_document("lamp", document),
            None => mirror.upstream.remove("/lamp"),
        }
        mirror.sync(&["lamp"]).await;
        mirror.sync(&["lamp"]).await;
        let refused = becomes(&mirror, "/lamp", 451).await;
        assert_eq!(
            refused["error"],
            "[UNAVAILABLE_FOR_LEGAL_REASONS] lamp was blocked, reason: Removed in remote registry"
        );
        mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(451);
        mirror.get("/lamp/1.0.0").send().await.expect(451);
        mirror.upstream.publish(&lamp());
        let rows = mirror.sync(&["lamp"]).await;
        assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
        becomes(&mirror, "/lamp", 200).await;
        mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
        mirror.finish().await;
    }
}

#[tokio::test]
async fn deleted_gives_the_bytes_up_and_remembers_what_they_hashed_to() {
    for document in [None, Some(unpublished())] {
        let mirror = mirror_that(RemovedPolicy::Delete).await;
        let expected = mirror.version("lamp", "1.0.0").await.expected;
        match &document {
            Some(document) => mirror.upstream.publish_document("lamp", document.clone()),
            None => mirror.upstream.remove("/lamp"),
        }
        mirror.sync(&["lamp"]).await;
        assert_eq!(mirror.version("lamp", "1.0.0").await.state, VersionState::Held, "one answer");
        mirror.sync(&["lamp"]).await;
        let row = mirror.version("lamp", "1.0.0").await;
        assert_eq!((row.state, row.blob), (VersionState::Skipped, None));
        assert_eq!(row.expected, expected);
        // upstream still has the archive; it is not fetched for a version that is gone
        let asked = mirror.upstream.count(&lamp().tarball_path("1.0.0"));
        becomes(&mirror, &lamp().tarball_path("1.0.0"), 404).await;
        assert_eq!(mirror.upstream.count(&lamp().tarball_path("1.0.0")), asked);
        mirror.upstream.publish(&lamp());
        mirror.sync(&["lamp"]).await;
        shows(&mirror, &["1.0.0", "1.1.0"]).await;
        becomes(&mirror, &lamp().tarball_path("1.0.0"), 200).await;
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_package_that_was_taken_away_by_mistake_is_shown_again() {
    let mirror = mirror_that(RemovedPolicy::Hide).await;
    mirror.upstream.fail("/lamp", 404, 2);
    mirror.sync(&["lamp"]).await;
    mirror.sync(&["lamp"]).await;
    mirror.sync(&["lamp"]).await;
    shows(&mirror, &["1.0.0", "1.1.0"]).await;
    assert_eq!(mirror.upstream.count(&lamp().tarball_path("1.0.0")), 1, "the bytes stayed");
    mirror.finish().await;
}

#[tokio::test]
async fn what_nobody_waits_for_comes_back_for_the_second_answer() {
    let mirror = mirror_that(RemovedPolicy::Hide).await;
    mirror.upstream.remove("/lamp");
    let task = NewTask {
        id: TaskId::new(),
        name: "lamp".parse().expect("a name"),
        registry: "default".into(),
        priority: PRIORITY_FEED,
        options: TaskOptions::default(),
        author: None,
        author_ip: None,
    };
    let rows = mirror.engine().enqueue(vec![task]).await.expect("a queue");
    let row = mirror.ended(rows[0].id).await;
    assert_eq!(row.state, TaskState::Success, "{:?}", row.error);
    assert_eq!(row.attempts, 2);
    becomes(&mirror, "/lamp", 404).await;
    mirror.finish().await;
}
