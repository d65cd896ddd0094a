use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::block::stops;
use super::cursor::MAX_DEPTH;
use super::*;

fn accepts(text: &str) -> Result<(), Broken> {
    each_member(text, |_, _| {})
}

fn serde_accepts(text: &str) -> bool {
    let is_object = text.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{');
    is_object && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn any_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|text| quoted(&text)),
        "[ -~]{0,90}".prop_map(|text| quoted(&text)),
    ];
    scalar.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            object_of(inner),
        ]
    })
}

fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key = prop_oneof![any::<String>(), "[a-z]{1,12}", Just("__proto__".to_owned())];
    prop::collection::vec((key, value, "[ \n\t]{0,2}"), 0..8).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(key, value, space)| {
                format!("{space}{}{space}:{space}{value}{space}", quoted(key))
            })
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    write_string(&mut out, text);
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn members_are_those_that_serde_json_reads(text in object_of(any_json())) {
        let mut ours = Vec::new();
        each_member(&text, |key, value| ours.push((key.into_owned(), value.to_owned()))).unwrap();
        let mut theirs = Vec::new();
        for (key, value) in serde_members(&text) {
            theirs.push((key, value.get().to_owned()));
        }
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_damaged_text_is_refused_exactly_when_serde_json_refuses_it(
        text in object_of(any_json()), at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"{}[]\",:\\u0123456789eE+-. \n\x01tfnx".to_vec()),
        change in 0..3,
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match change {
            0 => { bytes.remove(at); }
            1 => bytes.insert(at, byte),
            _ => bytes[at] = byte,
        }
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(accepts(&text).is_ok(), serde_accepts(&text), "{}", text);
        }
    }

    #[test]
    fn json_like_noise_is_judged_as_serde_json_does(
        noise in "\\{(\"[a-c]{0,70}\"[:,]?|[\\[\\]\\{\\}:,]|\\\\|[0-9eE.+-]{1,4}|true|null|\\\\u[0-9a-f]{3,4}|[ \n])*\\}"
    ) {
        prop_assert_eq!(accepts(&noise).is_ok(), serde_accepts(&noise), "{}", noise);
    }

    #[test]
    fn a_text_cut_anywhere_is_refused(text in object_of(any_json()), at in any::<prop::sample::Index>()) {
        let at = at.index(text.len());
        if let Some(cut) = text.get(..at) {
            prop_assert!(accepts(cut).is_err());
        }
    }

    #[test]
    fn bit_masks_hold_what_a_loop_finds(block in prop::collection::vec(any::<u8>(), 64)) {
        let block: [u8; 64] = block.try_into().unwrap();
        let expected = block.iter().enumerate().fold(0_u64, |mask, (at, &byte)| {
            mask | (u64::from(byte < 0x20 || byte == b'"' || byte == b'\\') << at)
        });
        prop_assert_eq!(stops(&block), expected);
    }

    #[test]
    fn strings_survive_writing_and_reading(text in any::<String>()) {
        let written = quoted(&text);
        prop_assert_eq!(string(&written).unwrap(), text);
    }
}

fn serde_members(text: &str) -> Vec<(String, Box<RawValue>)> {
    struct Members;
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    use serde::Deserializer;
    serde_json::Deserializer::from_str(text).deserialize_map(Members).unwrap()
}

#[test]
fn nesting_has_a_limit_and_no_stack_overflow() {
    let nested =
        |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(accepts(&nested(MAX_DEPTH)), Ok(()));
    assert_eq!(accepts(&nested(MAX_DEPTH + 1)).unwrap_err().at, MAX_DEPTH + 5 - 1);
    assert!(accepts(&nested(10_000)).unwrap_err().rule.contains("250 levels"));
    let objects = "{\"a\":".repeat(10_000);
    assert!(accepts(&objects).unwrap_err().rule.contains("250 levels"));
    assert!(accepts(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn the_error_names_place_and_rule() {
    for (text, at, rule) in [
        ("", 0, "not an object"),
        ("[]", 0, "not an object"),
        ("{\"a\" 1}", 5, "colon"),
        ("{\"a\":1,}", 7, "key"),
        ("{\"a\":01}", 6, "comma"),
        ("{\"a\":-}", 6, "digit"),
        ("{\"a\":1.}", 7, "digit"),
        ("{\"a\":tru}", 5, "value"),
        ("{\"a\":\"\\x\"}", 6, "escape"),
        ("{\"a\":\"\\u12g4\"}", 6, "escape"),
        ("{\"a\":\"\n\"}", 6, "control"),
        ("{\"a\":\"", 6, "inside a string"),
        ("{\"a\":", 5, "ends"),
        ("{} x", 3, "follows"),
        ("{}\u{a0}", 2, "follows"),
    ] {
        let broken = accepts(text).unwrap_err();
        assert_eq!(broken.at, at, "{text}: {}", broken.rule);
        assert!(broken.rule.contains(rule), "{text}: {}", broken.rule);
        assert!(!serde_accepts(text), "{text}");
    }
}

#[test]
fn odd_but_valid_texts_are_read() {
    let odd = r#"{"\ud800":"\udc00","a\u0000b":1e999,"__proto__":{},"constructor":[],"":-0}"#;
    let mut keys = Vec::new();
    each_member(odd, |key, _| keys.push(key.into_owned())).unwrap();
    assert_eq!(keys, ["\u{fffd}\u{fffd}\u{fffd}", "a\0b", "__proto__", "constructor", ""]);
}

#[test]
fn a_raw_value_is_the_very_slice_it_was_made_of() {
    let text = String::from("{\"a\": [1, 2]}");
    let raw = borrow_raw(&text[6..12]).unwrap();
    assert_eq!(raw.get(), "[1, 2]");
    assert_eq!(offset_in(&text, raw.get()), 6);
    assert_eq!(serde_json::to_string(raw).unwrap(), "[1, 2]");
}

#[test]
fn of_duplicates_the_last_value_stands_at_the_first_place() {
    let mut list = vec![("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5)];
    fold_duplicates(&mut list, |(key, _)| key);
    assert_eq!(list, [("a", 3), ("b", 5), ("c", 4)]);
}
