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
        assert_eq!(facts.licence.is_some(), ["[\"a\"]", "\"text\""].contains(&odd), "{odd}");
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

#[test]
fn a_licence_is_read_in_every_shape_it_was_written_in() {
    for (members, licence) in [
        (r#""license":"MIT""#, Some("MIT")),
        (r#""license":" (MIT OR GPL-3.0) ""#, Some("(MIT OR GPL-3.0)")),
        (r#""license":"SEE LICENSE IN \u0041""#, Some("SEE LICENSE IN A")),
        (r#""license":{"type":"ISC","url":"http://h/"}"#, Some("ISC")),
        (r#""license":{"name":"BSD"}"#, Some("BSD")),
        (r#""license":["MIT","A B"]"#, Some("MIT OR (A B)")),
        (r#""licenses":[{"type":"MIT"},{"type":"GPL"}]"#, Some("MIT OR GPL")),
        (r#""licenses":"Apache","license":"MIT""#, Some("MIT")),
        (r#""license":"","licenses":[{"type":"X11"}]"#, Some("X11")),
        (r#""license":"  ""#, None),
        (r#""license":[]"#, None),
        (r#""license":{"url":"http://h/"}"#, None),
        (r#""name":"x""#, None),
    ] {
        let manifest = format!("{{{members}}}");
        assert_eq!(facts_of(&manifest).licence.as_deref(), licence, "{members}");
    }
}

#[test]
fn whatever_runs_on_install_is_seen() {
    for (members, runs) in [
        (r#""scripts":{"preinstall":"node x"}"#, true),
        (r#""scripts":{"test":"t","install":"node-gyp rebuild"}"#, true),
        (r#""scripts":{"postins\u0074all":"x"}"#, true),
        (r#""scripts":{"postinstall":" "}"#, false),
        (r#""scripts":{"prepare":"x","prepublish":"x","test":"y"}"#, false),
        (r#""scripts":["install"]"#, false),
        (r#""hasInstallScript":true"#, true),
        (r#""hasInstallScript":false"#, false),
        (r#""gypfile":true"#, true),
        (r#""gypfile":"yes""#, false),
        (r#""name":"x""#, false),
    ] {
        let manifest = format!("{{{members}}}");
        assert_eq!(facts_of(&manifest).install_scripts, runs, "{members}");
    }
}
