//! npm's other commands against the mirror.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::{Setting, npm_command, run};
use crate::harness::sri;

/// Runs npm against the mirror of a setting.
async fn npm(setting: &Setting, folder: &Path, arguments: &[&str]) -> Output {
    let home = setting.scratch.path().join("home");
    run(npm_command(&setting.mirror.url(), &home, folder, arguments)).await
}

/// The standard output of a command that has to end well.
async fn text(setting: &Setting, folder: &Path, arguments: &[&str]) -> String {
    let output = npm(setting, folder, arguments).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn npm_view_ping_pack_install_and_outdated_work() {
    let Some(setting) = Setting::prepared("small").await else { return };
    let lock = std::fs::read(setting.lock("package-lock.json")).expect("a lockfile");
    let lock: Value = serde_json::from_slice(&lock).expect("JSON");
    let locked = |name: &str| lock["packages"][format!("node_modules/{name}")].clone();
    let empty = setting.scratch.path().join("empty");
    std::fs::create_dir_all(&empty).expect("a folder");

    let pong = json(&text(&setting, &empty, &["ping", "--json"]).await);
    assert!(pong["registry"].as_str().is_some_and(|url| url.starts_with(&setting.mirror.url())));

    let chalk = locked("chalk")["version"].as_str().expect("a version").to_owned();
    let viewed = text(&setting, &empty, &["view", &format!("chalk@{chalk}"), "version"]).await;
    assert_eq!(viewed, chalk);
    let tags = json(&text(&setting, &empty, &["view", "chalk", "dist-tags", "--json"]).await);
    assert!(tags["latest"].is_string());
    let scoped = text(&setting, &empty, &["view", "@babel/code-frame@7", "name", "--json"]).await;
    assert!(scoped.contains("@babel/code-frame"));

    let packed =
        json(&text(&setting, &empty, &["pack", &format!("chalk@{chalk}"), "--json"]).await);
    let file = packed[0]["filename"].as_str().expect("a file name");
    let bytes = std::fs::read(empty.join(file)).expect("the packed file");
    assert_eq!(sri(&bytes), locked("chalk")["integrity"].as_str().expect("an integrity"));

    let fresh = setting.scratch.path().join("fresh");
    std::fs::create_dir_all(&fresh).expect("a folder");
    std::fs::write(fresh.join("package.json"), r#"{"name":"fresh","version":"1.0.0"}"#)
        .expect("a file");
    text(&setting, &fresh, &["install", "chalk@^4.1.0"]).await;
    let installed = std::fs::read(fresh.join("node_modules/chalk/package.json")).expect("chalk");
    let installed: Value = serde_json::from_slice(&installed).expect("JSON");
    assert_eq!(installed["version"], chalk.as_str());

    // Ends with 1 where something is outdated, as chalk 4 is.
    let outdated = npm(&setting, &fresh, &["outdated", "--json"]).await;
    let outdated = json(&String::from_utf8_lossy(&outdated.stdout));
    assert_eq!(outdated["chalk"]["current"], chalk.as_str());
    // Not always the tag: npm passes over versions this Node cannot run.
    let latest = outdated["chalk"]["latest"].as_str().expect("a version");
    assert!(latest > "5", "{latest}");

    let ghost = npm(&setting, &empty, &["view", "no-such-package-here"]).await;
    assert!(!ghost.status.success());
    let said = String::from_utf8_lossy(&ghost.stderr);
    assert!(said.contains("E404"), "{said}");
    setting.mirror.finish().await;
}
