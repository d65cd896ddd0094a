//! `espejo registry` and `espejo scope`, alone and beside a running server.

use serde_json::json;

use crate::harness::{Espejo, FakeFeed, FakeUpstream, Package};

#[test]
fn registries_are_added_changed_listed_and_removed_without_a_server() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(&folder.path().join("data"));
    let token = folder.path().join("token");
    std::fs::write(&token, "hush-hush\n").expect("a file");
    let token = token.to_str().expect("a path");
    espejo
        .run(&["registry", "add", "inner", "--url", "http://127.0.0.1:9/npm/", "--type", "cnpm"])
        .expect(0);
    espejo.run(&["registry", "add", "inner", "--url", "http://127.0.0.1:9/"]).expect(2);
    espejo
        .run(&["registry", "set", "inner", "--rate", "20", "--token-file", token, "--feed", "off"])
        .expect(0);
    espejo.run(&["scope", "add", "@garden", "--registry", "inner"]).expect(0);
    espejo.run(&["scope", "add", "cellar", "--registry", "self"]).expect(0);
    espejo.run(&["scope", "add", "@garden", "--registry", "nowhere"]).expect(5);
    espejo.run(&["scope", "add", "@no/scope", "--registry", "inner"]).expect(2);
    let listed = espejo.run(&["registry", "list", "--json"]).expect(0);
    assert!(!listed.stdout.contains("hush"), "{}", listed.stdout);
    let listed = listed.json();
    let inner = listed.as_array().and_then(|all| all.iter().find(|row| row["name"] == "inner"));
    let inner = inner.expect("the registry");
    for (key, value) in [
        ("type", serde_json::json!("cnpmcore")),
        ("host", serde_json::json!("http://127.0.0.1:9/npm/")),
        ("rate", serde_json::json!(20)),
        ("changeStream", serde_json::json!("off")),
        ("hasAuthToken", serde_json::json!(true)),
        ("scopes", serde_json::json!(["@garden"])),
    ] {
        assert_eq!(inner[key], value, "{key}");
    }
    assert!(listed.as_array().is_some_and(|all| all.iter().any(|row| row["name"] == "default")));
    let scopes = espejo.run(&["scope", "list"]).expect(0);
    assert!(scopes.stdout.contains("@cellar") && scopes.stdout.contains("self"));
    let refused = espejo.run(&["registry", "remove", "inner"]).expect(1);
    assert!(refused.stderr.contains("@garden"), "{}", refused.stderr);
    espejo.run(&["scope", "remove", "@garden"]).expect(0);
    espejo.run(&["scope", "remove", "@garden"]).expect(5);
    espejo.run(&["registry", "remove", "inner"]).expect(0);
    espejo.run(&["registry", "remove", "inner"]).expect(5);
    espejo.run(&["registry", "remove", "default"]).expect(2);
}

#[test]
fn what_cannot_be_a_registry_is_refused() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(&folder.path().join("data"));
    for (name, url) in [
        ("self", "http://127.0.0.1:9/"),
        ("in/ner", "http://127.0.0.1:9/"),
        ("inner", "ftp://127.0.0.1/"),
        ("inner", "http://ada:secret@127.0.0.1:9/"),
        ("inner", "nothing"),
    ] {
        let refused = espejo.run(&["registry", "add", name, "--url", url]).expect(2);
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    }
    espejo.run(&["registry", "set", "inner", "--url", "http://127.0.0.1:9/"]).expect(5);
}

#[tokio::test]
async fn a_running_server_follows_changes_at_once() {
    let (outer, inner) = (FakeUpstream::start(), FakeUpstream::start());
    let ui = Package::new("@garden/ui").version("1.0.0");
    outer.publish(&ui);
    inner.publish(&ui);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path());
    let server = espejo.serve(&outer.url());
    let get = |path: &str| server.get(path).send();
    espejo.run(&["scope", "add", "@garden", "--registry", "self"]).expect(0);
    assert_eq!(get("/@garden/ui").await.status, 404);
    espejo.run(&["registry", "add", "inner", "--url", &inner.url(), "--feed", "off"]).expect(0);
    espejo.run(&["scope", "add", "@garden", "--registry", "inner"]).expect(0);
    // "not there" is believed for ten seconds: another name of the scope is asked at once
    inner.publish(&Package::new("@garden/new").version("1.0.0"));
    assert_eq!(get("/@garden/new").await.status, 200);
    assert_eq!(inner.count("/@garden/new"), 1);
    assert!(!outer.asked().iter().any(|asked| asked.path.contains("garden")));
    let listed = espejo.run(&["registry", "list"]).expect(0);
    assert!(listed.stdout.contains("inner") && listed.stdout.contains("@garden"));
    let status = espejo.run(&["status"]).expect(0);
    assert!(status.stdout.contains("inner: "), "{}", status.stdout);
    espejo.run(&["scope", "remove", "@garden"]).expect(0);
    let refused = espejo.run(&["registry", "remove", "inner"]).expect(1);
    assert!(refused.stderr.contains("1 package"), "{}", refused.stderr);
    // another address of the default one, without a restart
    let moved = FakeUpstream::start();
    moved.publish(&Package::new("lamp").version("1.0.0"));
    espejo.run(&["registry", "set", "default", "--url", &moved.url()]).expect(0);
    assert_eq!(get("/lamp").await.status, 200);
    assert_eq!(moved.count("/lamp"), 1);
}

#[test]
fn a_feed_is_paused_and_every_change_is_told() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(&folder.path().join("data")).env("USER", "ada");
    espejo.run(&["registry", "add", "inner", "--url", "http://127.0.0.1:9/"]).expect(0);
    espejo.run(&["registry", "pause", "inner"]).expect(0);
    espejo.run(&["registry", "pause", "nowhere"]).expect(5);
    espejo.run(&["registry", "pause", "self"]).expect(2);
    let listed = espejo.run(&["registry", "list"]).expect(0).stdout;
    assert!(listed.contains("paused by ada, "), "{listed}");
    let listed = espejo.run(&["registry", "list", "--json"]).expect(0).json();
    let inner = listed.as_array().and_then(|all| all.iter().find(|row| row["name"] == "inner"));
    assert_eq!(inner.expect("the registry")["pausedBy"], "ada");
    espejo.run(&["registry", "resume", "inner", "--since", "7"]).expect(1);
    espejo.run(&["registry", "resume", "inner"]).expect(0);
    let listed = espejo.run(&["registry", "list"]).expect(0).stdout;
    assert!(!listed.contains("paused"), "{listed}");
    espejo.run(&["block", "add", "ghost@1.0.2", "--reason", "a miner"]).expect(0);
    espejo.run(&["block", "remove", "ghost@1.0.2"]).expect(0);
    let rows = espejo.run(&["audit", "--json"]).expect(0).json();
    let told: Vec<_> = rows
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["action"].as_str().unwrap_or(""), row["subject"].as_str().unwrap_or("")))
        .collect();
    let expected = [
        ("block.remove", "ghost@1.0.2"),
        ("block.add", "ghost@1.0.2"),
        ("registry.resume", "inner"),
        ("registry.pause", "inner"),
        ("registry.add", "inner"),
    ];
    assert_eq!(told, expected);
    let text = espejo.run(&["audit", "--action", "block", "--since", "1h"]).expect(0).stdout;
    assert!(text.contains("reason a miner") && !text.contains("inner"), "{text}");
    assert_eq!(espejo.run(&["audit", "--who", "bob", "--json"]).expect(0).json(), json!([]));
    espejo.run(&["audit", "--since", "soon"]).expect(2);
}

#[tokio::test]
async fn a_registry_is_asked_how_it_is() {
    let upstream = FakeUpstream::start();
    upstream.publish(&Package::new("lamp").version("1.0.0"));
    upstream.respond("/-/ping", |_| (200, "{}".into()));
    upstream.respond("/-/whoami", |_| (200, r#"{"username":"ada"}"#.into()));
    FakeFeed::open(&upstream, 77);
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path());
    let npmrc = folder.path().join("npmrc");
    let host = upstream.url().replace("http:", "");
    std::fs::write(&npmrc, format!("{host}/:_authToken=hush-hush\n")).expect("a file");
    let espejo = espejo.env("npm_config_userconfig", npmrc.display());
    let add = ["registry", "add", "inner", "--url", &upstream.url(), "--token-from-npmrc"];
    espejo.run(&add).expect(0);
    let elsewhere = ["registry", "add", "x", "--url", "http://127.0.0.1:9/", "--token-from-npmrc"];
    espejo.run(&elsewhere).expect(5);
    let verdicts = |asked: &serde_json::Value| {
        let findings = asked["findings"].as_array().expect("findings").clone();
        findings
            .iter()
            .map(|finding| {
                let word = |key: &str| finding[key].as_str().unwrap_or("").to_owned();
                (word("what"), word("verdict"))
            })
            .collect::<Vec<_>>()
    };
    let expected = |packument: &str| {
        [("host", "ok"), ("packument", packument), ("feed", "ok"), ("token", "ok")]
            .map(|(what, verdict)| (what.to_owned(), verdict.to_owned()))
    };
    let asked = espejo.run(&["registry", "test", "inner", "--json"]).expect(0).json();
    assert_eq!(verdicts(&asked), expected("unknown"), "{asked}");
    let asked = espejo.run(&["registry", "test", "inner", "--package", "lamp", "--json"]);
    assert_eq!(verdicts(&asked.expect(0).json()), expected("ok"));
    espejo.run(&["registry", "test", "nowhere"]).expect(5);
    // the same beside a running server, and what is wrong ends with its own code
    let server = espejo.serve(&upstream.url());
    let text = espejo.run(&["registry", "test", "inner", "--package", "lamp"]).expect(0).stdout;
    assert!(text.contains("lamp with 1 versions") && text.contains("at 77"), "{text}");
    upstream.respond("/-/whoami", |_| (401, "{}".into()));
    let text = espejo.run(&["registry", "test", "inner"]).expect(6).stdout;
    assert!(text.contains("[fail]") && text.contains("401"), "{text}");
    assert!(!text.contains("hush"), "{text}");
    drop(server);
}
