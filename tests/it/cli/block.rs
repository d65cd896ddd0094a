//! `espejo block`: with and without a running server.

use super::setting;

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
