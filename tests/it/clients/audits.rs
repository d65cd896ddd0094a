//! `audit` of npm, pnpm and yarn against local advisories: today's request and the older one.
//!
//! yarn 1 is not here: its audit asks the registry that is built into it, whatever is configured.

use std::path::Path;
use std::process::Command;

use super::{TURN, npm_command, repository, run, with_home};
use crate::advisories::{load, record};
use crate::harness::{Package, TestMirror};

const MANIFEST: &str =
    r#"{"name":"app","version":"1.0.0","license":"MIT","dependencies":{"lamp":"1.0.0"}}"#;

/// One of the package managers of `scripts/clients/prepare`.
fn tool(path: &str) -> Option<std::path::PathBuf> {
    let tool = repository().join("target/clients/tools/node_modules").join(path);
    tool.exists().then_some(tool)
}

async fn said(command: Command) -> (bool, String) {
    let output = run(command).await;
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn application(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("package.json"), MANIFEST).expect("a file");
}

#[tokio::test]
async fn audits_of_npm_pnpm_and_yarn_find_what_is_known_here() {
    if Command::new("npm").arg("--version").output().is_err() {
        eprintln!("left out: npm is not installed");
        return;
    }
    let _turn = TURN.lock().await;
    let mirror = TestMirror::with(&[
        Package::new("lamp").version_with("1.0.0", |version| version.depends_on("wick", "^1.0.0")),
        Package::new("wick").version("1.5.0"),
    ])
    .await;
    load(&mirror, &[record("GHSA-1", "wick", "2.0.0")]).await;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let (url, home) = (mirror.url(), scratch.path().join("home"));

    let folder = scratch.path().join("npm");
    application(&folder);
    let (installed, text) = said(npm_command(&url, &home, &folder, &["install"])).await;
    assert!(installed, "{text}");
    let mut audit = Command::new("npm");
    audit.args(["audit", &format!("--registry={url}/")]).current_dir(&folder);
    with_home(&mut audit, &home);
    let (clean, text) = said(audit).await;
    assert!(!clean && text.contains("wick burns") && text.contains("high"), "{text}");

    if let Some(pnpm) = tool("pnpm/bin/pnpm.cjs") {
        let folder = scratch.path().join("pnpm");
        application(&folder);
        let command = |words: &[&str]| {
            let mut command = Command::new("node");
            command.arg(&pnpm).args(words).arg(format!("--registry={url}/")).current_dir(&folder);
            with_home(&mut command, &home);
            command
        };
        let (installed, text) = said(command(&["install", "--ignore-scripts"])).await;
        assert!(installed, "{text}");
        let (clean, text) = said(command(&["audit"])).await;
        assert!(!clean && text.contains("wick burns") && text.contains("lamp"), "{text}");
    }

    if let Some(yarn) = tool("@yarnpkg/cli-dist/bin/yarn.js") {
        let folder = scratch.path().join("yarn");
        application(&folder);
        let settings = [
            format!("npmRegistryServer: '{url}'"),
            "unsafeHttpWhitelist: ['127.0.0.1']".to_owned(),
            "nodeLinker: node-modules".to_owned(),
            "enableScripts: false".to_owned(),
            "enableTelemetry: false".to_owned(),
            "enableGlobalCache: false".to_owned(),
            format!("globalFolder: '{}'", home.join("berry").display()),
        ];
        let settings = settings.join("\n");
        std::fs::write(folder.join(".yarnrc.yml"), settings).expect("a file");
        std::fs::write(folder.join("yarn.lock"), "").expect("a file");
        let command = |words: &[&str]| {
            let mut command = Command::new("node");
            command.arg(&yarn).args(words).current_dir(&folder);
            with_home(&mut command, &home);
            command
        };
        let (installed, text) = said(command(&["install", "--no-immutable"])).await;
        assert!(installed, "{text}");
        let (clean, text) = said(command(&["npm", "audit", "--recursive"])).await;
        assert!(!clean && text.contains("wick burns"), "{text}");
    }
    mirror.finish().await;
}
