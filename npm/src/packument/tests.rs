use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn scan(body: &str) -> PackumentScan<'_> {
    PackumentScan::parse(body.as_bytes()).unwrap()
}

fn keys<'s>(scan: &'s PackumentScan<'_>) -> Vec<&'s str> {
    scan.versions.iter().map(|entry| &*entry.key).collect()
}

const PLAIN: &str = r#"{"_id":"x","_rev":"3-abc","name":"x","dist-tags":{"latest":"1.1.0","next":"2.0.0"},
    "versions": {"1.0.0":{"name":"x"} , "1.1.0" : {"name":"x","dist":{}}},
    "time":{"created":"2020","modified":"2022","1.0.0":"2020-01-01T00:00:00.000Z","1.1.0":"2022"},"readme":"…"}"#;

#[test]
fn a_packument_is_split_into_its_parts() {
    let scan = scan(PLAIN);
    let members: Vec<&str> = scan.members.iter().map(|(key, _)| &**key).collect();
    assert_eq!(members, ["_id", "_rev", "name", "dist-tags", "versions", "time", "readme"]);
    assert_eq!(scan.name.as_deref(), Some("x"));
    assert_eq!(scan.rev.as_deref(), Some("3-abc"));
    assert_eq!(
        scan.dist_tags,
        [("latest".into(), "1.1.0".into()), ("next".into(), "2.0.0".into())]
    );
    assert_eq!(keys(&scan), ["1.0.0", "1.1.0"]);
    assert_eq!(scan.version("1.1.0").unwrap().raw.get(), r#"{"name":"x","dist":{}}"#);
    assert!(scan.version("1.2.0").is_none());
    assert_eq!(scan.published_at("1.0.0"), Some("2020-01-01T00:00:00.000Z"));
    assert_eq!(scan.published_at("9.0.0"), None);
    assert_eq!(scan.modified().as_deref(), Some("2022"));
    assert_eq!(
        scan.member("versions").unwrap().get(),
        r#"{"1.0.0":{"name":"x"} , "1.1.0" : {"name":"x","dist":{}}}"#
    );
    assert_eq!(scan.shape(), PackumentShape::Normal);
}

#[test]
fn the_slices_are_the_body_itself() {
    let scan = scan(PLAIN);
    let raw = scan.version("1.0.0").unwrap().raw.get();
    assert!(PLAIN.as_bytes().as_ptr_range().contains(&raw.as_ptr()));
    assert!(matches!(scan.versions[0].key, Cow::Borrowed(_)));
}

#[test]
fn of_duplicate_keys_the_last_value_stands_at_the_first_place() {
    let scan = scan(
        r#"{"name":"a","versions":{"9.0.0":{}},"name":"b","time":{"x":"1","x":"2"},
            "versions":{"1.0.0":{"n":1},"2.0.0":{},"1.0.0":{"n":2}},"dist-tags":{"t":"1","t":"2"}}"#,
    );
    assert_eq!(scan.name.as_deref(), Some("b"));
    assert_eq!(keys(&scan), ["1.0.0", "2.0.0"]);
    assert_eq!(scan.version("1.0.0").unwrap().raw.get(), r#"{"n":2}"#);
    assert_eq!(scan.published_at("x"), Some("2"));
    assert_eq!(scan.dist_tags, [("t".into(), "2".into())]);
    let members: Vec<&str> = scan.members.iter().map(|(key, _)| &**key).collect();
    assert_eq!(members, ["name", "versions", "time", "dist-tags"]);
    assert!(scan.members[1].1.get().contains(r#"{"n":2}"#));
}

#[test]
fn a_version_that_is_no_object_costs_only_itself() {
    let scan = scan(
        r#"{"name":"x","versions":{"1.0.0":5,"1.1.0":{},"1.2.0":null,"1.3.0":"a","1.4.0":[{}]}}"#,
    );
    assert_eq!(keys(&scan), ["1.1.0"]);
    assert_eq!(scan.skipped, ["1.0.0", "1.2.0", "1.3.0", "1.4.0"]);
    assert_eq!(scan.version("1.1.0").unwrap().raw.get(), "{}");
}

#[test]
fn a_later_odd_duplicate_takes_the_version_away() {
    let scan = scan(r#"{"versions":{"1.0.0":{},"2.0.0":{},"1.0.0":7}}"#);
    assert_eq!((keys(&scan), scan.skipped.len()), (vec!["2.0.0"], 1));
}

#[test]
fn members_of_odd_types_count_as_absent() {
    for odd in
        ["null", "true", "5", "1e999", "\"text\"", "\"\\ud800\"", "[]", "[{\"a\":[1]}]", "{}"]
    {
        let body = format!(
            r#"{{"name":{odd},"_rev":{odd},"dist-tags":{odd},"versions":{odd},"time":{odd},"modified":{odd}}}"#
        );
        let scan = scan(&body);
        assert_eq!(scan.members.len(), 6, "{odd}");
        assert!(scan.versions.is_empty() && scan.dist_tags.is_empty() && scan.time.is_empty());
        assert_eq!(scan.name.is_some(), odd.starts_with('"'), "{odd}");
        assert_eq!(scan.member("versions").unwrap().get(), odd);
    }
    let scan = scan(r#"{"dist-tags":{"a":1,"b":"2"},"time":{"a":null,"b":"2","unpublished":{}}}"#);
    assert_eq!(scan.dist_tags, [("b".into(), "2".into())]);
    assert_eq!(scan.time, [("b".into(), "2".into())]);
}

#[test]
fn odd_keys_and_texts_are_read_without_panic() {
    let scan = scan(
        r#"{"__proto__":{"a":1},"constructor":null,"\ud800":1,"a\u0000b":2,"na\u006de":"\u0078",
            "versions":{"__proto__":{},"constructor":{},"\ud800":{},"1.0.0\u0000":{},"v1.0":{},"01.2.3":{},"":{}},
            "time":{"\udfff":"\ud800\ud800"}}"#,
    );
    assert_eq!(scan.name.as_deref(), Some("x"));
    assert_eq!(scan.versions.len(), 7);
    for entry in &scan.versions {
        assert!(scan.version(&entry.key).is_some(), "{}", entry.key);
        entry.facts().unwrap();
    }
}

#[test]
fn a_byte_order_mark_is_skipped_and_other_junk_refused() {
    assert_eq!(scan("\u{feff}{\"name\":\"x\"}").name.as_deref(), Some("x"));
    for body in [
        &b""[..],
        b" ",
        b"<!DOCTYPE html><html></html>",
        b"[]",
        b"null",
        b"\"x\"",
        b"{",
        b"{}{}",
        b"{\"a\":\xff}",
        b"{\"a\":\"\xff\"}",
        b"{\"\xc3\":1}",
        b"\x1f\x8b\x08\x00",
        b"{\"a\":1,}",
        b"{\"versions\":{\"1.0.0\":{}}",
        b"{\"versions\":{\"1.0.0\":{},}}",
        b"\xef\xbb\xbf",
    ] {
        assert!(PackumentScan::parse(body).is_err(), "{:?}", String::from_utf8_lossy(body));
    }
    let error = PackumentScan::parse(b"<html>").unwrap_err().to_string();
    assert_eq!(error, "document is not one JSON object: at byte 0 it is not an object");
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    for end in 0..PLAIN.len() {
        assert!(PackumentScan::parse(&PLAIN.as_bytes()[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        for body in [
            format!(r#"{{"name":"x","versions":{{"1.0.0":{{"a":{deep}}}}}}}"#),
            format!(r#"{{"name":"x","readme":{deep}}}"#),
            format!(r#"{{"name":"x","versions":{deep}}}"#),
        ] {
            let error = PackumentScan::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("deeper than 250 levels"), "{error}");
        }
    }
}

#[test]
fn shapes_of_documents() {
    use PackumentShape::*;
    for (body, shape) in [
        (r#"{"name":"x","versions":{"1.0.0":{}}}"#, Normal),
        (r#"{"name":"x","versions":{"1.0.0":{}},"time":{"unpublished":{}}}"#, Normal),
        (r#"{"versions":{"1.0.0":{}}}"#, Normal),
        (r#"{"name":"x","versions":{"0.0.1-security":{}}}"#, SecurityHolding),
        (r#"{"name":"x","versions":{"0.0.1-security":{},"0.0.1-security.2":{}}}"#, SecurityHolding),
        (r#"{"name":"x","versions":{"0.0.1-security":{},"1.0.0":{}}}"#, Normal),
        (r#"{"name":"x","versions":{"1.0.0-securityfix":{}}}"#, Normal),
        (
            r#"{"_id":"x","name":"x","time":{"unpublished":{"time":"2020","versions":["1.0.0"]}}}"#,
            Unpublished,
        ),
        (r#"{"name":"x","versions":{},"time":{"unpublished":{"time":"2020"}}}"#, Unpublished),
        (r#"{"name":"x","dist-tags":{},"versions":{}}"#, Emptied),
        (r#"{"name":"x","time":{"created":"2020"}}"#, Emptied),
        (r#"{"name":"x","versions":{"1.0.0":5}}"#, NotAPackument),
        (r#"{"error":"not_found","reason":"document not found"}"#, NotAPackument),
        (r#"{"name":"x","error":"not found"}"#, NotAPackument),
        (r#"{"name":"x","version":"1.0.0","dist":{}}"#, NotAPackument),
        (r#"{"name":"x","versions":null}"#, NotAPackument),
        ("{}", NotAPackument),
    ] {
        assert_eq!(scan(body).shape(), shape, "{body}");
    }
}

#[test]
fn memory_beside_the_body_stays_below_five_percent() {
    let mut body = String::from(r#"{"name":"x","versions":{"#);
    let filling = "y".repeat(5_000);
    for at in 0..2_000 {
        let comma = if at == 0 { "" } else { "," };
        body.push_str(&format!(r#"{comma}"1.{at}.0":{{"readme":"{filling}"}}"#));
    }
    body.push_str("},\"time\":{\"modified\":\"2020\"");
    for at in 0..2_000 {
        body.push_str(&format!(r#","1.{at}.0":"2020-01-01T00:00:00.000Z""#));
    }
    body.push_str("}}");
    let scan = scan(&body);
    assert_eq!(scan.versions.len(), 2_000);
    let held = scan.versions.capacity() * size_of::<VersionEntry<'_>>()
        + scan.time.capacity() * size_of::<(Cow<'_, str>, Cow<'_, str>)>()
        + scan.version_index.heap_bytes()
        + scan.time_index.heap_bytes();
    assert!(held * 20 < body.len(), "{held} bytes beside {}", body.len());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_document() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        prop::sample::select(vec!["name", "_rev", "versions", "time", "dist-tags", "readme"])
            .prop_map(str::to_owned),
        any::<String>(),
    ];
    let object = prop::collection::btree_map("[0-9.a-z\"é\\\\]{0,9}", any_value(), 0..6)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    prop::collection::btree_map(key, prop_oneof![object, any_value()], 0..8)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn texts(value: Option<&Value>) -> Vec<(String, String)> {
    let empty = Map::new();
    let map = value.and_then(Value::as_object).unwrap_or(&empty);
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn owned(list: &[(Cow<'_, str>, Cow<'_, str>)]) -> Vec<(String, String)> {
    list.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

proptest! {
    #[test]
    fn a_scan_says_what_a_tree_of_serde_json_says(document in any_document(), pretty in any::<bool>()) {
        let body = if pretty {
            serde_json::to_vec_pretty(&document).unwrap()
        } else {
            serde_json::to_vec(&document).unwrap()
        };
        let scan = PackumentScan::parse(&body).unwrap();
        let tree = document.as_object().unwrap();
        prop_assert_eq!(scan.members.len(), tree.len());
        for ((key, raw), (tree_key, value)) in scan.members.iter().zip(tree) {
            prop_assert_eq!(key, tree_key);
            prop_assert_eq!(&serde_json::from_str::<Value>(raw.get()).unwrap(), value);
        }
        prop_assert_eq!(scan.name.as_deref(), tree.get("name").and_then(Value::as_str));
        prop_assert_eq!(scan.rev.as_deref(), tree.get("_rev").and_then(Value::as_str));
        prop_assert_eq!(owned(&scan.dist_tags), texts(tree.get("dist-tags")));
        prop_assert_eq!(owned(&scan.time), texts(tree.get("time")));
        let empty = Map::new();
        let versions = tree.get("versions").and_then(Value::as_object).unwrap_or(&empty);
        let expected: Vec<(&String, &Value)> = versions.iter().filter(|(_, v)| v.is_object()).collect();
        prop_assert_eq!(scan.versions.len(), expected.len());
        prop_assert_eq!(scan.skipped.len(), versions.len() - expected.len());
        for (entry, (key, value)) in scan.versions.iter().zip(expected) {
            prop_assert_eq!(&entry.key, key);
            prop_assert_eq!(&serde_json::from_str::<Value>(entry.raw.get()).unwrap(), value);
            prop_assert_eq!(&scan.version(key).unwrap().key, key);
        }
        for (key, time) in texts(tree.get("time")) {
            prop_assert_eq!(scan.published_at(&key), Some(time.as_str()));
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PackumentScan::parse(&body);
    }

    #[test]
    fn a_damaged_body_is_refused_or_read_without_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut body = PLAIN.as_bytes().to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(scan) = PackumentScan::parse(&body) {
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok());
            let _ = scan.shape();
            for entry in &scan.versions {
                let _ = entry.facts();
            }
        }
    }
}
