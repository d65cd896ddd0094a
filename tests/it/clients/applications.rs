//! Whole applications: cold, warm, by lockfile, and with the upstream gone.

use std::path::Path;

use serde_json::Value;

use super::Setting;

#[tokio::test]
async fn npm_and_pnpm_install_an_application_cold_warm_and_without_upstream() {
    let Some(mut setting) = Setting::prepared("small").await else { return };
    // Cold, by a lockfile made without the mirror: its integrity is upstream's own.
    let npm = setting.application("npm", &["package-lock.json"]);
    setting.install("npm", &npm, true).await;
    let pnpm = setting.application("pnpm", &["pnpm-lock.yaml"]);
    setting.install("pnpm", &pnpm, true).await;
    // Without a lockfile: the same versions with the same integrity, from our addresses.
    let resolved = setting.application("npm-resolves", &[]);
    setting.install("npm", &resolved, false).await;
    same_lock(&setting, &resolved, 60);
    let resolved = setting.application("pnpm-resolves", &[]);
    setting.install("pnpm", &resolved, false).await;
    let ours = std::fs::read_to_string(resolved.join("pnpm-lock.yaml")).expect("a lockfile");
    let theirs = std::fs::read_to_string(setting.lock("pnpm-lock.yaml")).expect("a lockfile");
    assert_eq!(ours, theirs);
    // Warm, and nobody to ask.
    setting.verdaccio.stop();
    setting.install("npm", &npm, true).await;
    setting.install("pnpm", &pnpm, true).await;
    setting.mirror.finish().await;
}

#[tokio::test]
async fn all_four_clients_install_a_large_application() {
    if std::env::var_os("ESPEJO_LARGE_CLIENTS").is_none() {
        eprintln!("left out: the large application (scripts/clients/run)");
        return;
    }
    let mut setting = Setting::prepared("large").await.expect("scripts/clients/run prepares it");
    let clients = [
        ("npm", "package-lock.json"),
        ("pnpm", "pnpm-lock.yaml"),
        ("yarn", "yarn.lock"),
        ("berry", "yarn.lock"),
    ];
    let mut folders = Vec::new();
    for (client, lock) in clients {
        let folder = setting.application(client, &[]);
        setting.install(client, &folder, false).await;
        let bytes = std::fs::metadata(folder.join(lock)).expect("a lockfile").len();
        let modules = modules(&folder.join("node_modules"));
        println!("{client}: cold, {modules} package folders, lockfile of {bytes} bytes");
        assert!(modules >= 500, "{client} installed {modules} packages");
        folders.push((client, folder));
    }
    same_lock(&setting, &folders[0].1, 500);
    setting.verdaccio.stop();
    for (client, folder) in &folders {
        setting.install(client, folder, true).await;
        println!("{client}: warm and by its lockfile, upstream gone");
    }
    setting.mirror.finish().await;
}

/// The lockfile npm just made has upstream's versions and integrity, and our addresses.
fn same_lock(setting: &Setting, folder: &Path, at_least: usize) {
    let read = |path: &Path| -> Value {
        let text = std::fs::read(path).expect("a lockfile");
        serde_json::from_slice(&text).expect("JSON")
    };
    let ours = read(&folder.join("package-lock.json"));
    let theirs = read(&setting.lock("package-lock.json"));
    let ours = ours["packages"].as_object().expect("packages");
    let theirs = theirs["packages"].as_object().expect("packages");
    assert!(ours.len() > at_least, "{} packages", ours.len());
    let keys = |lock: &serde_json::Map<String, Value>| lock.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(ours), keys(theirs));
    for (path, package) in ours.iter().filter(|(path, _)| !path.is_empty()) {
        for field in ["version", "integrity"] {
            assert_eq!(package[field], theirs[path][field], "{field} of {path}");
        }
        let resolved = package["resolved"].as_str().expect("an address");
        assert!(resolved.starts_with(&setting.mirror.url()), "{path} comes from {resolved}");
    }
}

/// Installed packages below a `node_modules`, pnpm's own store folder included.
fn modules(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
            continue; // pnpm links what its own folder below holds
        }
        if name == ".pnpm" {
            count += std::fs::read_dir(&path).into_iter().flatten().count();
        } else if name.to_string_lossy().starts_with('@') {
            count += modules(&path);
        } else if path.join("package.json").exists() {
            count += 1 + modules(&path.join("node_modules"));
        }
    }
    count
}
