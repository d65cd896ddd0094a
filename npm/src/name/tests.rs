use proptest::prelude::*;

use super::*;

fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

#[test]
fn odd_names_that_live_on_npm_are_taken_byte_exact() {
    for text in [
        "JSONStream",
        "jsonstream",
        "dvA",
        "Base64",
        " leading-space",
        "what?",
        "_",
        "_under",
        ".dot",
        "-",
        "a..b",
        "@(._.)/assign",
        "@chappa'ai/x",
        "@~scope/x",
        "@s/.hidden",
        "@S/Upper",
        "1.0.0",
        "x!y*z",
        "ünïcode",
        "раураl",
        "constructor",
        "__proto__",
    ] {
        assert_eq!(name(text).as_str(), text);
        assert_eq!(name(text).to_string(), text);
    }
    assert_ne!(name("paypal"), name("раураl"), "look-alikes are other names");
}

#[test]
fn what_is_no_npm_name_is_refused_with_its_rule() {
    let long = "a".repeat(215);
    for (text, rule) in [
        ("", "empty"),
        ("   ", "empty"),
        (long.as_str(), "215 characters"),
        ("a\0b", "holds '\\0'"),
        ("a\nb", "holds '\\n'"),
        ("a\tb", "holds '\\t'"),
        ("a\u{85}", "holds"),
        ("a\u{202e}b", "holds"),
        ("a\u{200b}b", "holds"),
        ("a\u{3000}b", "holds"),
        ("a\\b", "holds '\\\\'"),
        ("a@1.0.0", "holds '@'"),
        ("@s/n@1", "holds '@'"),
        (".", "dots"),
        ("..", "dots"),
        ("@../x", "dots"),
        ("@s/..", "dots"),
        ("a/b", "neither"),
        ("../../etc/passwd", "neither"),
        ("@s", "neither"),
        ("@s/", "neither"),
        ("@/n", "neither"),
        ("@s/a/b", "neither"),
        ("@", "neither"),
        ("a%2fb", "percent"),
        ("%2e%2e", "percent"),
        ("node_modules", "reserved"),
        ("Favicon.ICO", "reserved"),
    ] {
        let error = PackageName::parse(text).unwrap_err().to_string();
        assert!(error.contains(rule), "{text:?}: {error}");
    }
    assert!(PackageName::parse(&"a".repeat(214)).is_ok());
}

#[test]
fn parts_of_a_name() {
    let scoped = name("@scope/thing");
    assert_eq!((scoped.scope(), scoped.bare()), (Some("@scope"), "thing"));
    let plain = name("thing");
    assert_eq!((plain.scope(), plain.bare()), (None, "thing"));
}

#[test]
fn urls_are_escaped_as_the_npm_client_does() {
    for (text, url, path) in [
        ("lodash", "lodash", "lodash"),
        ("@babel/core", "@babel%2fcore", "@babel/core"),
        ("@(._.)/assign", "@(._.)%2fassign", "@(._.)/assign"),
        ("@chappa'ai/x", "@chappa'ai%2fx", "@chappa'ai/x"),
        (" leading", "%20leading", "%20leading"),
        ("what?", "what%3F", "what%3F"),
        ("@s/ü", "@s%2f%C3%BC", "@s/%C3%BC"),
    ] {
        assert_eq!(name(text).url_path(), url);
        assert_eq!(name(text).path_in_documents(), path);
    }
    assert!(matches!(name("@babel/core").path_in_documents(), Cow::Borrowed(_)));
}

#[test]
fn only_names_of_the_specification_may_be_published() {
    for text in ["a", "@a/b", "~tilde", "-dash", "a.b-c_d~e", "@~s/x", "0"] {
        assert!(name(text).is_publishable(), "{text}");
    }
    for text in ["A", "_a", ".a", "@_s/a", "@s/_a", "a b", "a?", "@S/a", "a(b)", "ü"] {
        assert!(!name(text).is_publishable(), "{text}");
    }
}

#[test]
fn serde_reads_and_writes_the_text() {
    let text = "\"@s/n\"";
    let parsed: PackageName = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&parsed).unwrap(), text);
    assert!(serde_json::from_str::<PackageName>("\"..\"").is_err());
}

proptest! {
    #[test]
    fn parsing_never_panics_and_keeps_the_text(text in any::<String>()) {
        if let Ok(name) = PackageName::parse(&text) {
            prop_assert_eq!(name.as_str(), &text);
            prop_assert!(name.url_path().is_ascii());
            prop_assert!(!name.url_path().contains(['/', '?', '#', ' ', '\\', '"']));
            let path = name.path_in_documents();
            let decoded = percent_encoding::percent_decode_str(&path).decode_utf8().unwrap();
            prop_assert_eq!(decoded, text);
        }
    }
}
