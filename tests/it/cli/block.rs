//! `espejo block`: with and without a running server.

use serde_json::json;

use super::setting;
use crate::harness::{Espejo, Package, Serving, Version, until};

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_made_listed_and_lifted_alone_and_through_the_server() {
    let (upstream, _folder, espejo) = setting();
    let url = upstream.url();
    espejo.run(&["sync", "--upstream", &url, "lamp", "@garden/ui"]).expect(0);
    let added = espejo.run(&["block", "add", "lamp@1.1.0", "--reason", "runs a miner"]).expect(0);
    assert_eq!(
        added.stdout.trim(),
        "Blocked lamp@1.1.0. Clients now get 451 with your reason. Undo: espejo block remove \
         lamp@1.1.0"
    );
    let serving = espejo.serve(&url);
    espejo.run(&["block", "add", "@garden/ui", "--reason", "no licence"]).expect(0);
    let listed = espejo.run(&["block", "list"]).expect(0);
    assert!(listed.stdout.contains("lamp@1.1.0") && listed.stdout.contains("runs a miner"));
    let json = espejo.run(&["block", "list", "--json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    let targets: Vec<_> = json["blocks"].as_array().expect("a list").iter().collect();
    assert_eq!(targets.len(), 2);
    assert_eq!(targets[0]["target"], "@garden/ui");
    assert_eq!(targets[1]["kind"], "admin");
    espejo.run(&["block", "rm", "lamp@1.1.0"]).expect(0);
    let again = espejo.run(&["block", "remove", "lamp@1.1.0"]).expect(1);
    assert!(again.stderr.contains("lamp@1.1.0 is not blocked"), "{}", again.stderr);
    drop(serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_held_is_listed_and_let_go_alone_and_through_the_server() {
    let (upstream, _folder, espejo) = setting();
    let url = upstream.url();
    espejo.run(&["sync", "--upstream", &url, "lamp"]).expect(0);
    let none = espejo.run(&["block", "hold"]).expect(0);
    assert_eq!(none.stdout.trim(), "Nothing is held back.");
    let all = ["block", "hold", "--dry-run", "100years", "--json"];
    let held = |serving: bool| {
        let found = espejo.run(&all).expect(0);
        let found: serde_json::Value = serde_json::from_str(&found.stdout).expect("JSON");
        let rows = found["held"].as_array().expect("a list").iter();
        let names: Vec<_> = rows.map(|row| row["target"].to_string()).collect();
        assert!(!names.is_empty(), "serving: {serving}");
        names
    };
    let before = held(false);
    assert!(before.contains(&"\"lamp@1.1.0\"".to_owned()), "{before:?}");
    espejo.run(&["block", "release", "lamp@1.1.0"]).expect(0);
    let serving = espejo.serve(&url);
    let after = held(true);
    assert!(!after.contains(&"\"lamp@1.1.0\"".to_owned()), "{after:?}");
    assert_eq!(after.len() + 1, before.len());
    espejo.run(&["block", "release", "lamp@1.0.0"]).expect(0);
    espejo.run(&["block", "release", "lamp"]).expect(2);
    let back = ["block", "release", "lamp@1.1.0", "--take-back"];
    espejo.run(&back).expect(0);
    let again = espejo.run(&back).expect(1);
    assert!(again.stderr.contains("lamp@1.1.0 was not released"), "{}", again.stderr);
    assert_eq!(held(true), ["\"lamp@1.1.0\""]);
    drop(serving);
    espejo.run(&["block", "release", "lamp@1.0.0", "--take-back", "--json"]).expect(0);
    assert_eq!(held(false), before);
}

/// The versions of a dry run and where its list goes on.
fn denied(espejo: &Espejo, flags: &[&str]) -> (Vec<String>, Option<String>) {
    let arguments = [&["block", "deny", "--dry-run", "--json"], flags].concat();
    let found = espejo.run(&arguments).expect(0).json();
    let rows = found["denied"].as_array().expect("a list").iter();
    let rows = rows.map(|row| format!("{} {}", row["target"], row["rule"]).replace('"', ""));
    (rows.collect(), found["next"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_would_deny_is_listed_page_by_page_alone_and_through_the_server() {
    let (upstream, _folder, espejo) = setting();
    let scripted = |version: Version| version.member("scripts", json!({"install": "make"}));
    upstream.publish(&Package::new("oven").version_with("1.0.0", scripted));
    let url = upstream.url();
    espejo.run(&["sync", "--upstream", &url, "lamp", "@garden/ui", "oven"]).expect(0);
    let names = |list: &[&str], rule: &str| -> Vec<String> {
        list.iter().map(|target| format!("{target} security.deny_{rule}")).collect()
    };
    let lamps = names(&["lamp@1.0.0", "lamp@1.1.0"], "names");
    let look = || {
        let all = |flags: &[&str]| {
            let (rows, next) = denied(&espejo, flags);
            assert_eq!(next, None, "{flags:?}");
            rows
        };
        assert_eq!(all(&[]), [""; 0]);
        assert_eq!(all(&["--name", "lamp", "--name", "x*"]), lamps);
        assert_eq!(
            all(&["--name", "*", "--except", "lamp", "--except", "@garden/*"]),
            names(&["oven@1.0.0"], "names")
        );
        assert_eq!(all(&["--licence", "mit"]).len(), 4);
        assert_eq!(all(&["--licence", "none"]), [""; 0]);
        assert_eq!(all(&["--larger-than", "1B"]).len(), 4);
        assert_eq!(all(&["--larger-than", "1MiB"]), [""; 0]);
        assert_eq!(all(&["--install-scripts"]), names(&["oven@1.0.0"], "install_scripts"));
        let first = ["--name", "*", "--limit", "2"];
        let (one, next) = denied(&espejo, &first);
        let next = next.expect("a second page");
        let (two, end) = denied(&espejo, &[&first[..], &["--after", &next]].concat());
        assert_eq!(one, names(&["@garden/ui@2.0.0", "lamp@1.0.0"], "names"));
        assert_eq!(two, names(&["lamp@1.1.0", "oven@1.0.0"], "names"));
        let rest = end.map(|end| denied(&espejo, &["--name", "*", "--after", &end]).0);
        assert_eq!(rest.unwrap_or_default(), [""; 0]);
    };
    look();
    let serving = espejo.serve(&url);
    look();
    let table = espejo.run(&["block", "deny", "--dry-run", "--name", "lamp"]).expect(0).stdout;
    assert!(table.contains("lamp@1.1.0") && table.contains("its name matches \"lamp\""), "{table}");
    assert_eq!(espejo.run(&["block", "deny"]).expect(0).stdout.trim(), "Nothing is denied.");
    espejo.run(&["block", "release", "lamp@1.1.0"]).expect(0);
    assert_eq!(denied(&espejo, &["--name", "lamp"]).0, lamps[..1]);
    drop(serving);
}

#[test]
fn rules_that_nothing_can_match_are_usage_errors() {
    let (_upstream, _folder, espejo) = setting();
    for flags in [["--name", "@scope"], ["--name", "a/b"], ["--except", "../*"], ["--name", ""]] {
        espejo.run(&[&["block", "deny", "--dry-run"], &flags[..]].concat()).expect(2);
    }
    espejo.run(&["block", "deny", "--name", "lamp"]).expect(2);
    espejo.run(&["block", "deny", "--dry-run", "--larger-than", "much"]).expect(2);
    let espejo = espejo.env("ESPEJO_SECURITY__DENY_NAMES", "lamp,@scope");
    let refused = espejo.run(&["config", "check"]);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("@scope/*, or patterns with *"), "{}", refused.stderr);
}

/// Waits until a request is answered with this status.
async fn answers(serving: &Serving, target: &str, status: u16) {
    let what = format!("{status} of {target}");
    until(&what, || async { (serving.get(target).send().await.status == status).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_file_are_in_use_after_a_hangup() {
    let (upstream, _folder, espejo) = setting();
    std::fs::create_dir_all(&espejo.data).expect("a folder");
    let settings = |text: &str| {
        std::fs::write(espejo.data.join("config.toml"), text).expect("a file");
    };
    settings("[security]\ndeny_names = [\"ghost\"]\n");
    let serving = espejo.serve(&upstream.url());
    serving.get("/ghost").send().await.expect(451);
    serving.get("/lamp").send().await.expect(200);
    settings("[security]\ndeny_names = [\"lamp\"]\n");
    serving.signal(rustix::process::Signal::HUP);
    answers(&serving, "/lamp", 451).await;
    answers(&serving, "/ghost", 404).await;
    settings("[security]\nhold = \"100000d\"\n");
    serving.signal(rustix::process::Signal::HUP);
    answers(&serving, "/lamp/1.1.0", 403).await;
    settings("[security]\ndeny_names = [\"@lamp\"]\n");
    serving.signal(rustix::process::Signal::HUP);
    settings("[security]\ndeny_licences = [\"MIT\"]\n");
    serving.signal(rustix::process::Signal::HUP);
    answers(&serving, "/lamp/1.1.0", 451).await;
    let listed = espejo.run(&["block", "deny", "--json"]).expect(0).json();
    assert_eq!(listed["denied"].as_array().map(Vec::len), Some(2), "{listed}");
    drop(serving);
}

#[test]
fn what_cannot_be_blocked_is_a_usage_error() {
    let (_upstream, _folder, espejo) = setting();
    for target in ["lamp@latest", "lamp@^1", "..", "lamp@"] {
        espejo.run(&["block", "add", target, "--reason", "x"]).expect(2);
    }
    espejo.run(&["block", "add", "lamp", "--reason", " "]).expect(2);
    espejo.run(&["block", "add", "lamp"]).expect(2);
}
