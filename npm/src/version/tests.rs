use proptest::prelude::*;

use super::*;

fn resolve<'v>(spec: &str, tags: &[(&str, &str)], versions: &[&'v str]) -> Option<&'v str> {
    resolve_spec(spec, tags, versions.iter().copied()).unwrap()
}

#[test]
fn versions_are_ordered_as_npm_orders_them() {
    let ordered = [
        "0.0.1-security",
        "0.0.1",
        "v1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.0+a",
        "1.0.0+b",
        "01.2.3",
        "1.10.0",
        "2.0.0beta",
        "2.0.0",
        "v10.0.0",
        "",
        "1.2",
        "1.2.3 junk",
        "1.2.3.4",
        "not a version",
    ];
    for (at, a) in ordered.iter().enumerate() {
        for (bt, b) in ordered.iter().enumerate() {
            assert_eq!(compare_versions(a, b), at.cmp(&bt), "{a:?} {b:?}");
        }
    }
}

#[test]
fn very_long_versions_break_nothing() {
    let long = format!("1.0.0-{}", "a".repeat(300));
    assert_eq!(compare_versions(&long, "1.0.0"), Ordering::Greater, "invalid ones come last");
    assert_eq!(resolve(&long, &[], &["1.0.0"]), None);
    let digits = format!("{}.0.0", "9".repeat(300));
    assert_eq!(compare_versions("1.0.0", &digits), Ordering::Less);
}

#[test]
fn a_version_is_found_by_its_text_or_its_meaning() {
    let versions = ["1.0.0", "v1.1.0", "01.2.3", "2.0.0+a", "2.0.0+b"];
    for (spec, found) in [
        ("1.0.0", Some("1.0.0")),
        ("=1.0.0", Some("1.0.0")),
        ("v1.0.0", Some("1.0.0")),
        (" 1.0.0 ", Some("1.0.0")),
        ("1.1.0", Some("v1.1.0")),
        ("1.2.3", Some("01.2.3")),
        ("01.2.3", Some("01.2.3")),
        ("2.0.0+a", Some("2.0.0+a")),
        ("2.0.0+b", Some("2.0.0+b")),
        ("2.0.0", Some("2.0.0+b")),
        ("3.0.0", None),
    ] {
        assert_eq!(resolve(spec, &[], &versions), found, "{spec}");
    }
}

#[test]
fn a_tag_finds_its_version_if_that_is_there() {
    let tags = [("latest", "1.0.0"), ("next", "9.9.9"), ("v1-lts", "1.0.0")];
    assert_eq!(resolve("latest", &tags, &["1.0.0"]), Some("1.0.0"));
    assert_eq!(resolve("v1-lts", &tags, &["1.0.0"]), Some("1.0.0"));
    assert_eq!(resolve("next", &tags, &["1.0.0"]), None);
    assert_eq!(resolve("absent", &tags, &["1.0.0"]), None);
}

#[test]
fn a_range_finds_tag_then_latest_then_highest() {
    let versions = ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0-beta.1"];
    let tags = [("latest", "1.1.0"), ("1.2", "1.2.0"), ("2", "1.0.0")];
    for (spec, found) in [
        ("^1.0", Some("1.1.0")),
        ("^1.2.0", Some("1.2.0")),
        ("1.2", Some("1.2.0")),
        ("2", Some("1.0.0")),
        (">=2", Some("2.0.0")),
        (">=4", None),
        ("*", Some("1.1.0")),
        ("", Some("1.1.0")),
        ("^2.1.0-beta.0", Some("2.1.0-beta.1")),
        (">=2.1.0-alpha", Some("2.1.0-beta.1")),
        ("1.0.0 - 1.1.0", Some("1.1.0")),
        ("<1.1 || >=2", Some("2.0.0")),
    ] {
        assert_eq!(resolve(spec, &tags, &versions), found, "{spec}");
    }
    assert_eq!(resolve("*", &[("latest", "1.0.0-a")], &["1.0.0-a", "1.0.0-b"]), None);
}

#[test]
fn specs_that_name_something_else_are_refused() {
    for spec in [
        "npm:other@1",
        "git+ssh://git@host/x.git",
        "user/repo",
        "./folder",
        "/etc/passwd",
        "file:x",
        "http://host/x.tgz",
        "x-1.0.0.tgz",
        "x.TAR.GZ",
        "x.tar",
        "..",
        "a b",
        "ü",
        "#readme",
        "a@b",
        "a\0",
    ] {
        let versions = ["1.0.0"];
        let tags: [(&str, &str); 0] = [];
        let error = resolve_spec(spec, &tags, versions.into_iter()).unwrap_err();
        assert_eq!(error.spec, spec);
    }
}

proptest! {
    #[test]
    fn the_order_is_total(
        mut texts in prop::collection::vec(
            "(v|=)?[0-9]{1,2}(\\.[0-9]{1,2}){1,3}(-[a-z0-9.]{0,6})?(\\+[a-z]{0,2})?", 3..12)
    ) {
        texts.sort_by(|a, b| compare_versions(a, b));
        for pair in texts.windows(2) {
            prop_assert_ne!(compare_versions(&pair[0], &pair[1]), Ordering::Greater);
        }
        prop_assert_eq!(compare_versions(&texts[0], &texts[2]) == Ordering::Greater, false);
        for (a, b) in texts.iter().zip(texts.iter().rev()) {
            prop_assert_eq!(compare_versions(a, b), compare_versions(b, a).reverse());
            prop_assert_eq!(compare_versions(a, b) == Ordering::Equal, a == b);
        }
    }

    #[test]
    fn the_order_of_proper_versions_is_that_of_the_crate(
        a in "(0|[1-9][0-9]?)\\.(0|[1-9])\\.(0|[1-9])(-(0|[1-9]|[a-z]{1,3})(\\.(0|[1-9]|[a-z]{1,3}))?)?",
        b in "(0|[1-9][0-9]?)\\.(0|[1-9])\\.(0|[1-9])(-(0|[1-9]|[a-z]{1,3})(\\.(0|[1-9]|[a-z]{1,3}))?)?",
    ) {
        let theirs = Version::parse(&a).unwrap().cmp(&Version::parse(&b).unwrap());
        prop_assert_eq!(compare_versions(&a, &b), theirs);
    }

    #[test]
    fn any_spec_is_answered_without_panic(spec in any::<String>(), version in any::<String>()) {
        let _ = resolve_spec(&spec, &[("latest", version.as_str())], [version.as_str()].into_iter());
        let _ = compare_versions(&spec, &version);
    }

    #[test]
    fn what_a_range_finds_is_there_and_satisfies(
        versions in prop::collection::vec("[0-3]\\.[0-3]\\.[0-3](-[ab])?", 0..10),
        spec in "(\\^|~|>=|<)?[0-3](\\.[0-3]){0,2}",
    ) {
        let tags: [(&str, &str); 0] = [];
        if let Some(found) = resolve_spec(&spec, &tags, versions.iter().map(String::as_str)).unwrap() {
            prop_assert!(versions.iter().any(|version| version == found));
            let range = Range::parse(&spec).unwrap();
            prop_assert!(range.satisfies(&Version::parse(found).unwrap()));
        }
    }
}

#[test]
fn a_range_finds_all_that_satisfy_it_and_everything_else_one() {
    let tags = [("latest", "1.1.0"), ("next", "2.0.0-rc.1"), ("1.x", "1.0.0")];
    let versions = ["1.0.0", "1.1.0", "2.0.0-rc.1", "2.0.0", "odd"];
    let all = |spec: &str| resolve_all(spec, &tags, versions.into_iter());
    assert_eq!(all("^1.0.0").unwrap(), ["1.0.0", "1.1.0"]);
    assert_eq!(all(">=1.1.0").unwrap(), ["1.1.0", "2.0.0"]);
    assert_eq!(all("*").unwrap(), ["1.0.0", "1.1.0", "2.0.0"]);
    assert_eq!(all("v1.0.0").unwrap(), ["1.0.0"]);
    assert_eq!(all("next").unwrap(), ["2.0.0-rc.1"]);
    assert_eq!(all("1.x").unwrap(), ["1.0.0"], "a tag goes before the range it looks like");
    assert_eq!(all("odd").unwrap(), [] as [&str; 0], "a tag that is not there");
    assert!(all("^9").unwrap().is_empty());
    assert!(all("git+ssh://x/y").is_err());
}
