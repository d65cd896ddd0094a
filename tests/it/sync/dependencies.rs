//! Dependencies come along when asked for; one version may be asked for alone.

use store::tasks::TaskOptions;
use store::{Keeping, TaskState, VersionState};

use super::{failed_with, good, states};
use crate::harness::{Package, TestMirror, until};

#[tokio::test]
async fn dependencies_are_followed_to_the_end_and_through_cycles() {
    let ring = |name: &str, next: &str| {
        Package::new(name).version_with("1.0.0", |version| version.depends_on(next, "^1"))
    };
    let packages =
        [ring("a", "b"), ring("b", "c"), ring("c", "a"), Package::new("d").version("1.0.0")];
    let mirror = TestMirror::with(&packages).await;
    let options =
        TaskOptions { skip_dependencies: false, keep: Keeping::Mirrored, ..TaskOptions::default() };
    mirror.sync_with(&["a"], &options).await;
    for name in ["a", "b", "c"] {
        until("a dependency", || async {
            let rows = mirror.versions(name).await;
            rows.iter().any(|row| row.state == VersionState::Held).then_some(())
        })
        .await;
    }
    assert!(mirror.versions("d").await.is_empty());
    mirror.finish().await;
}

#[tokio::test]
async fn of_specific_versions_only_those_are_fetched() {
    let mirror = TestMirror::with(&[good()]).await;
    let options = TaskOptions {
        skip_dependencies: true,
        specific_versions: Some(vec!["1.0.0".into()]),
        ..TaskOptions::default()
    };
    let rows = mirror.sync_with(&["good"], &options).await;
    assert_eq!(rows[0].state, TaskState::Success);
    let expected =
        [("1.0.0".to_owned(), VersionState::Held), ("1.1.0".to_owned(), VersionState::Remote)];
    assert_eq!(states(&mirror, "good").await, expected);
    mirror.finish().await;
}

#[tokio::test]
async fn a_specific_version_nobody_has_is_an_error_that_names_it() {
    let mirror = TestMirror::with(&[good()]).await;
    let options = TaskOptions {
        skip_dependencies: true,
        specific_versions: Some(vec!["9.9.9".into()]),
        ..TaskOptions::default()
    };
    let rows = mirror.sync_with(&["good"], &options).await;
    failed_with(&rows[0], &["good@9.9.9", "no such version"]);
    mirror.finish().await;
}
