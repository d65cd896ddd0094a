//! `npm audit signatures` through the mirror, over packages signed with keys made here.
//!
//! npm looks into a public repository of Sigstore first, where no mirror has keys, and then asks
//! the registry. Nothing here may leave this machine, so that look is answered "not there" by a
//! few lines loaded before npm; the rest is npm's own.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use super::{TURN, npm_command, run};
use crate::harness::{KEYS_PATH, Package, Signer, TestMirror, key_list};

const NOT_IN_SIGSTORE: &str = r#"
const Module = require('module')
const load = Module._load
const none = async () => {
  throw Object.assign(new Error('no such target'), { code: 'TUF_FIND_TARGET_ERROR' })
}
Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest)
  if (request !== '@sigstore/tuf') { return loaded }
  return { ...loaded, initTUF: async () => ({ getTarget: none }) }
}
"#;

struct Npm<'a> {
    url: String,
    scratch: &'a Path,
}

impl Npm<'_> {
    /// Runs npm in the application's folder with an empty cache.
    async fn run(&self, cache: &str, arguments: &[&str]) -> Output {
        let folder = self.scratch.join("app");
        let home = self.scratch.join(cache);
        let mut command = npm_command(&self.url, &home, &folder, arguments);
        let preload = self.scratch.join("not-in-sigstore.js");
        std::fs::write(&preload, NOT_IN_SIGSTORE).expect("a file");
        command.env("NODE_OPTIONS", format!("--require={}", preload.display()));
        run(command).await
    }

    async fn audit(&self, cache: &str) -> (bool, String) {
        let output = self.run(cache, &["audit", "signatures"]).await;
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

fn packages() -> [Package; 2] {
    [Package::new("lamp").version("1.0.0"), Package::new("@garden/ui").version("1.0.0")]
}

#[tokio::test]
async fn npm_audit_signatures_passes_through_the_mirror_and_without_upstream() {
    if Command::new("npm").arg("--version").output().is_err() {
        eprintln!("left out: npm is not installed");
        return;
    }
    let _turn = TURN.lock().await;
    let signer = Signer::new("SHA256:of-this-test");
    let signed = packages().map(|package| signer.signed(package));
    let mut mirror = TestMirror::with(&signed).await;
    mirror.upstream.put_json(KEYS_PATH, &key_list(&[signer.key(None)]));
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let app = scratch.path().join("app");
    std::fs::create_dir_all(&app).expect("a folder");
    let manifest =
        r#"{"name":"app","version":"1.0.0","dependencies":{"lamp":"1.0.0","@garden/ui":"1.0.0"}}"#;
    std::fs::write(app.join("package.json"), manifest).expect("a file");
    let npm = Npm { url: mirror.url(), scratch: scratch.path() };

    let installed = npm.run("first", &["install"]).await;
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let (passed, said) = npm.audit("first").await;
    assert!(passed && said.contains("2 packages have verified registry signatures"), "{said}");

    let mut forged = signed[0].clone();
    let other = signer.sign("lamp@1.0.0:sha512-of-something-else");
    forged.versions[0].dist.insert("signatures".into(), json!([other]));
    mirror.upstream.publish(&forged);
    mirror.sync(&["lamp"]).await;
    let (passed, said) = npm.audit("second").await;
    assert!(!passed && said.contains("lamp@1.0.0") && said.contains("invalid"), "{said}");

    mirror.upstream.publish(&signed[0]);
    mirror.sync(&["lamp"]).await;
    mirror.upstream.go_down();
    mirror.restart().await;
    let (passed, said) = npm.audit("third").await;
    assert!(passed && said.contains("2 packages have verified registry signatures"), "{said}");
    mirror.finish().await;
}
