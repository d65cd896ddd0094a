//! P9: `dist.tarball` and redirects that lead somewhere else. Nothing internal is asked, no
//! credential leaves its origin.

use store::{TaskState, VersionState};

use super::{good, reason, sync_beside_good};
use crate::harness::{FakeUpstream, Package, TestMirror};

const TOKEN: &str = "upstream-secret-token";

#[tokio::test]
async fn tarball_addresses_that_lead_inside_are_refused_with_the_reason() {
    let bad = [
        ("http://169.254.169.254/latest/meta-data.tgz", "link-local"),
        ("http://10.0.0.1/x.tgz", "private"),
        ("http://192.168.7.7:8080/x.tgz", "private"),
        ("http://[fd00::1]/x.tgz", "unique local"),
        ("http://2852039166/x.tgz", "link-local"),
        ("file:///etc/passwd", "http"),
        ("gopher://127.0.0.1:70/x", "http"),
        ("ftp://127.0.0.1/x.tgz", "http"),
        ("http://user:pass@127.0.0.1:1/x.tgz", "password"),
        ("{base}/../../etc/passwd", ""),
        ("not an address", ""),
    ];
    let mut package = Package::new("sly");
    for (index, (address, _)) in bad.iter().enumerate() {
        package = package.version_with(&format!("{index}.0.0"), |version| version.at(address));
    }
    let mirror = TestMirror::with(&[good(), package]).await;
    let row = sync_beside_good(&mirror, "sly").await;
    assert_eq!(row.state, TaskState::Error);
    for (index, (address, word)) in bad.iter().enumerate() {
        let why = reason(&mirror, "sly", &format!("{index}.0.0")).await;
        assert!(!why.is_empty() && why.contains(word), "{address}: {why}");
        assert!(!why.contains("pass@"), "the reason repeats a password: {why}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn an_address_too_long_to_be_one_fails_its_version_alone() {
    let long = format!("{{base}}/{}.tgz", "x".repeat(8 << 10));
    let package = Package::new("long-winded")
        .version("1.0.0")
        .version_with("2.0.0", |version| version.at(&long));
    let mirror = TestMirror::with(&[package]).await;
    let rows = mirror.sync(&["long-winded"]).await;
    assert_eq!(rows[0].state, TaskState::Success);
    assert_eq!(mirror.version("long-winded", "1.0.0").await.state, VersionState::Held);
    let why = reason(&mirror, "long-winded", "2.0.0").await;
    assert!(!why.is_empty() && why.len() < 1_000, "{why}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_tarball_on_another_host_is_fetched_without_our_credentials() {
    let elsewhere = FakeUpstream::start();
    let address = format!("{}/files/far-1.0.0.tgz", elsewhere.url());
    let package = Package::new("far").version_with("1.0.0", |version| version.at(&address));
    elsewhere.put_tarball("/files/far-1.0.0.tgz", package.get("1.0.0").tarball.clone());
    let mirror = TestMirror::builder()
        .packages(&[package, good()])
        .asks(|settings| settings.token = Some(TOKEN.into()))
        .start()
        .await;
    sync_beside_good(&mirror, "far").await;
    assert_eq!(mirror.version("far", "1.0.0").await.state, VersionState::Held);
    let own = mirror.upstream.asked();
    let sent = |asked: &crate::harness::Asked| asked.header("authorization").map(str::to_owned);
    assert!(own.iter().all(|asked| sent(asked).is_some_and(|sent| sent.contains(TOKEN))));
    assert!(elsewhere.asked().iter().all(|asked| sent(asked).is_none()), "a token left its origin");
    assert_eq!(elsewhere.asked().len(), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_never_inside() {
    let far = FakeUpstream::start();
    let mut package = Package::new("moved");
    for version in 1..=5 {
        package = package.version(&format!("{version}.0.0"));
    }
    let mirror = TestMirror::builder()
        .packages(&[package.clone(), good()])
        .asks(|settings| settings.token = Some(TOKEN.into()))
        .start()
        .await;
    let from = |version: &str| package.tarball_path(version);
    far.put_tarball("/real.tgz", package.get("1.0.0").tarball.clone());
    mirror.upstream.redirect(&from("1.0.0"), &format!("{}/real.tgz", far.url()));
    mirror.upstream.redirect(&from("2.0.0"), "http://169.254.169.254/real.tgz");
    mirror.upstream.redirect(&from("3.0.0"), "file:///etc/passwd");
    mirror.upstream.redirect(&from("4.0.0"), &from("4.0.0"));
    for hop in 0..20 {
        mirror.upstream.redirect(&format!("/hop/{hop}"), &format!("/hop/{}", hop + 1));
    }
    mirror.upstream.redirect(&from("5.0.0"), "/hop/0");
    sync_beside_good(&mirror, "moved").await;
    assert_eq!(mirror.version("moved", "1.0.0").await.state, VersionState::Held);
    for (version, word) in
        [("2.0.0", "link-local"), ("3.0.0", "file"), ("4.0.0", "redirects"), ("5.0.0", "redirects")]
    {
        let why = reason(&mirror, "moved", version).await;
        assert!(why.contains(word), "{version}: {why}");
    }
    assert!(mirror.upstream.count("/hop/19") == 0, "a chain of twenty was followed");
    assert!(far.asked().iter().all(|asked| asked.header("authorization").is_none()));
    mirror.finish().await;
}

#[tokio::test]
async fn a_document_behind_a_redirect_is_taken_and_one_behind_a_loop_is_not() {
    let mirror = TestMirror::with(&[good()]).await;
    let document = Package::new("round").version("1.0.0").document(&mirror.upstream.url());
    mirror.upstream.publish_document("elsewhere/round", document);
    mirror.upstream.redirect("/round", "/elsewhere/round");
    mirror.get("/round").send().await.expect(200);
    mirror.upstream.redirect("/looping", "/looping");
    let row = sync_beside_good(&mirror, "looping").await;
    super::failed_with(&row, &["redirects"]);
    mirror.finish().await;
}
