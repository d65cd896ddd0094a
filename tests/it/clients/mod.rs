//! Software nobody here wrote: package managers install applications through the mirror, whose
//! upstream is a Verdaccio process holding what those package managers fetched before.
//!
//! `scripts/clients/prepare small` gets what is needed (the network is used there and only there);
//! without it these tests say that they were left out. `scripts/clients/run` adds the large
//! application with all four clients.

mod access;
mod accounts;
mod applications;
mod audits;
mod hooks;
mod npm_commands;
mod publishing;
mod search;
mod signatures;
mod verdaccio;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tokio::sync::{Mutex, MutexGuard};

use self::verdaccio::Verdaccio;
use crate::harness::TestMirror;

/// One Verdaccio and one package manager at a time: both are heavy.
static TURN: Mutex<()> = Mutex::const_new(());

/// A prepared upstream with a mirror in front of it.
struct Setting {
    app: &'static str,
    verdaccio: Verdaccio,
    mirror: TestMirror,
    scratch: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Setting {
    /// `None`, with a word about it, where the application was not prepared.
    async fn prepared(app: &'static str) -> Option<Self> {
        let folder = repository().join("target/clients").join(app);
        if !folder.join("ready").exists() {
            eprintln!("left out: run scripts/clients/prepare {app} to test with real clients");
            return None;
        }
        let turn = TURN.lock().await;
        let verdaccio = Verdaccio::start(&folder).await;
        let url = verdaccio.url().parse().expect("an address");
        let mirror = TestMirror::builder().asks(|settings| settings.url = url).start().await;
        let scratch = tempfile::tempdir().expect("a scratch folder");
        Some(Self { app, verdaccio, mirror, scratch, _turn: turn })
    }

    /// A new folder with the application's manifest and these lockfiles of the preparation.
    fn application(&self, name: &str, locks: &[&str]) -> PathBuf {
        let folder = self.scratch.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let source = repository().join("scripts/clients/apps").join(self.app);
        copy(&source.join("package.json"), &folder.join("package.json"));
        for lock in locks {
            copy(&self.lock(lock), &folder.join(lock));
        }
        folder
    }

    /// A lockfile made while the upstream was filled, before the mirror existed.
    fn lock(&self, name: &str) -> PathBuf {
        repository().join("target/clients").join(self.app).join("locks").join(name)
    }

    /// Installs with a client whose caches are empty; `frozen` as the lockfile says.
    async fn install(&self, client: &str, folder: &Path, frozen: bool) {
        let mut command = Command::new(repository().join("scripts/clients/install"));
        command.arg(client).arg(format!("{}/", self.mirror.url())).arg(folder);
        if frozen {
            command.arg("frozen");
        }
        let output = run(command).await;
        assert!(
            output.status.success(),
            "{client} (frozen: {frozen}) failed:\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let modules = folder.join("node_modules");
        assert!(modules.is_dir(), "{client} installed nothing");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// An npm that tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Npm {
    /// The one of this machine.
    Here,
    /// The last one before npm 11, of the prepared tools.
    Ten,
}

impl Npm {
    /// Those that are here, with a word about each that is not.
    fn all() -> Vec<Self> {
        let mut found = vec![];
        match Command::new("npm").arg("--version").output() {
            Ok(_) => found.push(Self::Here),
            Err(_) => eprintln!("left out: there is no npm here"),
        }
        match tools() {
            Some(tools) if tools.join("npm10").is_dir() => found.push(Self::Ten),
            _ => eprintln!("left out: run scripts/clients/prepare small to test with npm 10"),
        }
        found
    }

    /// npm with settings, cache and home of its own, in a folder.
    fn command(self, registry: &str, home: &Path, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = match self {
            Self::Here => Command::new("npm"),
            Self::Ten => {
                let mut command = Command::new("node");
                command.arg(tools_folder().join("npm10/bin/npm-cli.js"));
                command
            }
        };
        command
            .args(arguments)
            .arg(format!("--registry={registry}/"))
            .args(["--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier"])
            .current_dir(folder);
        with_home(&mut command, home);
        command
    }
}

/// The machine's npm.
fn npm_command(registry: &str, home: &Path, folder: &Path, arguments: &[&str]) -> Command {
    Npm::Here.command(registry, home, folder, arguments)
}

fn tools_folder() -> PathBuf {
    repository().join("target/clients/tools/node_modules")
}

/// The package managers that were prepared.
fn tools() -> Option<PathBuf> {
    Some(tools_folder()).filter(|folder| folder.is_dir())
}

/// Keeps all that a client reads and writes of its user in a folder, and what is there already. Of
/// this machine's environment it sees the paths alone: clients behave differently under `CI` or
/// without `TERM`.
fn with_home(command: &mut Command, home: &Path) {
    std::fs::create_dir_all(home).expect("a folder");
    for file in ["user-npmrc", "global-npmrc"] {
        let path = home.join(file);
        if !path.exists() {
            std::fs::write(path, "").expect("a file");
        }
    }
    command.env_clear();
    for name in ["PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("TERM", "xterm")
        .env("HOME", home)
        .env("npm_config_userconfig", home.join("user-npmrc"))
        .env("npm_config_globalconfig", home.join("global-npmrc"))
        .env("npm_config_cache", home.join("cache"))
        // yarn 1 keeps root's settings and caches outside of its home otherwise
        .env("FAKEROOTKEY", "1");
}

/// Runs a command to its end while the mirror goes on in this process.
async fn run(mut command: Command) -> Output {
    let running = tokio::task::spawn_blocking(move || command.output());
    running.await.expect("no panic").expect("the command starts")
}
