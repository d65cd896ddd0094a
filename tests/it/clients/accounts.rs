//! npm, pnpm and yarn with an account: logins in both ways, profile, tokens, logging out.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::{TURN, npm_command, repository, run, with_home};
use crate::accounts::browser::{form_of, send};
use crate::accounts::{PASSWORD, register};
use crate::harness::TestMirror;

/// A mirror with an account, and a home folder for the clients.
struct Setting {
    mirror: TestMirror,
    scratch: tempfile::TempDir,
}

impl Setting {
    /// `None`, with a word about it, where there is no npm.
    async fn new() -> Option<Self> {
        if Command::new("npm").arg("--version").output().is_err() {
            eprintln!("left out: there is no npm here");
            return None;
        }
        Some(Self { mirror: crate::accounts::open().await, scratch: tempfile::tempdir().ok()? })
    }

    fn npm(&self, arguments: &[&str]) -> Command {
        let home = self.scratch.path().join("home");
        npm_command(&self.mirror.url(), &home, self.scratch.path(), arguments)
    }

    /// `pnpm whoami` with the settings of npm.
    fn pnpm(&self, tools: &Path) -> Command {
        let mut command = Command::new("node");
        let registry = format!("--registry={}/", self.mirror.url());
        command.arg(tools.join("pnpm/bin/pnpm.cjs")).args(["whoami", &registry]);
        with_home(&mut command, &self.scratch.path().join("home"));
        command.current_dir(self.scratch.path());
        command
    }

    /// `yarn npm whoami` in a project that names the mirror and the token.
    fn berry(&self, tools: &Path, token: &str) -> Command {
        let folder = self.scratch.path().join("project");
        std::fs::create_dir_all(&folder).expect("a folder");
        let settings = format!(
            "npmRegistryServer: \"{}\"\nunsafeHttpWhitelist: [\"127.0.0.1\"]\n\
             npmAuthToken: \"{token}\"\nenableTelemetry: false\n",
            self.mirror.url()
        );
        let manifest = r#"{"name":"project","version":"1.0.0"}"#;
        for (file, text) in
            [(".yarnrc.yml", settings.as_str()), ("package.json", manifest), ("yarn.lock", "")]
        {
            std::fs::write(folder.join(file), text).expect("a file");
        }
        let mut command = Command::new("node");
        command.arg(tools.join("@yarnpkg/cli-dist/bin/yarn.js")).args(["npm", "whoami"]);
        with_home(&mut command, &self.scratch.path().join("home"));
        command.current_dir(folder);
        command
    }

    /// The standard output of a command of npm that has to end well.
    async fn text(&self, arguments: &[&str]) -> String {
        ended_well(self.npm(arguments)).await
    }

    /// What npm wrote down as its token.
    fn token(&self) -> Option<String> {
        // npm deletes settings that hold nothing any more
        let npmrc = std::fs::read_to_string(self.scratch.path().join("home/user-npmrc"));
        let npmrc = npmrc.unwrap_or_default();
        npmrc.lines().find_map(|line| line.split_once(":_authToken=")).map(|(_, text)| text.into())
    }
}

async fn ended_well(command: Command) -> String {
    let what = format!("{command:?}");
    let output = run(command).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A started command whose words can be waited for and answered.
struct Talk {
    child: Child,
    said: String,
}

impl Talk {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self { child: command.spawn().expect("the command starts"), said: String::new() }
    }

    /// Reads on until `words` were said and, after them, `end`.
    fn until(&mut self, words: &str, end: &str) -> String {
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        loop {
            let found = self.said.split_once(words).and_then(|(_, rest)| rest.split_once(end));
            if let Some((between, _)) = found {
                return between.to_owned();
            }
            let mut bytes = [0; 256];
            let count = stdout.read(&mut bytes).expect("a pipe");
            assert!(count > 0, "it ended without {words:?}: {}", self.said);
            self.said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    fn answer(&mut self, text: &str) {
        writeln!(self.child.stdin.as_mut().expect("a pipe"), "{text}").expect("a reader");
    }

    /// Waits for a good end; what it said.
    fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        stdout.read_to_string(&mut self.said).expect("a pipe");
        assert!(self.child.wait().expect("a child").success(), "{}", self.said);
        self.said
    }
}

/// Runs what blocks while the mirror goes on in this process.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

#[tokio::test]
async fn npm_makes_an_account_logs_in_and_manages_its_profile_and_tokens() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    let adduser = setting.npm(&["adduser", "--auth-type=legacy"]);
    blocking(move || {
        let mut talk = Talk::start(adduser);
        for (words, answer) in
            [("Username:", "ada"), ("Password:", PASSWORD), ("Email", "ada@garden.test")]
        {
            talk.until(words, "");
            talk.answer(answer);
        }
        talk.end()
    })
    .await;
    let first = setting.token().expect("a token");
    assert_eq!(setting.text(&["whoami"]).await, "ada");
    let email = setting.text(&["profile", "get", "email"]).await;
    assert!(email.starts_with("ada@garden.test"), "{email}");
    setting.text(&["profile", "set", "email", "a@garden.test"]).await;
    let email = setting.text(&["profile", "get", "email"]).await;
    assert!(email.starts_with("a@garden.test"), "{email}");

    let password = format!("--password={PASSWORD}");
    let create = ["token", "create", &password, "--name=ci", "--cidr=192.0.2.0/24", "--json"];
    let made: Value = serde_json::from_str(&setting.text(&create).await).expect("JSON");
    // npm blackens the token itself in JSON
    assert_eq!((&made["name"], &made["readonly"]), (&Value::from("ci"), &Value::from(false)));
    let listed = setting.text(&["token", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let rows = listed.as_array().expect("a list");
    assert_eq!(rows.len(), 2, "{listed}");
    let ci = rows.iter().find(|row| row["name"] == "ci").expect("the new token");
    assert_eq!(ci["cidr_whitelist"][0], "192.0.2.0/24");
    setting.text(&["token", "revoke", ci["id"].as_str().expect("an id")]).await;
    let left = setting.text(&["token", "list", "--json"]).await;
    let left: Value = serde_json::from_str(&left).expect("JSON");
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");

    setting.text(&["logout"]).await;
    assert_eq!(setting.token(), None);
    setting.mirror.get("/-/whoami").token(&first).send().await.expect(401);

    let login = setting.npm(&["login", "--auth-type=legacy"]);
    blocking(move || {
        let mut talk = Talk::start(login);
        for (words, answer) in [("Username:", "ada"), ("Password:", PASSWORD)] {
            talk.until(words, "");
            talk.answer(answer);
        }
        talk.end()
    })
    .await;
    assert_eq!(setting.text(&["whoami"]).await, "ada");
    setting.mirror.finish().await;
}

#[tokio::test]
async fn npm_logs_in_with_a_browser_and_the_others_use_its_token() {
    let _turn = TURN.lock().await;
    let Some(setting) = Setting::new().await else { return };
    register(&setting.mirror, "ada").await;
    let login = setting.npm(&["login", "--auth-type=web", "--browser=false"]);
    let base = setting.mirror.url();
    let (talk, path) = blocking(move || {
        let mut talk = Talk::start(login);
        let path = talk.until(&base, "\n");
        (talk, path)
    })
    .await;
    let page = setting.mirror.get(&path).send().await.expect(200);
    let (form, cookie) = form_of(&page);
    let fields = [("form", form.as_str()), ("name", "ada"), ("password", PASSWORD)];
    send(&setting.mirror, &path, &cookie, &fields).await.expect(200);
    blocking(move || talk.end()).await;
    assert_eq!(setting.text(&["whoami"]).await, "ada");
    let token = setting.token().expect("a token");

    let tools = repository().join("target/clients/tools/node_modules");
    if tools.is_dir() {
        assert_eq!(ended_well(setting.pnpm(&tools)).await, "ada");
        let said = ended_well(setting.berry(&tools, &token)).await;
        assert!(said.contains("ada"), "{said}");
    } else {
        eprintln!("left out: run scripts/clients/prepare small to test with pnpm and yarn");
    }
    setting.mirror.finish().await;
}
