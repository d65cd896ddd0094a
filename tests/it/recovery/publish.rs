//! kill -9 while packages are published: what was acknowledged is there, the rest was never or is
//! whole, and it can be published again.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::fault::{Action, counted, faulty, watched};
use super::left_out;
use crate::harness::{Espejo, FakeUpstream, Request, Serving, Version, on_all_cores};
use crate::publish::body_of;

const NAME: &str = "@garden/ui";
const POINTS: u64 = 48;
/// A start does not write the same number of times each time; it is not what is killed here.
const MARGIN: u64 = 12;

fn versions() -> Vec<Version> {
    // every third gets a file of its own
    let size = |n: usize| if n % 3 == 2 { 1_200_000 } else { 700 + n * 900 };
    (0..6).map(|n| Version::new(NAME, &format!("1.{n}.0"), size(n))).collect()
}

fn with_scope(program: Espejo) -> Espejo {
    program.env("ESPEJO_SEARCH__ENABLED", "false").env("ESPEJO_PUBLISH__SCOPES", "@garden")
}

fn token(data: &Path) -> String {
    let token = std::fs::read_to_string(data.join("admin.token")).expect("the token of the admin");
    token.trim().to_owned()
}

/// Sends a version; `None` when there was no answer.
async fn put(at: std::net::SocketAddr, token: &str, version: &Version) -> Option<u16> {
    let body = body_of(NAME, version, "latest");
    let request = Request::new(at, "PUT", "/@garden%2fui").token(token).json(&body);
    // an answer that breaks off is a panic of the client
    let sent = tokio::spawn(request.send()).await.ok()?;
    Some(sent.status)
}

/// Publishes all versions until the program is gone; how many were acknowledged.
async fn publish_all(serving: &Serving, token: &str, versions: &[Version]) -> usize {
    for (done, version) in versions.iter().enumerate() {
        if put(serving.address(), token, version).await != Some(201) {
            return done;
        }
    }
    versions.len()
}

/// Compares what is served after a death with what was acknowledged, then publishes everything.
async fn check(data: &Path, upstream: &FakeUpstream, versions: &[Version], acknowledged: usize) {
    let serving = with_scope(Espejo::new(data)).serve(&upstream.url());
    let answer = serving.get("/@garden/ui").send().await;
    let document = if answer.status == 200 { answer.json() } else { Value::Null };
    for (n, version) in versions.iter().enumerate() {
        let listed = document["versions"].get(&version.version).is_some();
        assert!(listed || n >= acknowledged, "{} was acknowledged", version.version);
        assert!(!listed || n <= acknowledged, "{} was never sent", version.version);
        if listed {
            let path = format!("/@garden/ui/-/{}", version.file);
            assert_eq!(serving.get(&path).send().await.expect(200).body, version.tarball);
        }
    }
    for version in versions {
        // those that are there are the same, and that is no error
        assert_eq!(put(serving.address(), &token(data), version).await, Some(201), "{data:?}");
    }
    let document = serving.get("/@garden/ui").send().await.expect(200).json();
    assert_eq!(document["versions"].as_object().map(|all| all.len()), Some(versions.len()));
    assert_eq!(document["maintainers"][0]["name"], "admin");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn killed_at_any_operation_of_a_publish_nothing_acknowledged_is_lost() {
    if left_out() {
        return;
    }
    let (upstream, versions) = (FakeUpstream::start(), versions());
    let scratch = || tempfile::tempdir().expect("a scratch folder");
    let (calibration, count) = (scratch(), tempfile::NamedTempFile::new().expect("a file"));
    let program = with_scope(watched(calibration.path(), count.path()));
    let (from, to) = block_on(async {
        let serving = program.serve(&upstream.url());
        let from = counted(count.path());
        let done = publish_all(&serving, &token(calibration.path()), &versions).await;
        assert_eq!(done, versions.len());
        (from, counted(count.path()))
    });
    assert!(to > from + 20, "only {} operations on disk were seen", to - from);
    let points: Vec<_> = (0..POINTS)
        .map(|n| {
            (
                from + MARGIN + n * (to - from - MARGIN) / POINTS,
                if n % 2 == 0 { Action::Kill } else { Action::Torn },
            )
        })
        .collect();
    let deaths = AtomicUsize::new(0);
    on_all_cores(&points, |&(at, action)| {
        let folder: TempDir = scratch();
        let count = tempfile::NamedTempFile::new().expect("a file");
        block_on(async {
            let program = with_scope(faulty(folder.path(), count.path(), action, at));
            let serving = program.serve(&upstream.url());
            let acknowledged = publish_all(&serving, &token(folder.path()), &versions).await;
            deaths.fetch_add(usize::from(acknowledged < versions.len()), Ordering::Relaxed);
            drop(serving);
            check(folder.path(), &upstream, &versions, acknowledged).await;
        });
        Espejo::new(folder.path()).run(&["verify", "--json"]).expect(0);
        let unfinished = crate::harness::files(folder.path(), |name| name.contains("tmp"));
        assert!(unfinished.is_empty(), "left behind: {unfinished:?}");
    });
    let deaths = deaths.into_inner();
    println!("died at {deaths} of {} points", points.len());
    assert!(deaths * 2 >= points.len(), "only {deaths} of {} points killed", points.len());
}
