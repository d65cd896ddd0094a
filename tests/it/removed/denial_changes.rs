//! Rules that come, go and have exceptions while the server runs; rows that are older than rules.

use actors::clock::now_ms;
use actors::deny::DenyRules;
use actors::hold::HoldPolicy;
use bytes::Bytes;
use npm::{ManifestDigest, Sha512Digest};
use serde_json::json;
use store::audit::{self, AuditFilter};
use store::{
    CommitBatch, DocumentChange, DocumentEncoding, PackageChange, PackageStatus, VersionChange,
    VersionState,
};

use super::lamp;
use crate::harness::{Answer, Package, TestMirror, TokenKind};

const RELEASE: &str = "/-/package/lamp/releases/1.1.0";

fn no_gpl() -> DenyRules {
    DenyRules { licences: vec!["GPL".to_owned()], ..DenyRules::default() }
}

fn no_lamp() -> DenyRules {
    DenyRules { names: vec!["lamp".to_owned()], ..DenyRules::default() }
}

/// 1.1.0 is under the GPL and runs a script.
fn package() -> Package {
    Package::new("lamp").version("1.0.0").version_with("1.1.0", |version| {
        version.member("license", json!("GPL")).member("scripts", json!({"install": "make"}))
    })
}

async fn synced() -> TestMirror {
    let mirror = TestMirror::with(&[package()]).await;
    mirror.sync(&["lamp"]).await;
    mirror
}

fn set(mirror: &TestMirror, rules: DenyRules) {
    mirror.engine().change_reader_rules(HoldPolicy::default(), rules);
}

async fn gives(mirror: &TestMirror, status: u16) {
    for target in ["/lamp/1.1.0", &lamp().tarball_path("1.1.0")] {
        super::becomes(mirror, target, status).await;
    }
}

async fn ask(mirror: &TestMirror, method: &str, path: &str, token: &str) -> Answer {
    mirror.request(method, path).token(token).send().await
}

#[tokio::test]
async fn rules_come_and_go_while_the_server_runs() {
    let mirror = synced().await;
    gives(&mirror, 200).await;
    let before = mirror.get("/lamp").send().await.expect(200);
    for _ in 0..2 {
        set(&mirror, no_gpl());
        gives(&mirror, 451).await;
        super::shows(&mirror, &["1.0.0"]).await;
        let etag = before.must("etag");
        mirror.get("/lamp").header("if-none-match", etag).send().await.expect(200);
        set(&mirror, no_lamp());
        super::becomes(&mirror, "/lamp", 451).await;
        gives(&mirror, 451).await;
        set(&mirror, DenyRules::default());
        gives(&mirror, 200).await;
        super::shows(&mirror, &["1.0.0", "1.1.0"]).await;
        mirror.get("/lamp").header("if-none-match", etag).send().await.expect(304);
    }
    let hold =
        HoldPolicy { time: std::time::Duration::from_secs(1 << 33), ..HoldPolicy::default() };
    mirror.engine().change_reader_rules(hold, DenyRules::default());
    super::becomes(&mirror, "/lamp/1.1.0", 403).await;
    mirror.finish().await;
}

#[tokio::test]
async fn an_admin_lets_a_denied_version_through_and_takes_that_back() {
    let mirror = synced().await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    let (user, _) = mirror.token("me", TokenKind::User).await;
    for rules in [no_gpl(), no_lamp()] {
        set(&mirror, rules);
        gives(&mirror, 451).await;
        ask(&mirror, "PUT", RELEASE, &user).await.expect(403);
        ask(&mirror, "DELETE", RELEASE, &user).await.expect(403);
        ask(&mirror, "PUT", RELEASE, &root).await.expect(201);
        gives(&mirror, 200).await;
        let tags = mirror.get("/-/package/lamp/dist-tags").send().await.expect(200).json();
        assert_eq!(tags, json!({"latest": "1.1.0"}));
        for _ in 0..2 {
            let done = ask(&mirror, "DELETE", RELEASE, &root).await.expect(200).json();
            assert_eq!(done, json!({"ok": true}), "also when there is none");
            gives(&mirror, 451).await;
        }
    }
    mirror.request("DELETE", RELEASE).send().await.expect(401);
    ask(&mirror, "DELETE", "/-/package/ghost/releases/1.0.0", &root).await.expect(404);
    ask(&mirror, "POST", RELEASE, &root).await.expect(405);
    let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
    let log = mirror.store().read(move |rows| audit::list(rows, &filter)).await.expect("a log");
    let told: Vec<_> = log.iter().map(|row| (&*row.action, &*row.subject, &*row.by.who)).collect();
    let back = ("hold.take_back", "lamp@1.1.0", "root");
    let released = ("hold.release", "lamp@1.1.0", "root");
    assert_eq!(told, [back, released, back, released]);
    mirror.finish().await;
}

#[tokio::test]
async fn of_a_denied_name_only_the_released_version_is_given_out() {
    let mirror = synced().await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    set(&mirror, no_lamp());
    super::becomes(&mirror, "/lamp", 451).await;
    ask(&mirror, "PUT", RELEASE, &root).await.expect(201);
    super::shows(&mirror, &["1.1.0"]).await;
    gives(&mirror, 200).await;
    for target in ["/lamp/1.0.0", &lamp().tarball_path("1.0.0")] {
        super::becomes(&mirror, target, 451).await;
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_manifest_that_changes_is_judged_anew() {
    let mirror = synced().await;
    set(&mirror, no_gpl());
    gives(&mirror, 451).await;
    let relicensed = Package::new("lamp").version("1.0.0").version_with("1.1.0", |version| {
        version.member("license", json!("MIT")).member("scripts", json!({"install": "make"}))
    });
    mirror.upstream.publish(&relicensed);
    mirror.sync(&["lamp"]).await;
    super::becomes(&mirror, "/lamp/1.1.0", 200).await;
    super::shows(&mirror, &["1.0.0", "1.1.0"]).await;
    mirror.finish().await;
}

/// Rows as they were written before facts were: the package above, and 0.9.0, which is in no
/// document any more.
async fn old_rows(mirror: &TestMirror) {
    let document = Bytes::from(package().document("http://127.0.0.1:9"));
    let digest = Sha512Digest::of(&document);
    let store = mirror.store();
    let location = store.blobs().put(digest, document.clone()).await.expect("room");
    let versions = ["0.9.0", "1.0.0", "1.1.0"].map(|version| VersionChange {
        version: version.to_owned(),
        manifest: ManifestDigest([1; 16]),
        tarball_url: Some(format!("http://127.0.0.1:9/lamp/-/lamp-{version}.tgz")),
        tarball_file: format!("lamp-{version}.tgz"),
        expected: Some(Sha512Digest::of(version.as_bytes()).to_sri()),
        state: VersionState::Remote,
        blob: None,
        size_bytes: None,
        reason: None,
        signature: None,
        published_at_ms: None,
        facts: None,
    });
    let size = location.length;
    let change = PackageChange {
        checked_at_ms: now_ms(),
        document: Some(DocumentChange {
            digest,
            location,
            encoding: DocumentEncoding::Identity,
            stored_bytes: size,
            body_bytes: size,
            upstream_rev: None,
            added_version: None,
            dist_tags: vec![("latest".to_owned(), "1.1.0".to_owned())],
            modified: None,
            status: PackageStatus::Live,
        }),
        versions: versions.into(),
        blobs: vec![(digest, location)],
        ..PackageChange::new("lamp".parse().expect("a name"), "sync")
    };
    let committed = tokio::task::spawn_blocking(move || {
        let mut batch = CommitBatch { writes: Vec::new(), changes: vec![change] };
        store.writer_blocking()?.commit_blocking(&mut batch)
    });
    let outcome = committed.await.expect("no panic").expect("a commit");
    assert!(outcome.changes.iter().all(Result::is_ok));
}

#[tokio::test]
async fn rows_older_than_the_facts_get_them_from_the_document_before_anything_is_served() {
    let scripts = || DenyRules { install_scripts: true, ..DenyRules::default() };
    let size = DenyRules { larger_than_bytes: 1 << 20, ..DenyRules::default() };
    let old = "/lamp/-/lamp-0.9.0.tgz";
    // the first thing that is asked for is the document, then a manifest, then a tarball
    for first in ["/lamp", "/lamp/1.1.0", "/lamp/-/lamp-1.1.0.tgz"] {
        let builder = TestMirror::builder().engine(|engine| engine.policy.deny = scripts());
        let mirror = builder.start().await;
        old_rows(&mirror).await;
        let answer = mirror.get(first).send().await;
        assert_eq!(answer.status, if first == "/lamp" { 200 } else { 451 }, "{first}");
        let whole = mirror.get("/lamp").send().await.expect(200).json();
        assert!(
            whole["versions"].get("1.1.0").is_none() && whole["versions"].get("1.0.0").is_some()
        );
        mirror.get("/lamp/-/lamp-1.1.0.tgz").send().await.expect(451);
        let refused = mirror.get(old).send().await.expect(451).error();
        assert!(refused.contains("lamp@0.9.0 is denied: its manifest is not here"), "{refused}");
        set(&mirror, no_gpl());
        super::becomes(&mirror, "/lamp/1.1.0", 451).await;
        let why = mirror.get("/lamp/1.1.0").send().await.error();
        assert!(why.contains("its licence \"GPL\" matches"), "{why}");
        mirror.get("/lamp/1.0.0").send().await.expect(200);
        set(&mirror, size.clone());
        super::becomes(&mirror, "/lamp/1.1.0", 200).await;
        mirror.finish().await;
    }
}
