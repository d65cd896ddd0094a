//! Commands that do something: what they print, how they end.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::setting;
use crate::harness::{Package, rot};

#[test]
fn a_sync_ends_with_one_line_and_zero() {
    let (upstream, _folder, espejo) = setting();
    let ended =
        espejo.run(&["sync", "--upstream", &upstream.url(), "lamp", "@garden/ui"]).expect(0);
    let line = ended.stdout.trim();
    assert!(line.starts_with("Synced 2 packages, 3 versions,"), "{line}");
    assert!(line.ends_with("(3 new, 0 already here, 0 failed)"), "{line}");
    assert_eq!(line.lines().count(), 1);
    // The upstream is remembered.
    let again = espejo.run(&["sync", "lamp"]).expect(0);
    assert!(again.stdout.contains("(0 new, 2 already here, 0 failed)"), "{}", again.stdout);
}

#[test]
fn json_lines_end_with_a_summary() {
    let (upstream, _folder, espejo) = setting();
    let ended = espejo.run(&["sync", "--json", "--upstream", &upstream.url(), "lamp"]).expect(0);
    let lines = ended.lines();
    assert!(lines.iter().all(|line| line["type"].is_string()), "{lines:?}");
    let package = lines.iter().find(|line| line["type"] == "package").expect("a package line");
    assert_eq!((&package["name"], &package["state"]), (&"lamp".into(), &"success".into()));
    let summary = lines.last().expect("a last line");
    assert_eq!((&summary["type"], &summary["exit"]), (&"summary".into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn partly_done_is_three_and_nothing_found_is_five() {
    let (upstream, _folder, espejo) = setting();
    let url = upstream.url();
    let partly = espejo.run(&["sync", "--upstream", &url, "lamp", "ghost"]).expect(3);
    assert!(partly.stderr.contains("ghost") && partly.stderr.contains("404"), "{}", partly.stderr);
    let nothing = espejo.run(&["sync", "--upstream", &url, "ghost"]).expect(5);
    assert!(nothing.stderr.contains("ghost is not here"), "{}", nothing.stderr);
    // The same through a running server.
    let _serving = espejo.serve(&url);
    espejo.run(&["sync", "lamp", "ghost"]).expect(3);
    espejo.run(&["sync", "ghost", "ghoul"]).expect(5);
}

#[test]
fn a_version_of_a_name_and_a_lockfile_are_synced_as_written() {
    let (upstream, folder, espejo) = setting();
    let url = upstream.url();
    espejo.run(&["sync", "--upstream", &url, "lamp@1.0.0"]).expect(0);
    assert_eq!(upstream.count("/lamp/-/lamp-1.0.0.tgz"), 1);
    assert_eq!(upstream.count("/lamp/-/lamp-1.1.0.tgz"), 0);
    let lockfile = folder.path().join("package-lock.json");
    let text = r#"{"lockfileVersion": 3, "packages": {"": {},
        "node_modules/lamp": {"version": "1.1.0"},
        "node_modules/lamp/node_modules/@garden/ui": {"version": "2.0.0"}}}"#;
    std::fs::write(&lockfile, text).expect("a file");
    espejo.run(&["sync", "--from-lockfile", lockfile.to_str().expect("a path")]).expect(0);
    assert_eq!(upstream.count("/lamp/-/lamp-1.1.0.tgz"), 1);
    assert_eq!(upstream.count("/@garden/ui/-/ui-2.0.0.tgz"), 1);
}

#[test]
fn a_tag_is_its_version_and_a_range_all_that_satisfy_it() {
    let (upstream, _folder, espejo) = setting();
    let url = upstream.url();
    let many = Package::new("tidy-list")
        .version("1.0.0")
        .version("1.1.0")
        .version("2.0.0")
        .version("3.0.0-rc.1")
        .tag("next", "3.0.0-rc.1")
        .tag("latest", "2.0.0");
    upstream.publish(&many);
    let fetched = |version: &str| upstream.count(&many.tarball_path(version));
    espejo.run(&["sync", "--upstream", &url, "tidy-list@next"]).expect(0);
    assert_eq!(fetched("3.0.0-rc.1"), 1);
    assert_eq!(fetched("2.0.0"), 0);
    // The document is here by now: what is in the database says the same.
    let ended = espejo.run(&["sync", "tidy-list@^1.0.0"]).expect(0);
    assert!(ended.stdout.contains("2 new, 1 already here"), "{}", ended.stdout);
    assert_eq!([fetched("1.0.0"), fetched("1.1.0"), fetched("2.0.0")], [1, 1, 0]);
    let nothing = espejo.run(&["sync", "tidy-list@beta"]).expect(3);
    assert!(nothing.stderr.contains("tidy-list@beta"), "{}", nothing.stderr);
    espejo.run(&["sync", "tidy-list@latest", "tidy-list@1.0.0"]).expect(0);
    assert_eq!([fetched("1.0.0"), fetched("2.0.0")], [1, 1]);
}

#[test]
fn status_tasks_verify_and_gc_work_without_a_server() {
    let (upstream, _folder, espejo) = setting();
    espejo.run(&["sync", "--upstream", &upstream.url(), "lamp", "ghost"]).expect(3);
    let status = espejo.run(&["status", "--json"]).expect(0).json();
    assert_eq!(status["store"]["packages"], 1, "{status}");
    assert_eq!(status["store"]["held"], 2, "{status}");
    espejo.run(&["status"]).expect(0);
    let tasks = espejo.run(&["task", "list", "--json"]).expect(0);
    let tasks = tasks.json();
    let rows = tasks.as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{tasks}");
    let failed = rows.iter().find(|row| row["state"] == "error").expect("a failed task");
    let id = failed["id"].as_str().expect("an id");
    let log = espejo.run(&["task", "log", id]).expect(0);
    assert!(log.stdout.contains("404"), "{}", log.stdout);
    espejo.run(&["task", "show", id]).expect(0);
    espejo.run(&["task", "show", "0199c5d2-7b1e-7c44-9f0a-000000000000"]).expect(5);
    let verified = espejo.run(&["verify"]).expect(0);
    assert!(verified.stdout.contains("Verified"), "{}", verified.stdout);
    let gc = espejo.run(&["gc", "--dry-run"]).expect(0);
    assert!(gc.stdout.contains("Nothing was deleted"), "{}", gc.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_speak_to_the_running_server() {
    let (upstream, _folder, espejo) = setting();
    let mut serving = espejo.serve(&upstream.url());
    espejo.run(&["sync", "lamp"]).expect(0);
    serving.get("/lamp").send().await.expect(200);
    let status = espejo.run(&["status", "--json"]).expect(0).json();
    assert_eq!(status["pid"], serving.pid(), "{status}");
    let text = espejo.run(&["status"]).expect(0).stdout;
    assert!(text.contains("ready"), "{text}");
    espejo.run(&["verify"]).expect(0);
    serving.signal(rustix::process::Signal::TERM);
    assert_eq!(serving.wait(), Some(0), "SIGTERM ends it in order");
    espejo.run(&["status"]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_by_a_running_server_mends_what_is_named_and_nothing_else() {
    let (upstream, folder, espejo) = setting();
    let lamp = Package::new("lamp").version("1.0.0").version("1.1.0");
    let _serving = espejo.serve(&upstream.url());
    espejo.run(&["sync", "lamp", "@garden/ui"]).expect(0);
    let data = folder.path().join("espejo-data");
    for version in ["1.0.0", "1.1.0"] {
        rot(&data, &lamp.get(version).tarball);
    }
    espejo.run(&["verify", "--repair", "@garden/ui"]).expect(6);
    assert_eq!(upstream.count(&lamp.tarball_path("1.0.0")), 1, "nothing of it was named");
    espejo.run(&["verify", "--repair", "lamp@1.0.0"]).expect(0);
    let report = espejo.run(&["verify", "--json"]).expect(6).lines().pop().expect("a summary");
    assert_eq!(report["damaged"][0]["version"], "1.1.0", "{report}");
    assert_eq!(report["damaged"].as_array().map(Vec::len), Some(1), "{report}");
    espejo.run(&["verify", "--repair"]).expect(0);
    espejo.run(&["verify"]).expect(0);
    espejo.run(&["verify", "--repair", ".."]).expect(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_to_the_end_of_its_task() {
    let (upstream, _folder, espejo) = setting();
    let lamp = Package::new("lamp").version("1.0.0").version("1.1.0");
    let _serving = espejo.serve(&upstream.url());
    let gate = upstream.gate(&lamp.tarball_path("1.1.0"));
    let mut sync =
        espejo.command(&["sync", "lamp"]).stdout(Stdio::null()).spawn().expect("a child");
    upstream.wait_for(&lamp.tarball_path("1.1.0"), 1).await;
    let tasks = espejo.run(&["task", "list", "--json"]).expect(0).json();
    let id = tasks[0]["id"].as_str().expect("an id").to_owned();
    let mut following = espejo
        .command(&["task", "log", "--follow", "--json", &id])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("readable");
        serde_json::from_str(&line).expect("JSON")
    };
    let first = next();
    assert!(first["text"].as_str().is_some_and(|text| text.contains("Syncing")), "{first}");
    drop(gate);
    let mut texts = vec![first];
    let summary = loop {
        let line = next();
        if line["type"] == "summary" {
            break line;
        }
        texts.push(line);
    };
    assert_eq!(summary["state"], "success", "{summary}");
    assert!(following.wait().expect("a child").success());
    assert!(sync.wait().expect("a child").success());
    let log = espejo.run(&["task", "log", &id]).expect(0).stdout;
    let texts: Vec<_> = texts.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, log.lines().collect::<Vec<_>>(), "the same lines, each once");
    assert_eq!(espejo.run(&["task", "log", "-f", &id]).expect(0).stdout, log);
    espejo.run(&["task", "log", "-f", "0199c5d2-7b1e-7c44-9f0a-000000000000"]).expect(5);
}

#[test]
fn a_backup_is_a_mirror_of_its_own() {
    let (upstream, folder, espejo) = setting();
    espejo.run(&["sync", "--upstream", &upstream.url(), "lamp"]).expect(0);
    let backup = folder.path().join("backup");
    let backup = backup.to_str().expect("a path");
    espejo.run(&["backup", backup]).expect(0);
    let other = crate::harness::Espejo::new(&folder.path().join("restored"));
    other.run(&["restore", backup]).expect(0);
    other.run(&["verify"]).expect(0);
    let status = other.run(&["status", "--json"]).expect(0).json();
    assert_eq!(status["store"]["held"], 2, "{status}");
}

#[test]
fn settings_are_shown_with_their_source_and_the_written_file_changes_nothing() {
    let (_upstream, folder, espejo) = setting();
    let espejo = espejo.env("ESPEJO_SYNC__MODE", "all");
    let rows = espejo.run(&["config", "show", "--json"]).expect(0).json();
    let rows = rows.as_array().expect("rows").clone();
    let row = |key: &str| -> Value {
        rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key}")).clone()
    };
    assert_eq!(row("sync.mode")["value"], "all");
    assert_eq!(row("sync.mode")["source"], "env");
    assert_eq!(row("sync.mode")["place"], "ESPEJO_SYNC__MODE");
    assert_eq!(row("listen")["source"], "default");
    let file = folder.path().join("written.toml");
    let file = file.to_str().expect("a path");
    espejo.run(&["config", "init", file]).expect(0);
    espejo.run(&["config", "init", file]).expect(1);
    espejo.run(&["config", "check", "--config", file]).expect(0);
    let changed =
        espejo.run(&["config", "show", "--changed", "--json", "--config", file]).expect(0);
    let keys: Vec<_> =
        changed.json().as_array().expect("rows").iter().map(|row| row["key"].clone()).collect();
    assert_eq!(keys, ["sync.mode", "storage.path"], "the written file changes nothing");
}

#[test]
fn what_is_missing_is_listed_with_its_reason() {
    let (upstream, _folder, espejo) = setting();
    let nothing = espejo.run(&["missing"]).expect(0);
    assert_eq!(nothing.stdout.trim(), "Nothing is missing that this mirror knows of.");
    upstream.fail("/lamp/-/lamp-1.1.0.tgz", 404, usize::MAX);
    espejo.run(&["sync", "--upstream", &upstream.url(), "lamp"]);
    let table = espejo.run(&["missing"]).expect(0).stdout;
    assert!(table.contains("lamp") && table.contains("1.1.0") && table.contains("404"), "{table}");
    let ask = || {
        let answer = espejo.run(&["missing", "--json", "--why", "failed", "--limit", "1"]);
        answer.expect(0).json()
    };
    let alone = ask();
    assert_eq!(alone["missing"][0]["version"], "1.1.0");
    assert_eq!(alone["missing"][0]["why"], "failed");
    let after = alone["next"].as_str().expect("a full page leads on").to_owned();
    let end = espejo.run(&["missing", "--json", "--why", "failed", "--after", &after]);
    assert_eq!(end.expect(0).json(), serde_json::json!({ "missing": [] }));
    espejo.run(&["missing", "--after", "nowhere"]).expect(2);
    // The same through a running server.
    let _serving = espejo.serve(&upstream.url());
    assert_eq!(ask(), alone);
    espejo.run(&["missing", "--after", "nowhere"]).expect(2);
}
