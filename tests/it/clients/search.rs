//! `npm search` and `pnpm search`, for people and for programs.

use std::process::Command;

use serde_json::{Value, json};

use super::{TURN, repository, run, with_home};
use crate::harness::Package;
use crate::search::{finds, searching};

#[tokio::test]
async fn npm_and_pnpm_search_what_is_here() {
    if Command::new("npm").arg("--version").output().is_err() {
        eprintln!("left out: npm is not installed");
        return;
    }
    let _turn = TURN.lock().await;
    let lamp = |name: &str, says: &str| {
        Package::new(name).version_with("1.0.0", |version| {
            let version = version.member("description", json!(says));
            let version = version.member("keywords", json!(["light", "room"]));
            version.member("_npmUser", json!({"name": "ada", "email": "ada@garden.example"}))
        })
    };
    let mirror =
        searching(&[lamp("lamp", "Light for a room"), lamp("@garden/lamp", "Outside")]).await;
    finds(&mirror, "lamp", &["lamp", "@garden/lamp"]).await;
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let (url, home) = (mirror.url(), scratch.path().join("home"));
    let search = |program: &[&str], words: &[&str]| {
        let (program, first) = program.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(first).arg("search").args(words).arg(format!("--registry={url}/"));
        command.current_dir(scratch.path());
        with_home(&mut command, &home);
        command
    };
    let pnpm = repository().join("target/clients/tools/node_modules/pnpm/bin/pnpm.cjs");
    let pnpm = pnpm.to_str().expect("a path").to_owned();
    let pnpm = ["node", &pnpm];
    let mut programs: Vec<&[&str]> = vec![&["npm"]];
    if std::path::Path::new(pnpm[1]).exists() {
        programs.push(&pnpm);
    }
    for program in programs {
        let said = run(search(program, &["lamp"])).await;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let errors = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{program:?}: {text} {errors}");
        for part in ["@garden/lamp", "Light for a room", "1.0.0", "ada"] {
            assert!(text.contains(part), "{program:?} does not show {part}: {text}");
        }
        let said = run(search(program, &["lamp", "--json"])).await;
        let found: Vec<Value> = serde_json::from_slice(&said.stdout).expect("a list as JSON");
        let names: Vec<_> = found.iter().map(|one| one["name"].as_str()).collect();
        assert_eq!(names, [Some("lamp"), Some("@garden/lamp")], "{program:?}");
        assert_eq!(found[0]["version"], "1.0.0");
        assert_eq!(found[0]["keywords"], json!(["light", "room"]));
        let said = run(search(program, &["nothing-of-the-kind", "--json"])).await;
        let none: Vec<Value> = serde_json::from_slice(&said.stdout).expect("an empty list");
        assert!(none.is_empty(), "{program:?}");
    }
    mirror.finish().await;
}
