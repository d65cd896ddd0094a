use proptest::prelude::*;

use super::osv::Record;
use super::{End, Known, Stretch, range_holds};

fn known(affected: &str) -> Known {
    let text = format!(
        r#"{{"id": "GHSA-1", "summary": "It burns", "affected": [{{
            "package": {{"ecosystem": "npm", "name": "lamp"}}, {affected} }}]}}"#
    );
    Record::parse(text.as_bytes()).unwrap().packages.remove(0).1
}

#[test]
fn a_record_says_what_clients_are_told_of_each_package() {
    let text = br#"{
        "schema_version": "1.6.0", "id": "GHSA-2222", "modified": "2026-01-01T00:00:00Z",
        "aliases": ["CVE-2026-1"], "summary": "Lamps burn", "details": "long",
        "severity": [
            {"type": "CVSS_V9", "score": "nonsense"},
            {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
        ],
        "affected": [
            {"package": {"ecosystem": "npm", "name": "lamp", "purl": "pkg:npm/lamp"},
             "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.2.3"}]}]},
            {"package": {"ecosystem": "PyPI", "name": "lamp"}},
            {"package": {"ecosystem": "npm", "name": "../x"}},
            {"package": {"ecosystem": "npm", "name": "@garden/lamp"}, "versions": ["2.0.0"]}
        ],
        "references": [
            {"type": "WEB", "url": "http://garden.example/news"},
            {"type": "ADVISORY", "url": "http://garden.example/advisory"}
        ],
        "database_specific": {"severity": "HIGH", "cwe_ids": ["CWE-79"], "reviewed": true}
    }"#;
    let record = Record::parse(text).unwrap();
    assert!(!record.withdrawn);
    let names: Vec<_> = record.packages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["lamp", "@garden/lamp"]);
    let advisory = &record.packages[0].1.advisory;
    assert_eq!(advisory.url, "http://garden.example/advisory");
    assert_eq!((advisory.title.as_str(), advisory.severity.as_str()), ("Lamps burn", "high"));
    assert_eq!(advisory.vulnerable_versions, "<1.2.3");
    assert_eq!(advisory.cwe, ["CWE-79"]);
    assert!((advisory.cvss.score - 9.8).abs() < 0.01, "{}", advisory.cvss.score);
    assert!(advisory.id > 0 && advisory.id < 1 << 53);
    assert_eq!(record.packages[1].1.advisory.vulnerable_versions, "2.0.0");
    assert!(record.packages[1].1.concerns("2.0.0") && !record.packages[1].1.concerns("2.0.1"));
}

#[test]
fn the_severity_is_the_word_of_the_record_or_of_its_score() {
    let severity = |id: &str, more: &str| {
        let text = format!(
            r#"{{"id": "{id}", "affected": [{{"package": {{"ecosystem": "npm", "name": "a"}}}}] {more}}}"#
        );
        Record::parse(text.as_bytes()).unwrap().packages.remove(0).1.advisory.severity
    };
    let scored = |vector: &str| {
        format!(r#", "severity": [{{"type": "CVSS_V3", "score": "CVSS:3.1/{vector}"}}]"#)
    };
    assert_eq!(severity("MAL-2026-1", ""), "critical");
    assert_eq!(severity("GHSA-1", ""), "moderate");
    assert_eq!(severity("GHSA-1", r#", "database_specific": {"severity": "MEDIUM"}"#), "moderate");
    assert_eq!(severity("GHSA-1", &scored("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")), "critical");
    assert_eq!(severity("GHSA-1", &scored("AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N")), "low");
}

#[test]
fn stretches_of_versions_hold_their_prereleases() {
    let two = known(
        r#""ranges": [{"type": "SEMVER", "events": [{"introduced": "2.0.0"}, {"introduced": "0"},
            {"fixed": "2.3.4"}, {"fixed": "1.5.0"}]},
            {"type": "GIT", "events": [{"introduced": "0"}]}]"#,
    );
    assert_eq!(two.advisory.vulnerable_versions, ">=2.0.0 <2.3.4 || <1.5.0");
    for (version, bad) in [
        ("0.0.1", true),
        ("1.5.0-rc.1", true),
        ("1.5.0", false),
        ("1.9.9", false),
        ("2.0.0", true),
        ("2.3.4-beta", true),
        ("2.3.4", false),
        ("3.0.0", false),
    ] {
        assert_eq!(two.concerns(version), bad, "{version}");
    }
    let last = known(
        r#""ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0.0"}, {"last_affected": "1.1.0"}]}]"#,
    );
    assert_eq!(last.advisory.vulnerable_versions, ">=1.0.0 <=1.1.0");
    assert!(last.concerns("1.1.0") && !last.concerns("1.1.1") && !last.concerns("0.9.0"));
    let all = known(r#""ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]"#);
    assert_eq!(all.stretches, [Stretch { from: None, end: End::Open }]);
    assert_eq!(all.advisory.vulnerable_versions, "*");
    assert!(all.concerns("0.0.0-alpha") && all.concerns("99.0.0"));
}

#[test]
fn what_is_no_record_is_an_error_and_a_withdrawn_one_says_so() {
    for text in ["", "[]", "{}", r#"{"id": 7}"#, "<html>"] {
        assert!(Record::parse(text.as_bytes()).is_err(), "{text}");
    }
    let record = Record::parse(br#"{"id": "GHSA-1", "withdrawn": "2026-01-01T00:00:00Z"}"#);
    assert!(record.unwrap().withdrawn);
}

proptest! {
    #[test]
    fn no_bytes_make_a_record_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::parse(&bytes);
    }

    #[test]
    fn the_range_in_words_holds_the_same_versions(
        from in "0|[0-3]\\.[0-3]\\.0", fixed in "[0-3]\\.[0-3]\\.0",
        version in "[0-3]\\.[0-3]\\.[01](-rc\\.1)?"
    ) {
        let affected = format!(
            r#""versions": ["3.3.3"], "ranges": [{{"type": "SEMVER", "events": [
                {{"introduced": "{from}"}}, {{"fixed": "{fixed}"}}]}}]"#
        );
        let known = known(&affected);
        let holds = range_holds(&known.advisory.vulnerable_versions, &version);
        prop_assert_eq!(known.concerns(&version), holds, "{}", known.advisory.vulnerable_versions);
        prop_assert!(nodejs_semver::Range::parse(&known.advisory.vulnerable_versions).is_ok());
    }
}

#[test]
fn ranges_of_other_registries_are_read_as_an_audit_reads_them() {
    for (range, version, holds) in [
        ("<1.5.0", "1.5.0-rc.1", true),
        (">=1.0.0 <1.5.0", "1.5.0", false),
        ("^1.2", "1.9.0", true),
        ("1.x || >=3.0.0", "2.0.0", false),
        ("1.x || >=3.0.0", "4.0.0-beta", true),
        ("=1.0.0", "1.0.0", true),
        ("<= 2.0.0", "1.0.0", true),
        ("*", "0.0.1-a", true),
        ("nonsense", "1.0.0", false),
        ("<1.0.0", "no version", false),
    ] {
        assert_eq!(range_holds(range, version), holds, "{range} {version}");
    }
}
