//! Bytes that rot: `verify` finds them, nobody is served them, `--repair` brings them back.

use serde_json::Value;

use super::{left_out, names, packages};
use crate::harness::{Espejo, Expect, FakeUpstream, compare, files, rot};

/// A data folder with all packages in it, no program running.
fn synced(upstream: &FakeUpstream) -> (tempfile::TempDir, Espejo) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path());
    for package in packages() {
        upstream.publish(&package);
    }
    let all = packages();
    let mut arguments = vec!["sync".to_owned(), "--upstream".into(), upstream.url()];
    arguments.extend(names(&all).into_iter().map(str::to_owned));
    espejo.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).expect(0);
    (folder, espejo)
}

fn damaged(report: &Value) -> Vec<(String, String)> {
    let damaged = report["damaged"].as_array().expect("a list");
    damaged
        .iter()
        .map(|damage| {
            let text = |key: &str| damage[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("version"))
        })
        .collect()
}

#[test]
fn a_rotten_byte_is_found_by_verify_and_repaired_from_upstream() {
    if left_out() {
        return;
    }
    let upstream = FakeUpstream::start();
    let (folder, espejo) = synced(&upstream);
    espejo.run(&["verify", "--json"]).expect(0);
    let all = packages();
    let (small, large) = (all[3].get("1.2.0"), all[6].get("1.0.0"));
    rot(folder.path(), &small.tarball);
    rot(folder.path(), &large.tarball);
    let report = espejo.run(&["verify", "--json"]).expect(6);
    let report = report.lines().pop().expect("a summary");
    let mut found = damaged(&report);
    found.sort();
    let expected = [("large".to_owned(), "1.0.0".to_owned()), ("p3".into(), "1.2.0".into())];
    assert_eq!(found, expected, "{report}");
    espejo.run(&["verify", "--repair"]).expect(0);
    espejo.run(&["verify", "--json"]).expect(0);
    compare(folder.path(), &all, Expect::Everything);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_tarball_never_reaches_a_reader() {
    if left_out() {
        return;
    }
    let upstream = FakeUpstream::start();
    let (folder, espejo) = synced(&upstream);
    let all = packages();
    let damaged = [(&all[3], "1.2.0"), (&all[6], "1.0.0")];
    for (package, version) in damaged {
        rot(folder.path(), &package.get(version).tarball);
    }
    espejo.run(&["verify"]).expect(6);
    let serving = espejo.serve(&upstream.url());
    for (package, version) in damaged {
        let expected = &package.get(version).tarball;
        let answer = serving.get(&package.tarball_path(version)).send().await;
        let whole = answer.status == 200 && answer.complete;
        assert!(!whole || answer.body == *expected, "rotten bytes of {}", package.name);
    }
}

#[test]
fn a_blob_that_is_gone_is_found_and_repaired() {
    if left_out() {
        return;
    }
    let upstream = FakeUpstream::start();
    let (folder, espejo) = synced(&upstream);
    let all = packages();
    let large = &all[6].get("1.0.0").tarball;
    let file = files(&folder.path().join("blobs"), |_| true)
        .into_iter()
        .find(|path| std::fs::read(path).is_ok_and(|content| content == *large));
    std::fs::remove_file(file.expect("a large tarball has its own file")).expect("a file");
    let report = espejo.run(&["verify", "--json"]).expect(6).lines().pop().expect("a summary");
    assert_eq!(damaged(&report), [(all[6].name.clone(), "1.0.0".to_owned())]);
    espejo.run(&["verify", "--repair"]).expect(0);
    compare(folder.path(), &all, Expect::Everything);
}
