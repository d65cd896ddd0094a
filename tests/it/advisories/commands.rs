//! `espejo advisories`.

use std::fs;

use serde_json::json;

use super::record;
use crate::harness::Espejo;

#[test]
fn records_are_loaded_from_files_lines_and_folders_and_forgotten_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let espejo = Espejo::new(&folder.path().join("espejo-data"));
    let records = folder.path().join("records");
    fs::create_dir_all(records.join("deep")).expect("a folder");
    let write = |name: &str, text: String| fs::write(records.join(name), text).expect("a file");
    write("one.json", record("GHSA-1", "lamp", "1.2.3").to_string());
    write("deep/two.json", record("GHSA-2", "@garden/ui", "2.0.0").to_string());
    write("readme.txt", "not looked at".to_owned());
    let path = records.display().to_string();

    let none = espejo.run(&["advisories", "status"]).expect(0);
    assert!(none.stdout.contains("passed on to the upstream"), "{}", none.stdout);
    let loaded = espejo.run(&["advisories", "load", &path]).expect(0);
    assert_eq!(
        loaded.stdout.trim(),
        "Loaded 2 records about 2 packages (0 withdrawn, 0 left out)."
    );
    let listed = espejo.run(&["advisories", "list", "lamp", "--json"]).expect(0).json();
    assert_eq!(listed["advisories"][0]["record"], json!("GHSA-1"));
    assert_eq!(listed["advisories"].as_array().expect("rows").len(), 1);

    // a line of another file takes the place of what a record said, and one that is none is told
    let mut gone = record("GHSA-2", "@garden/ui", "2.0.0");
    gone["withdrawn"] = json!("2026-01-01T00:00:00Z");
    let lines = format!("{}\n\n{gone}\nnonsense\n", record("GHSA-1", "lamp", "3.0.0"));
    let file = folder.path().join("more.jsonl");
    fs::write(&file, lines).expect("a file");
    let partly = espejo.run(&["advisories", "load", &file.display().to_string()]).expect(3);
    assert!(partly.stdout.contains("(1 withdrawn, 1 left out)"), "{}", partly.stdout);
    assert!(partly.stderr.contains("more.jsonl:4"), "{}", partly.stderr);
    let status = espejo.run(&["advisories", "status", "--json"]).expect(0).json();
    assert_eq!((&status["records"], &status["packages"]), (&json!(1), &json!(1)));

    espejo.run(&["advisories", "load", "/nowhere/at/all"]).expect(2);
    espejo.run(&["advisories", "clear"]).expect(0);
    let empty = espejo.run(&["advisories", "list"]).expect(0);
    assert!(empty.stdout.contains("No advisories"), "{}", empty.stdout);
}
