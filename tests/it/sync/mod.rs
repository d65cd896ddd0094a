//! What a sync brings in, and what it does with everything a registry may send.
//!
//! Letters and numbers in the names of the modules' comments are those of the list of bad inputs
//! the mirror is built against: P for packuments, T for tarballs.

mod addresses;
mod budget;
mod dependencies;
mod digests;
mod documents;
mod history;
mod removed;
mod resume;
mod tarballs;
mod whole;

use store::tasks::TaskRow;
use store::{TaskState, VersionState};

use crate::harness::TestMirror;

/// A healthy package beside every bad one: it has to come through untouched.
const GOOD: &str = "good";

fn good() -> crate::harness::Package {
    crate::harness::Package::new(GOOD).version("1.0.0").version("1.1.0")
}

/// Syncs `name` beside the good package; the bad one's task.
async fn sync_beside_good(mirror: &TestMirror, name: &str) -> TaskRow {
    let mut rows = mirror.sync(&[name, GOOD]).await;
    assert_eq!(rows[1].state, TaskState::Success, "{:?}", rows[1].error);
    rows.swap_remove(0)
}

/// Fails unless the task ended with an error holding every one of these words.
#[track_caller]
pub fn failed_with(row: &TaskRow, words: &[&str]) {
    let error = row.error.as_deref().unwrap_or_default();
    assert_eq!(row.state, TaskState::Error, "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error:?}");
    }
}

/// The states of all versions of a package, by version.
async fn states(mirror: &TestMirror, name: &str) -> Vec<(String, VersionState)> {
    let rows = mirror.versions(name).await;
    rows.into_iter().map(|row| (row.version, row.state)).collect()
}

/// The reason a version is not here.
async fn reason(mirror: &TestMirror, name: &str, version: &str) -> String {
    let row = mirror.version(name, version).await;
    assert_ne!(row.state, VersionState::Held);
    assert!(row.blob.is_none(), "a version that is not held names a blob");
    row.reason.unwrap_or_default()
}
