//! npm's own `libnpmhook` and npm 10 make hooks here, and a receiver in Python checks what it gets.

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{Npm, TURN, repository, run};
use crate::harness::{Package, TestMirror, TokenKind};

const SECRET: &str = "s3cr3t for Python";

/// What the script does with npm's library; each step prints a line.
const SCRIPT: &str = r#"
const hook = require('libnpmhook');
const [registry, token, endpoint, secret, step, id] = process.argv.slice(1);
const host = new URL(registry);
const opts = { registry, [`//${host.host}/:_authToken`]: token };
const steps = {
  async add() {
    const made = await hook.add('lamp', endpoint, 'another secret', opts);
    await hook.add('@garden', endpoint, secret, opts);
    await hook.add('~eve', endpoint, secret, opts);
    return made.id;
  },
  async look() {
    const all = await hook.ls(opts);
    const some = await hook.ls({ ...opts, package: 'lamp', limit: 5, offset: 0 });
    const one = await hook.find(id, opts);
    return [all.map((one) => `${one.type} ${one.name}`), some.length, one.endpoint === endpoint, one.secret];
  },
  async update() {
    const changed = await hook.update(id, endpoint, secret, opts);
    return changed.status;
  },
  async rm() {
    const gone = await hook.rm(id, opts);
    return [typeof gone.deleted, await hook.rm(id, opts)];
  },
};
steps[step]().then((said) => console.log(JSON.stringify(said)));
"#;

/// Where libnpmhook is; `None`, with a word about it, where nobody installed it.
fn modules() -> Option<PathBuf> {
    let given = std::env::var_os("HOOK_CLIENT_MODULES").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| repository().join("target/clients/tools/node_modules"));
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    if !folder.join("libnpmhook").exists() || !has_python {
        eprintln!("left out: scripts/clients/prepare small gets libnpmhook; python3 is needed too");
        return None;
    }
    Some(folder)
}

/// The receiver; ends with its value.
struct Receiver {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
}

impl Receiver {
    fn start() -> Self {
        let script = repository().join("tests/it/clients/hook_receiver.py");
        let mut command = Command::new("python3");
        let mut child =
            command.arg(script).arg(SECRET).stdout(Stdio::piped()).spawn().expect("python3 starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let port = lines.next().expect("a line").expect("a readable line");
        Self { child, lines, port: port.parse().expect("a port") }
    }

    fn next(&mut self) -> String {
        self.lines.next().expect("a receiver that goes on").expect("a readable line")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_s_library_makes_hooks_and_a_receiver_in_another_language_believes_them() {
    let Some(modules) = modules() else { return };
    let packages = ["lamp", "@garden/ui"].map(|name| Package::new(name).version("1.0.0"));
    let mirror = TestMirror::builder()
        .packages(&packages)
        .engine(|engine| {
            engine.hooks.allow_private = vec!["127.0.0.1/32".parse().expect("a range")];
        })
        .start()
        .await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let mut receiver = Receiver::start();
    let endpoint = format!("http://127.0.0.1:{}/in", receiver.port);
    let registry = format!("{}/", mirror.url());
    let step = async |step: &str, id: &str| -> serde_json::Value {
        let mut node = Command::new("node");
        node.env("NODE_PATH", &modules).args(["-e", SCRIPT, "--"]);
        node.args([&registry, &token, &endpoint, SECRET, step, id]);
        let output = run(node).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{step}: {told}");
        serde_json::from_slice(&output.stdout).expect("a line of JSON")
    };
    let id = step("add", "").await.as_str().expect("an id").to_owned();
    let seen = step("look", &id).await;
    let all = serde_json::json!(["package lamp", "scope @garden", "owner eve"]);
    assert_eq!(seen, serde_json::json!([all, 1, true, null]));
    assert_eq!(step("update", &id).await, "active");
    mirror.sync(&["lamp", "@garden/ui"]).await;
    let told = tokio::task::spawn_blocking(move || {
        let mut told: Vec<String> = (0..4).map(|_| receiver.next()).collect();
        told.sort();
        (told, receiver)
    });
    let (told, _receiver) = told.await.expect("no panic");
    let expected = [
        "good package:dist-tag @garden/ui ada",
        "good package:dist-tag lamp ada",
        "good package:publish @garden/ui ada",
        "good package:publish lamp ada",
    ];
    assert_eq!(told, expected);
    assert_eq!(step("rm", &id).await, serde_json::json!(["string", null]));
    mirror.finish().await;
}

/// npm 11 has lost the command, which is why npm 10 is asked.
#[tokio::test(flavor = "multi_thread")]
async fn npm_hook_adds_lists_changes_and_removes_hooks() {
    let npms = Npm::all();
    let Some(npm) = npms.into_iter().find(|npm| matches!(npm, Npm::Ten)) else {
        eprintln!("left out: scripts/clients/prepare small gets npm 10");
        return;
    };
    let _turn = TURN.lock().await;
    let mirror = TestMirror::builder().packages(&[Package::new("lamp").version("1.0.0")]);
    let mirror = mirror
        .engine(|engine| {
            engine.hooks.allow_private = vec!["127.0.0.1/32".parse().expect("a range")];
        })
        .start()
        .await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let home = scratch.path().join("home");
    std::fs::create_dir_all(&home).expect("a folder");
    let host = mirror.url().replace("http:", "");
    std::fs::write(home.join("user-npmrc"), format!("{host}/:_authToken={token}\n"))
        .expect("a file");
    let hook = async |arguments: &[&str]| -> (bool, String) {
        let arguments = [&["hook"], arguments].concat();
        let output = run(npm.command(&mirror.url(), &home, scratch.path(), &arguments)).await;
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    // nobody listens there: hooks are made without a call
    let (first, second) = ("http://127.0.0.1:9/one", "http://127.0.0.1:9/two");
    for (subject, shown) in [("lamp", "lamp"), ("@garden", "@garden"), ("~eve", "~eve")] {
        let (ended_well, said) = hook(&["add", subject, first, SECRET]).await;
        assert!(ended_well && said.contains(&format!("+ {shown} ")), "{said}");
    }
    let (ended_well, said) = hook(&["ls"]).await;
    assert!(ended_well && said.contains("You have 3 hooks configured."), "{said}");
    assert!(said.contains("~eve") && said.contains("Never triggered"), "{said}");
    let (ended_well, said) = hook(&["ls", "lamp", "--json"]).await;
    assert!(ended_well, "{said}");
    let listed: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");

    let (ended_well, said) = hook(&["update", &id, second, SECRET]).await;
    assert!(ended_well && said.contains(second), "{said}");
    let (ended_well, said) = hook(&["rm", &id]).await;
    assert!(ended_well && said.contains("- lamp"), "{said}");
    // npm stumbles over the 404 that its own library makes nothing of
    let (ended_well, said) = hook(&["rm", &id]).await;
    assert!(!ended_well, "{said}");
    let (_, said) = hook(&["ls"]).await;
    assert!(said.contains("You have 2 hooks configured.") && !said.contains(second), "{said}");
    let (ended_well, said) = hook(&["add", "lamp", "http://10.0.0.1/in", SECRET]).await;
    assert!(!ended_well && said.contains("10.0.0.1"), "{said}");
    mirror.finish().await;
}
