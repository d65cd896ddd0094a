//! Forced history, the marks and order of a log, and dependencies that find a full queue.

use serde_json::json;
use store::tasks::TaskOptions;
use store::{TaskState, VersionState};

use super::good;
use crate::harness::{Fault, Package, TestMirror, sri};

fn history() -> TaskOptions {
    TaskOptions { skip_dependencies: true, force_sync_history: true, ..TaskOptions::default() }
}

#[tokio::test]
async fn forced_history_fetches_everything_again() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    let rows = mirror.sync_with(&["good"], &history()).await;
    assert_eq!(rows[0].state, TaskState::Success, "{:?}", rows[0].error);
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(mirror.upstream.count(&good().tarball_path(version)), 2);
        mirror.get(&good().tarball_path(version)).send().await.expect(200);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn what_cannot_be_fetched_again_stays() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    mirror.upstream.remove(&good().tarball_path("1.0.0"));
    mirror.upstream.always(&good().tarball_path("1.1.0"), Fault::html());
    let rows = mirror.sync_with(&["good"], &history()).await;
    assert!(rows[0].error.is_some());
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(mirror.version("good", version).await.state, VersionState::Held);
        let answer = mirror.get(&good().tarball_path(version)).send().await.expect(200);
        assert_eq!(answer.body, good().get(version).tarball);
    }
    mirror.finish().await;
}

/// The marks and texts of a log, with what differs from run to run replaced by words.
fn lines(log: &str, mirror: &TestMirror) -> String {
    let upstream = mirror.upstream.url();
    let plain = log.replace(upstream.trim_end_matches('/'), "UPSTREAM");
    let texts = plain.lines().map(|line| line.split_once("] ").expect("a time").1);
    texts.map(words).collect::<Vec<_>>().join("\n")
}

/// Times, sizes of compressed bodies, task ids and the name of this machine.
fn words(line: &str) -> String {
    let known = [
        ("body size: ", ","),
        ("stored as ", "bytes"),
        ("timing: ", "ms"),
        ("document in ", "ms"),
        ("syncs/", "/log"),
        ("sync task: ", ""),
        ("worker: ", ","),
    ];
    let mut line = line.to_owned();
    for (before, after) in known {
        let Some((head, tail)) = line.split_once(before) else { continue };
        let end = if after.is_empty() { tail.len() } else { tail.find(after).unwrap_or(0) };
        line = format!("{head}{before}…{}", &tail[end..]);
    }
    line
}

#[tokio::test]
async fn a_log_has_the_marks_and_the_order_of_the_contract() {
    let package = good().version_with("2.0.0", |version| version.depends_on("bolt", "^1"));
    let package = package.member("maintainers", json!([{ "name": "ada", "email": "ada@h.test" }]));
    let mirror = TestMirror::with(&[good(), Package::new("bolt").version("1.0.0")]).await;
    mirror.sync(&["good"]).await;
    mirror.upstream.publish(&package.clone().without("1.0.0"));
    let options = TaskOptions { tips: Some("asked by ada".into()), ..TaskOptions::default() };
    let rows = mirror.sync_with(&["good"], &options).await;
    insta::assert_snapshot!(lines(&mirror.log(rows[0].id).await, &mirror));
    mirror.finish().await;
}

#[tokio::test]
async fn a_document_that_did_not_change_has_a_short_log() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    let options = TaskOptions {
        skip_dependencies: true,
        specific_versions: Some(vec!["1.0.0".into()]),
        ..TaskOptions::default()
    };
    let rows = mirror.sync_with(&["good"], &options).await;
    insta::assert_snapshot!(lines(&mirror.log(rows[0].id).await, &mirror));
    mirror.finish().await;
}

#[tokio::test]
async fn a_full_queue_takes_no_dependencies() {
    let parent =
        Package::new("a").version_with("1.0.0", |version| version.depends_on("bolt", "^1"));
    let builder = TestMirror::builder().packages(&[parent]);
    let mirror =
        builder.engine(|engine| (engine.workers, engine.high_water) = (1, 1)).start().await;
    // one worker is busy, and of the others some wait even behind those claimed ahead
    let gate = mirror.upstream.gate("/a");
    let mut rows = mirror.enqueue(&["a"], &TaskOptions::default()).await;
    mirror.upstream.wait_for("/a", 1).await;
    let names: Vec<_> = (0..20).map(|number| format!("ghost-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    rows.extend(mirror.enqueue(&names, &TaskOptions::default()).await);
    drop(gate);
    let row = mirror.ended(rows[0].id).await;
    let log = mirror.log(row.id).await;
    assert!(log.contains("1 dependencies are left out"), "{log}");
    for row in rows {
        mirror.ended(row.id).await;
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_second_digest_is_counted_where_operators_look() {
    let mirror = TestMirror::with(&[good()]).await;
    mirror.sync(&["good"]).await;
    let before = mirror.engine().describe().await.expect("a status").alarms;
    let mut changed = good();
    let other = sri(b"other bytes");
    changed.versions[0].dist.insert("integrity".into(), json!(other));
    mirror.upstream.publish(&changed);
    mirror.sync(&["good"]).await;
    assert_eq!(mirror.engine().describe().await.expect("a status").alarms, before + 1);
    let metrics = mirror.get("/-/metrics").send().await.expect(200);
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains(&format!("espejo_engine_alarms {}", before + 1)), "{metrics}");
    mirror.finish().await;
}
