//! Rules of the settings (`security.deny_…`): what they deny is gone from documents and refused by
//! its name, and what else is asked for stays.

use actors::deny::DenyRules;
use serde_json::json;

use super::lamp;
use crate::harness::{Package, TestMirror, TokenKind, Version};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// 1.0.0 is harmless, 1.1.0 as `shape` makes it.
fn shaped(shape: impl FnOnce(Version) -> Version) -> Package {
    Package::new("lamp").version("1.0.0").version_with("1.1.0", shape)
}

async fn mirror_of(package: Package, rules: DenyRules) -> TestMirror {
    let builder = TestMirror::builder().packages(&[package]);
    builder.engine(|engine| engine.policy.deny = rules).start().await
}

async fn is_denied(mirror: &TestMirror, why: &str) {
    super::shows(mirror, &["1.0.0"]).await;
    // its row is there a moment after a miss was served
    super::becomes(mirror, "/lamp/1.1.0", 451).await;
    for accept in ["application/json", "application/vnd.npm.install-v1+json"] {
        let whole = mirror.get("/lamp").header("accept", accept).send().await.expect(200).json();
        assert_eq!(whole["blockVersions"], json!({"1.1.0": format!("denied: {why}")}));
        assert_eq!(whole["dist-tags"], json!({"latest": "1.0.0"}));
        assert_eq!(whole["time"].get("1.1.0"), None);
    }
    let tags = mirror.get("/-/package/lamp/dist-tags").send().await.expect(200).json();
    assert_eq!(tags, json!({"latest": "1.0.0"}));
    for spec in ["latest", "^1.0.0"] {
        let found = mirror.get(&format!("/lamp/{spec}")).send().await.expect(200).json();
        assert_eq!(found["version"], "1.0.0", "{spec}");
    }
    for target in ["/lamp/1.1.0".to_owned(), lamp().tarball_path("1.1.0")] {
        let refused = mirror.get(&target).send().await.expect(451);
        let text = format!("[UNAVAILABLE_FOR_LEGAL_REASONS] lamp@1.1.0 is denied: {why}");
        assert_eq!(refused.error(), text, "{target}");
        assert!(refused.must("npm-notice").contains("exception"));
        mirror.head(&target).send().await.expect(451);
    }
    mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
}

async fn is_given_out(mirror: &TestMirror) {
    super::becomes(mirror, "/lamp/1.1.0", 200).await;
    super::shows(mirror, &["1.0.0", "1.1.0"]).await;
    super::becomes(mirror, &lamp().tarball_path("1.1.0"), 200).await;
}

type Case = (fn(Version) -> Version, DenyRules, &'static str);

fn cases() -> Vec<Case> {
    let licences = |list: &[&str]| DenyRules { licences: texts(list), ..DenyRules::default() };
    let scripts = || DenyRules { install_scripts: true, ..DenyRules::default() };
    let size = DenyRules { larger_than_bytes: 1 << 20, ..DenyRules::default() };
    let runs = "installing it runs scripts of its own (security.deny_install_scripts)";
    vec![
        (
            |version| version.member("license", json!("GPL-3.0-only")),
            licences(&["AGPL*", "gpl*"]),
            "its licence \"GPL-3.0-only\" matches \"gpl*\" (security.deny_licences)",
        ),
        (
            |version| version.member("license", json!({"type": "Evil", "url": "http://h/"})),
            licences(&["Evil"]),
            "its licence \"Evil\" matches \"Evil\" (security.deny_licences)",
        ),
        (
            |version| version.member("license", json!(null)),
            licences(&["none"]),
            "it announces no licence (security.deny_licences)",
        ),
        (|version| version.member("scripts", json!({"postinstall": "node x"})), scripts(), runs),
        (|version| version.member("hasInstallScript", json!(true)), scripts(), runs),
        (|version| version.member("gypfile", json!(true)), scripts(), runs),
        (
            |version| version.dist("size", json!(3 << 20)).size(300),
            size,
            "its tarball has 3.0 MiB, more than 1.0 MiB (security.deny_larger_than)",
        ),
    ]
}

#[tokio::test]
async fn a_rule_about_versions_takes_them_out_of_everything_on_a_miss_and_after() {
    for (shape, rules, why) in cases() {
        let mut mirror = mirror_of(shaped(shape), rules).await;
        is_denied(&mirror, why).await;
        mirror.restart().await;
        is_denied(&mirror, why).await;
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_rule_about_versions_takes_them_out_of_what_was_synced() {
    for (shape, rules, why) in cases() {
        if rules.larger_than_bytes > 0 {
            continue; // the tarball itself counts then
        }
        let mirror = mirror_of(shaped(shape), rules).await;
        mirror.sync(&["lamp"]).await;
        is_denied(&mirror, why).await;
        mirror.finish().await;
    }
}

#[tokio::test]
async fn what_no_rule_is_about_stays() {
    let rules = DenyRules {
        names: texts(&["lamps", "@lamp/*", "*-lamp"]),
        licences: texts(&["GPL*", "none"]),
        larger_than_bytes: 1 << 20,
        install_scripts: true,
        except: Vec::new(),
    };
    let harmless = |version: Version| {
        version
            .member("license", json!("(GPL-3.0 OR MIT)"))
            .member("scripts", json!({"test": "x", "prepare": "y"}))
    };
    let mirror = mirror_of(shaped(harmless), rules).await;
    is_given_out(&mirror).await;
    let whole = mirror.get("/lamp").send().await.expect(200).json();
    assert_eq!(whole["blockVersions"], json!(null));
    mirror.finish().await;
}

#[tokio::test]
async fn the_tarball_that_is_here_counts_more_than_what_is_announced_of_it() {
    let rules = || DenyRules { larger_than_bytes: 100 << 10, ..DenyRules::default() };
    let lies = |version: Version| version.size(300).dist("size", json!(3 << 20));
    let mirror = mirror_of(shaped(lies), rules()).await;
    mirror.sync(&["lamp"]).await;
    is_given_out(&mirror).await;
    mirror.finish().await;
    let mirror = mirror_of(shaped(|version| version.size(300 << 10)), rules()).await;
    mirror.sync(&["lamp"]).await;
    let size = mirror.version("lamp", "1.1.0").await.size_bytes.expect("a size");
    let kib = format!("{}.{} KiB", size / 1024, size % 1024 * 10 / 1024);
    let why = format!("its tarball has {kib}, more than 100.0 KiB (security.deny_larger_than)");
    is_denied(&mirror, &why).await;
    mirror.finish().await;
}

#[tokio::test]
async fn a_tarball_of_unknown_size_is_refused_when_upstream_begins_to_send_it() {
    for payload in [300 << 10, 3 << 20] {
        let rules = DenyRules { larger_than_bytes: 100 << 10, ..DenyRules::default() };
        let mirror = mirror_of(shaped(move |version| version.size(payload)), rules).await;
        super::shows(&mirror, &["1.0.0", "1.1.0"]).await;
        let target = lamp().tarball_path("1.1.0");
        let refused = mirror.get(&target).send().await.expect(451).error();
        assert!(refused.contains("lamp@1.1.0 is denied: its tarball has "), "{refused}");
        assert_eq!(mirror.version("lamp", "1.1.0").await.blob, None, "nothing of it was kept");
        mirror.get(&lamp().tarball_path("1.0.0")).send().await.expect(200);
        mirror.finish().await;
    }
}

#[tokio::test]
async fn a_denied_name_is_refused_everywhere_and_nobody_is_asked_for_it() {
    for pattern in ["lamp", "la*", "*"] {
        let rules = DenyRules { names: texts(&["x", pattern]), ..DenyRules::default() };
        let mirror = mirror_of(lamp(), rules).await;
        let tarball = lamp().tarball_path("1.0.0");
        for synced in [false, true] {
            if synced {
                assert_eq!(mirror.upstream.count("/lamp"), 0, "{pattern}");
                mirror.sync(&["lamp"]).await;
            }
            for (target, what) in [
                ("/lamp", "lamp"),
                ("/lamp/latest", "lamp"),
                ("/lamp/1.0.0", "lamp"),
                ("/-/package/lamp/dist-tags", "lamp"),
                (tarball.as_str(), if synced { "lamp@1.0.0" } else { "lamp" }),
            ] {
                super::becomes(&mirror, target, 451).await;
                let text = format!(
                    "[UNAVAILABLE_FOR_LEGAL_REASONS] {what} is denied: its name matches \
                     {pattern:?} (security.deny_names)"
                );
                assert_eq!(mirror.get(target).send().await.error(), text, "{target}");
            }
        }
        mirror.finish().await;
    }
}

#[tokio::test]
async fn exceptions_are_denied_by_no_rule() {
    let rules = DenyRules {
        names: texts(&["*"]),
        licences: texts(&["MIT"]),
        install_scripts: true,
        larger_than_bytes: 1,
        except: texts(&["la*"]),
    };
    let mirror = mirror_of(lamp(), rules).await;
    is_given_out(&mirror).await;
    mirror.get("/other").send().await.expect(451);
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_published_here_is_denied_by_no_rule() {
    let rules = DenyRules {
        names: texts(&["@garden/*", "lamp"]),
        licences: texts(&["*"]),
        install_scripts: true,
        larger_than_bytes: 1,
        except: vec![],
    };
    let builder = crate::publish::builder().engine(|engine| engine.policy.deny = rules);
    let mut mirror = builder.start().await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let version = Version::new("@garden/ui", "1.0.0", 300)
        .member("license", json!("GPL-3.0"))
        .member("scripts", json!({"postinstall": "node x"}));
    let body = crate::publish::body_of("@garden/ui", &version, "latest");
    crate::publish::send(&mirror, &token, "@garden/ui", &body).await.expect(201);
    // from memory, and from what a new process reads
    for _ in 0..2 {
        for accept in ["application/json", "application/vnd.npm.install-v1+json"] {
            let request = mirror.get("/@garden%2fui").header("accept", accept);
            let whole = request.send().await.expect(200).json();
            assert!(whole["versions"]["1.0.0"].is_object(), "{whole}");
            assert_eq!(whole.get("blockVersions"), None);
        }
        for target in ["/@garden%2fui/1.0.0", "/@garden%2fui/-/ui-1.0.0.tgz"] {
            mirror.get(target).send().await.expect(200);
        }
        // the same rules are about everything else
        for target in ["/lamp", "/@other%2fthing/1.0.0"] {
            super::becomes(&mirror, target, 451).await;
        }
        mirror.restart().await;
    }
    mirror.finish().await;
}
