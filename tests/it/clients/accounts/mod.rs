//! Whole lives of accounts, by package managers and by `curl`: logins in both ways, profile,
//! tokens, what these are refused, logging out.

mod curl;
mod npm;
mod others;
mod talk;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use self::talk::{Ended, Talk};
use super::{Npm, run, with_home};
use crate::accounts::browser::{form_of, send};
use crate::accounts::{PASSWORD, register};
use crate::harness::{Answer, TestMirror};

/// A mirror on which people make their own accounts and publish in `@garden`, and a home folder
/// for each client.
struct Setting {
    mirror: TestMirror,
    scratch: tempfile::TempDir,
}

impl Setting {
    async fn new() -> Self {
        let open = crate::publish::builder().serve(|settings| settings.registration_open = true);
        let scratch = tempfile::tempdir().expect("a scratch folder");
        Self { mirror: open.start().await, scratch }
    }

    fn home(&self) -> PathBuf {
        self.scratch.path().join("home")
    }

    /// A new home that knows one token.
    fn home_with(&self, name: &str, token: &str) -> PathBuf {
        let home = self.scratch.path().join(name);
        std::fs::create_dir_all(&home).expect("a folder");
        let line = format!("//{}/:_authToken={token}\n", self.mirror.address());
        std::fs::write(home.join("user-npmrc"), line).expect("a file");
        home
    }

    /// A folder with a package.
    fn package(&self, name: &str, version: &str) -> PathBuf {
        let folder = self.scratch.path().join(name.replace('/', "-"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let manifest = format!(r#"{{"name":"{name}","version":"{version}","license":"MIT"}}"#);
        std::fs::write(folder.join("package.json"), manifest).expect("a file");
        folder
    }

    fn npm(&self, npm: Npm, arguments: &[&str]) -> Command {
        npm.command(&self.mirror.url(), &self.home(), self.scratch.path(), arguments)
    }

    /// npm with another home and folder.
    fn npm_at(&self, npm: Npm, home: &Path, folder: &Path, arguments: &[&str]) -> Command {
        npm.command(&self.mirror.url(), home, folder, arguments)
    }

    /// The standard output of a command of npm that has to end well.
    async fn text(&self, npm: Npm, arguments: &[&str]) -> String {
        ended(self.npm(npm, arguments)).await.well().trim().to_owned()
    }

    /// The same, as JSON.
    async fn json(&self, npm: Npm, arguments: &[&str]) -> Value {
        let text = self.text(npm, arguments).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A command of npm that asks.
    async fn asked(
        &self,
        npm: Npm,
        arguments: &[&str],
        questions: &'static [(&str, &str)],
    ) -> Ended {
        let command = self.npm(npm, arguments);
        blocking(move || Talk::start(command).answers(questions).end()).await
    }

    /// The token that npm wrote down.
    fn token(&self) -> Option<String> {
        // npm deletes settings that hold nothing any more
        let npmrc = std::fs::read_to_string(self.home().join("user-npmrc")).unwrap_or_default();
        npmrc.lines().find_map(|line| line.split_once(":_authToken=")).map(|(_, text)| text.into())
    }

    async fn whoami(&self, token: &str) -> Answer {
        self.mirror.get("/-/whoami").token(token).send().await
    }

    /// Signs in on the page that a client named.
    async fn signs_in(&self, path: &str, name: &str, password: &str) {
        let page = self.mirror.get(path).send().await.expect(200);
        let (form, cookie) = form_of(&page);
        let fields = [("form", form.as_str()), ("name", name), ("password", password)];
        send(&self.mirror, path, &cookie, &fields).await.expect(200);
    }

    /// The answer to somebody who logs in with a password.
    async fn logs_in(&self, name: &str, password: &str) -> Answer {
        let path = format!("/-/user/org.couchdb.user:{name}");
        let body = serde_json::json!({ "name": name, "password": password, "type": "user" });
        self.mirror.request("PUT", &path).json(&body).send().await
    }
}

async fn ended(command: Command) -> Ended {
    let output = run(command).await;
    Ended {
        well: output.status.success(),
        said: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs what blocks while the mirror goes on in this process.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// The token in a text.
fn token_in(text: &str) -> String {
    let (_, rest) = text.split_once("npm_").unwrap_or_else(|| panic!("no token: {text}"));
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    format!("npm_{}", &rest[..end])
}
