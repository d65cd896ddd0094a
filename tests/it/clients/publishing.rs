//! npm, pnpm and both yarns publish, and npm does everything else to what was published.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Npm, TURN, npm_command, run, tools, with_home};
use crate::harness::{TestMirror, TokenKind};
use crate::publish::builder;

/// A mirror, and a home folder with the token of its user.
struct Setting {
    mirror: TestMirror,
    scratch: tempfile::TempDir,
    token: String,
}

impl Setting {
    /// `None`, with a word about it, where there is no npm.
    async fn new() -> Option<Self> {
        if Command::new("npm").arg("--version").output().is_err() {
            eprintln!("left out: there is no npm here");
            return None;
        }
        let mirror = builder().start().await;
        let (token, _) = mirror.token("ada", TokenKind::User).await;
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let setting = Self { mirror, scratch, token };
        let home = setting.home();
        std::fs::create_dir_all(&home).expect("a folder");
        let line = format!("//{}/:_authToken={}\n", setting.mirror.address(), setting.token);
        std::fs::write(home.join("user-npmrc"), line).expect("a file");
        Some(setting)
    }

    fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    /// A package to publish.
    fn package(&self, name: &str, version: &str) -> PathBuf {
        let folder = self.scratch.path().join(name.replace('/', "-"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let manifest = format!(
            r#"{{"name":"{name}","version":"{version}","bin":{{"x":"./index.js"}},"license":"MIT"}}"#
        );
        for (file, text) in [
            ("package.json", manifest.as_str()),
            ("index.js", "#!/usr/bin/env node\nmodule.exports = 1\n"),
            ("README.md", "# Garden\n"),
        ] {
            std::fs::write(folder.join(file), text).expect("a file");
        }
        folder
    }

    fn npm(&self, folder: &Path, arguments: &[&str]) -> Command {
        npm_command(&self.mirror.url(), &self.home(), folder, arguments)
    }

    async fn npm_ends_well(&self, folder: &Path, arguments: &[&str]) -> String {
        ended_well(self.npm(folder, arguments)).await
    }

    async fn document(&self, name: &str) -> Value {
        self.mirror.get(&format!("/{name}")).send().await.expect(200).json()
    }

    /// What was published can be installed.
    async fn installs(&self, spec: &str) {
        let folder = tempfile::tempdir_in(self.scratch.path()).expect("a folder");
        std::fs::write(folder.path().join("package.json"), "{}").expect("a file");
        self.npm_ends_well(folder.path(), &["install", spec]).await;
        let (name, _) = spec.rsplit_once('@').expect("a version");
        assert!(folder.path().join("node_modules").join(name).join("index.js").exists(), "{spec}");
    }
}

async fn ended_well(command: Command) -> String {
    let what = format!("{command:?}");
    let output = run(command).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(output.status.success(), "{what}: {said}\n{errors}");
    said
}

#[tokio::test]
async fn npm_publishes_and_does_everything_else_to_what_it_published() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    setting.mirror.token("bob", TokenKind::User).await;
    let folder = setting.package("@garden/ui", "1.0.0");
    let npm = async |arguments: &[&str]| setting.npm_ends_well(&folder, arguments).await;
    npm(&["publish", "--access=public"]).await;
    let again = run(setting.npm(&folder, &["publish"])).await;
    assert!(!again.status.success(), "a version is published once");
    setting.package("@garden/ui", "1.1.0");
    npm(&["publish", "--tag=next"]).await;
    let full = setting.document("@garden/ui").await;
    assert_eq!(full["dist-tags"]["latest"], "1.0.0");
    assert_eq!(full["dist-tags"]["next"], "1.1.0");
    assert_eq!(full["versions"]["1.0.0"]["dist"]["fileCount"], 3);
    assert_eq!(full["versions"]["1.0.0"]["bin"]["x"], "index.js");
    setting.installs("@garden/ui@1.0.0").await;
    setting.installs("@garden/ui@next").await;

    assert!(npm(&["dist-tag", "ls", "@garden/ui"]).await.contains("next: 1.1.0"));
    npm(&["dist-tag", "add", "@garden/ui@1.1.0", "beta"]).await;
    npm(&["dist-tag", "rm", "@garden/ui", "next"]).await;
    assert_eq!(npm(&["view", "@garden/ui", "dist-tags.beta"]).await, "1.1.0");
    npm(&["deprecate", "@garden/ui@1.0.0", "use 1.1"]).await;
    assert_eq!(npm(&["view", "@garden/ui@1.0.0", "deprecated"]).await, "use 1.1");
    npm(&["deprecate", "@garden/ui@1.0.0", ""]).await;
    assert_eq!(npm(&["view", "@garden/ui@1.0.0", "deprecated"]).await, "");
    npm(&["owner", "add", "bob", "@garden/ui"]).await;
    assert!(npm(&["owner", "ls", "@garden/ui"]).await.contains("bob"));
    npm(&["owner", "rm", "bob", "@garden/ui"]).await;
    assert!(!npm(&["owner", "ls", "@garden/ui"]).await.contains("bob"));
    npm(&["star", "@garden/ui"]).await;
    assert!(npm(&["stars", "ada"]).await.contains("@garden/ui"));
    npm(&["unstar", "@garden/ui"]).await;

    npm(&["unpublish", "@garden/ui@1.1.0"]).await;
    let full = setting.document("@garden/ui").await;
    assert!(full["versions"].get("1.1.0").is_none(), "{full}");
    assert!(full["dist-tags"].get("beta").is_none(), "{full}");
    npm(&["unpublish", "@garden/ui", "--force"]).await;
    let stub = setting.document("@garden/ui").await;
    assert!(stub.get("versions").is_none() && stub["time"].get("unpublished").is_some(), "{stub}");
    npm(&["publish"]).await;
    setting.installs("@garden/ui@1.1.0").await;
    setting.mirror.finish().await;
}

#[tokio::test]
async fn npm_10_publishes_tags_and_takes_back() {
    let _turn = TURN.lock().await;
    if !Npm::all().contains(&Npm::Ten) {
        return;
    }
    let Some(setting) = Setting::new().await else { return };
    let folder = setting.package("@garden/ten", "1.0.0");
    let npm = |arguments: &[&str]| {
        Npm::Ten.command(&setting.mirror.url(), &setting.home(), &folder, arguments)
    };
    ended_well(npm(&["publish"])).await;
    // the same once more is no harm, something else under its number is
    ended_well(npm(&["publish"])).await;
    std::fs::write(folder.join("more.js"), "module.exports = 2\n").expect("a file");
    let again = run(npm(&["publish"])).await;
    assert!(!again.status.success(), "a version is published once");
    setting.package("@garden/ten", "1.1.0");
    ended_well(npm(&["publish", "--tag=next"])).await;
    ended_well(npm(&["dist-tag", "add", "@garden/ten@1.1.0", "beta"])).await;
    ended_well(npm(&["deprecate", "@garden/ten@1.0.0", "use 1.1"])).await;
    let full = setting.document("@garden/ten").await;
    assert_eq!(
        (&full["dist-tags"]["latest"], &full["dist-tags"]["beta"]),
        (&"1.0.0".into(), &"1.1.0".into())
    );
    assert_eq!(full["versions"]["1.0.0"]["deprecated"], "use 1.1");
    setting.installs("@garden/ten@beta").await;
    ended_well(npm(&["unpublish", "@garden/ten@1.1.0"])).await;
    let full = setting.document("@garden/ten").await;
    assert!(full["versions"].get("1.1.0").is_none(), "{full}");
    setting.mirror.finish().await;
}

#[tokio::test]
async fn npm_is_told_why_it_may_not_change_what_comes_from_an_upstream() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    let folder = setting.package("lamp", "2.0.0");
    setting.mirror.sync(&["lamp"]).await;
    for arguments in [
        &["publish"][..],
        &["deprecate", "lamp@1.0.0", "no"],
        &["dist-tag", "add", "lamp@1.0.0", "beta"],
        &["unpublish", "lamp", "--force"],
    ] {
        let output = run(setting.npm(&folder, arguments)).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            errors.contains("Can't modify npm public package \"lamp\""),
            "{arguments:?} {errors}"
        );
    }
    // a star is kept here, whoever owns the package
    setting.npm_ends_well(&folder, &["star", "lamp"]).await;
    setting.mirror.finish().await;
}

#[tokio::test]
async fn pnpm_and_both_yarns_publish_too() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    let Some(tools) = tools() else {
        eprintln!("left out: run scripts/clients/prepare small to test with real clients");
        return;
    };
    let registry = format!("{}/", setting.mirror.url());
    let node = |tool: &str, folder: &Path| {
        let mut command = Command::new("node");
        command.arg(tools.join(tool)).current_dir(folder);
        with_home(&mut command, &setting.home());
        command.env("npm_config_registry", &registry).env("CI", "true");
        command
    };
    let folder = setting.package("@garden/pnpm", "1.0.0");
    let mut pnpm = node("pnpm/bin/pnpm.cjs", &folder);
    pnpm.args(["publish", "--no-git-checks", &format!("--registry={registry}")]);
    ended_well(pnpm).await;
    setting.installs("@garden/pnpm@1.0.0").await;

    let folder = setting.package("@garden/classic", "1.0.0");
    // yarn 1 reads its token from there, and its registry too
    std::fs::copy(setting.home().join("user-npmrc"), folder.join(".npmrc")).expect("a copy");
    let mut yarn = node("yarn/bin/yarn.js", &folder);
    yarn.args(["publish", "--non-interactive", "--new-version=1.0.0", "--no-git-tag-version"]);
    yarn.arg(format!("--registry={registry}"));
    yarn.env("YARN_REGISTRY", &registry)
        .env("NPM_CONFIG_USERCONFIG", setting.home().join("user-npmrc"));
    ended_well(yarn).await;
    setting.installs("@garden/classic@1.0.0").await;

    let folder = setting.package("@garden/berry", "1.0.0");
    let settings = format!(
        "npmRegistryServer: \"{}\"\nunsafeHttpWhitelist: [\"127.0.0.1\"]\n\
         npmAuthToken: \"{}\"\nenableTelemetry: false\n",
        setting.mirror.url(),
        setting.token
    );
    std::fs::write(folder.join(".yarnrc.yml"), settings).expect("a file");
    std::fs::write(folder.join("yarn.lock"), "").expect("a file");
    ended_well({
        let mut yarn = node("@yarnpkg/cli-dist/bin/yarn.js", &folder);
        yarn.args(["install", "--no-immutable"]);
        yarn
    })
    .await;
    let mut yarn = node("@yarnpkg/cli-dist/bin/yarn.js", &folder);
    yarn.args(["npm", "publish"]);
    ended_well(yarn).await;
    setting.installs("@garden/berry@1.0.0").await;
    setting.mirror.finish().await;
}

/// npm's own library, as programs use it.
#[tokio::test]
async fn libnpmpublish_publishes_and_unpublishes() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    let root = run({
        let mut npm = Command::new("npm");
        npm.args(["root", "--global"]);
        npm
    })
    .await;
    let root = String::from_utf8_lossy(&root.stdout).trim().to_owned();
    let library = Path::new(&root).join("npm/node_modules/libnpmpublish");
    if !library.exists() {
        eprintln!("left out: npm here has no libnpmpublish");
        return;
    }
    let folder = setting.package("@garden/lib", "3.0.0");
    setting.npm_ends_well(&folder, &["pack"]).await;
    let script = format!(
        "const {{ publish, unpublish }} = require({library:?});\n\
         const opts = {{ registry: '{}/', '//{}/:_authToken': '{}', forceAuth: {{ token: '{}' }} }};\n\
         const manifest = require('./package.json');\n\
         const tarball = require('fs').readFileSync('garden-lib-3.0.0.tgz');\n\
         (async () => {{\n\
           await publish(manifest, tarball, {{ ...opts, defaultTag: 'latest', algorithms: ['sha512'], npmCommand: 'publish' }});\n\
           await unpublish('@garden/lib@3.0.0', {{ ...opts, npmCommand: 'unpublish' }});\n\
           await publish(manifest, tarball, {{ ...opts, defaultTag: 'latest', algorithms: ['sha512'], npmCommand: 'publish' }});\n\
         }})().catch(error => {{ console.error(error); process.exit(1) }});\n",
        setting.mirror.url(),
        setting.mirror.address(),
        setting.token,
        setting.token
    );
    std::fs::write(folder.join("drive.cjs"), script).expect("a file");
    let mut node = Command::new("node");
    node.arg("drive.cjs").current_dir(&folder);
    with_home(&mut node, &setting.home());
    ended_well(node).await;
    setting.installs("@garden/lib@3.0.0").await;
    setting.mirror.finish().await;
}
