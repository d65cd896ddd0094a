//! What a document means, case by case.

use npm::{ManifestDigest, PackageName, PackumentScan};
use store::versions::VersionRow;
use store::{PackageStatus, VersionChange, VersionState};

use super::references::file_of_url;
use super::{DocumentPlan, RefusedDocument, Terms, plan_document};

const FIRST: &str = "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
const FIRST_SHASUM: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

fn name() -> PackageName {
    PackageName::parse("left-pad").unwrap()
}

fn manifest(version: &str, dist: &str, more: &str) -> String {
    format!(
        "\"{version}\":{{\"name\":\"left-pad\",\"version\":\"{version}\",\"dist\":{{\
         \"tarball\":\"http://h.test/left-pad/-/left-pad-{version}.tgz\"{dist}}}{more}}}"
    )
}

fn document(versions: &[String]) -> String {
    format!(
        "{{\"_rev\":\"3-x\",\"name\":\"left-pad\",\"dist-tags\":{{\"latest\":\"1.0.0\"}},\
         \"versions\":{{{}}},\"time\":{{\"modified\":\"2020-01-01T00:00:00.000Z\"}}}}",
        versions.join(",")
    )
}

fn plan(body: &str, known: &[VersionRow]) -> Result<DocumentPlan, RefusedDocument> {
    let terms = Terms { keys: None, max_tarball_bytes: 1_000, now_ms: 7_000 };
    plan_document(&name(), &PackumentScan::parse(body.as_bytes()).unwrap(), known, terms)
}

fn row(change: &VersionChange, state: VersionState) -> VersionRow {
    VersionRow {
        version: change.version.clone(),
        manifest: change.manifest,
        tarball_url: change.tarball_url.clone(),
        tarball_file: change.tarball_file.clone(),
        expected: change.expected.clone(),
        state,
        blob: None,
        size_bytes: None,
        reason: None,
        removed_at_ms: None,
        signature: None,
        published_at_ms: change.published_at_ms,
    }
}

fn dist() -> String {
    format!(",\"integrity\":\"{FIRST}\"")
}

#[test]
fn a_new_document_makes_a_row_for_every_version() {
    let more = ",\"dependencies\":{\"a\":\"^1.0.0\",\"b\":\"npm:@s/real@2\",\"c\":\
                \"git+ssh://h/x\",\"d\":\"file:../d\",\"e\":\"user/repo\",\"f\":\"latest\"}";
    let body = document(&[manifest("1.0.0", &dist(), more), manifest("1.1.0", &dist(), more)]);
    let plan = plan(&body, &[]).unwrap();
    assert_eq!(plan.total, 2);
    assert_eq!(plan.dependencies, ["a", "@s/real", "f"]);
    assert_eq!(plan.dist_tags, [("latest".to_owned(), "1.0.0".to_owned())]);
    assert_eq!(plan.modified.as_deref(), Some("2020-01-01T00:00:00.000Z"));
    assert_eq!(plan.upstream_rev.as_deref(), Some("3-x"));
    assert_eq!(plan.status, PackageStatus::Live);
    let first = &plan.versions[0];
    assert_eq!(first.tarball_file, "left-pad-1.0.0.tgz");
    assert_eq!(first.expected.as_deref(), Some(FIRST));
    assert_eq!(first.state, VersionState::Remote);
    assert!(plan.alarms.is_empty() && plan.removed.is_empty());
}

#[test]
fn a_known_version_costs_nothing_and_a_missing_one_is_removed() {
    let body = document(&[manifest("1.0.0", &dist(), ""), manifest("1.1.0", &dist(), "")]);
    let known: Vec<_> = plan(&body, &[])
        .unwrap()
        .versions
        .iter()
        .map(|change| row(change, VersionState::Held))
        .collect();
    let again = plan(&body, &known).unwrap();
    assert!(again.versions.is_empty() && again.removed.is_empty());
    let fewer = plan(&document(&[manifest("1.0.0", &dist(), "")]), &known).unwrap();
    assert_eq!(fewer.removed, ["1.1.0"]);
}

#[test]
fn a_version_that_comes_back_is_written_again_with_its_first_digest() {
    let body = document(&[manifest("1.0.0", &dist(), "")]);
    let mut known = row(&plan(&body, &[]).unwrap().versions[0], VersionState::Held);
    known.removed_at_ms = Some(1);
    let back = plan(&body, &[known.clone()]).unwrap();
    assert_eq!(back.versions.len(), 1);
    assert_eq!(back.versions[0].state, VersionState::Held);
    known.manifest = ManifestDigest([9; 16]);
    let other = document(&[manifest(
        "1.0.0",
        ",\"shasum\":\"0000000000000000000000000000000000000001\"",
        "",
    )]);
    let back = plan(&other, &[known]).unwrap();
    assert_eq!(back.versions[0].expected.as_deref(), Some(FIRST));
    assert_eq!(back.alarms.len(), 1);
}

#[test]
fn a_second_digest_alarms_and_the_first_one_stays() {
    let body = document(&[manifest("1.0.0", &dist(), "")]);
    let known = [row(&plan(&body, &[]).unwrap().versions[0], VersionState::Held)];
    for (dist, alarms) in [
        (",\"integrity\":\"sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"".to_owned(), 1),
        (",\"integrity\":\"sha512-broken\"".to_owned(), 1),
        (format!(",\"shasum\":\"{FIRST_SHASUM}\""), 0),
        (String::new(), 0),
    ] {
        let changed = plan(&document(&[manifest("1.0.0", &dist, "")]), &known).unwrap();
        assert_eq!(changed.alarms.len(), alarms, "{dist}");
        assert_eq!(changed.versions[0].expected.as_deref(), Some(FIRST));
        assert_eq!(changed.versions[0].state, VersionState::Held);
    }
}

#[test]
fn a_version_that_cannot_be_checked_fails_with_its_reason() {
    for (dist, reason) in [
        ("", "neither integrity nor shasum"),
        (
            ",\"integrity\":\"sha512-broken\",\"shasum\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"",
            "malformed",
        ),
        (",\"shasum\":\"12\"", "40 hexadecimal"),
    ] {
        let plan = plan(&document(&[manifest("1.0.0", dist, "")]), &[]).unwrap();
        assert_eq!(plan.versions[0].state, VersionState::Failed);
        let said = plan.versions[0].reason.as_deref().unwrap();
        assert!(said.contains(reason), "{said}");
    }
    let body = document(&[
        "\"1.0.0\":{\"dist\":{\"shasum\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"}}".to_owned(),
    ]);
    let said = plan(&body, &[]).unwrap().versions.remove(0).reason.unwrap();
    assert!(said.contains("dist.tarball"), "{said}");
}

#[test]
fn a_version_that_says_it_is_too_large_is_skipped_with_its_reason() {
    let sized = |size: &str| document(&[manifest("1.0.0", &(dist() + size), "")]);
    let skipped = plan(&sized(",\"size\":1001"), &[]).unwrap().versions.remove(0);
    assert_eq!(skipped.state, VersionState::Skipped);
    let reason = skipped.reason.as_deref().unwrap();
    assert!(reason.contains("1001") && reason.contains("1000"), "{reason}");
    for fits in [",\"size\":1000", ",\"size\":\"big\"", ",\"unpackedSize\":5000"] {
        let plan = plan(&sized(fits), &[]).unwrap();
        assert_eq!(plan.versions[0].state, VersionState::Remote, "{fits}");
    }
    let mut held = row(&skipped, VersionState::Held);
    held.manifest = ManifestDigest([9; 16]);
    let again = plan(&sized(",\"size\":1001"), &[held]).unwrap();
    assert_eq!(again.versions[0].state, VersionState::Held, "what is here stays");
}

#[test]
fn people_and_the_time_of_the_latest_version_are_told() {
    let body = "{\"name\":\"left-pad\",\"dist-tags\":{\"latest\":\"1.0.0\"},\"versions\":{\"1.0.0\":{}},\
                \"time\":{\"1.0.0\":\"2020-01-02T00:00:00.000Z\"},\
                \"maintainers\":[{\"name\":\"ada\",\"email\":\"ada@h.test\"},{\"name\":\"bo\"}]}";
    let told = plan(body, &[]).unwrap();
    assert_eq!(told.latest_published.as_deref(), Some("2020-01-02T00:00:00.000Z"));
    assert_eq!(told.versions[0].published_at_ms, Some(1_577_923_200_000));
    let timeless = plan(&body.replace("1.0.0\":\"2020", "1.0.0\":\"soon"), &[]).unwrap();
    assert_eq!(timeless.versions[0].published_at_ms, Some(7_000), "it came just now");
    assert_eq!(told.maintainers, ["ada <ada@h.test>", "bo <>"]);
    let odd = plan(&body.replace("[{\"name\":\"ada\"", "[5,{\"name\":\"ada\""), &[]).unwrap();
    assert!(odd.maintainers.is_empty());
}

#[test]
fn only_the_documents_of_the_package_itself_are_accepted() {
    let other = "{\"name\":\"right-pad\",\"versions\":{}}";
    assert!(matches!(plan(other, &[]), Err(RefusedDocument::OtherPackage { .. })));
    let cased = "{\"name\":\"Left-Pad\",\"versions\":{}}";
    assert!(matches!(plan(cased, &[]), Err(RefusedDocument::OtherPackage { .. })));
    let error = plan("{\"error\":\"not found\"}", &[]).unwrap_err();
    assert!(error.to_string().contains("only error"), "{error}");
}

#[test]
fn what_a_document_says_about_the_package_is_kept() {
    for (body, status) in [
        ("{\"name\":\"left-pad\",\"versions\":{},\"time\":{}}", PackageStatus::Emptied),
        (
            "{\"name\":\"left-pad\",\"time\":{\"unpublished\":{\"time\":\"x\"}}}",
            PackageStatus::Unpublished,
        ),
        (
            "{\"name\":\"left-pad\",\"versions\":{\"0.0.1-security\":{\"dist\":{}}}}",
            PackageStatus::SecurityHolding,
        ),
    ] {
        assert_eq!(plan(body, &[]).unwrap().status, status, "{body}");
    }
}

#[test]
fn file_names_come_from_the_address_when_they_are_plain() {
    for (url, file) in [
        ("http://h/x/-/x-1.0.0.tgz", Some("x-1.0.0.tgz")),
        ("http://h/x/-/x-1.0.0%2bbuild.tgz?a=b/c#d", Some("x-1.0.0+build.tgz")),
        ("http://h/x/-/..%2f..%2fetc", None),
        ("http://h/x/", None),
        ("http://h", None),
        ("x-1.0.0.tgz", None),
    ] {
        assert_eq!(file_of_url(url).as_deref(), file, "{url}");
    }
}
