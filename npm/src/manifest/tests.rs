use super::*;
use crate::json::borrow_raw;

fn facts_of(manifest: &str) -> VersionFacts<'_> {
    facts(borrow_raw(manifest).unwrap()).unwrap()
}

#[test]
fn a_modern_manifest_is_read() {
    let facts = facts_of(
        r#"{"name":"x","version":"1.0.0","dependencies":{"a":"^1","b":"2"},"optionalDependencies":{"b":"3","c":"4"},
            "dist":{"tarball":"https:\/\/h\/x.tgz","integrity":"sha512-x","shasum":"ab","unpackedSize":12}}"#,
    );
    assert_eq!(facts.name.as_deref(), Some("x"));
    assert_eq!(facts.version.as_deref(), Some("1.0.0"));
    assert_eq!(facts.tarball.as_deref(), Some("https://h/x.tgz"));
    assert_eq!(facts.integrity.as_deref(), Some("sha512-x"));
    assert_eq!(facts.shasum.as_deref(), Some("ab"));
    assert_eq!(facts.unpacked_size, Some(12));
    assert!(!facts.deprecated);
    let dependencies: Vec<_> = facts.dependencies.iter().map(|(n, s)| (&**n, &**s)).collect();
    assert_eq!(dependencies, [("a", "^1"), ("b", "3"), ("c", "4")]);
}

#[test]
fn odd_shapes_count_as_absent() {
    for odd in ["null", "true", "[]", "[\"a\"]", "7", "\"text\"", "{\"a\":1}"] {
        let manifest = format!(
            r#"{{"name":{odd},"version":{odd},"dependencies":{odd},"optionalDependencies":{odd},"dist":{odd},
                "bin":{odd},"engines":{odd},"os":{odd},"license":{odd},"bundleDependencies":{odd}}}"#
        );
        let facts = facts_of(&manifest);
        assert_eq!(facts.tarball, None, "{odd}");
        assert_eq!(facts.dependencies, [], "{odd}");
        let dist = format!(
            r#"{{"dist":{{"tarball":{odd},"integrity":{odd},"shasum":{odd},"unpackedSize":{odd}}}}}"#
        );
        assert_eq!(facts_of(&dist).tarball.is_some(), odd == "\"text\"", "{odd}");
        assert_eq!(facts_of(&dist).unpacked_size, (odd == "7").then_some(7), "{odd}");
    }
    for size in ["-1", "1.5", "1e3", "99999999999999999999999"] {
        assert_eq!(
            facts_of(&format!(r#"{{"dist":{{"unpackedSize":{size}}}}}"#)).unpacked_size,
            None
        );
    }
}

#[test]
fn deprecated_means_what_clients_make_of_it() {
    for (value, deprecated) in [
        ("\"use other\"", true),
        ("\"\"", false),
        ("true", true),
        ("false", false),
        ("null", false),
        ("{}", false),
    ] {
        let manifest = format!(r#"{{"deprecated":{value}}}"#);
        assert_eq!(facts_of(&manifest).deprecated, deprecated, "{value}");
    }
}

#[test]
fn of_two_dists_the_later_one_counts_alone() {
    let facts = facts_of(r#"{"dist":{"tarball":"a","shasum":"s"},"dist":{"tarball":"b"}}"#);
    assert_eq!((facts.tarball.as_deref(), facts.shasum), (Some("b"), None));
}

#[test]
fn a_digest_differs_with_any_byte() {
    assert_eq!(ManifestDigest::of(b"{}"), ManifestDigest::of(b"{}"));
    assert_ne!(ManifestDigest::of(b"{}"), ManifestDigest::of(b"{ }"));
    let digest = ManifestDigest::of(b"x");
    assert_eq!(ManifestDigest::from_slice(digest.as_bytes()), Some(digest));
    assert_eq!(ManifestDigest::from_slice(&[]), None);
}
