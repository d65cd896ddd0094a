use npm::PackageName;
use proptest::prelude::*;
use store::facts::{Facts, ManifestFacts, VersionFactsRow};

use super::pattern::covers;
use super::{DenyRules, licence};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

fn row(size_bytes: Option<i64>, facts: ManifestFacts) -> VersionFactsRow {
    super::learn::as_row("1.0.0", size_bytes, facts)
}

#[test]
fn patterns_cover_whole_texts() {
    for (pattern, text, does) in [
        ("lamp", "lamp", true),
        ("lamp", "lamps", false),
        ("lamp*", "lamp", true),
        ("*lamp", "a-lamp", true),
        ("*", "", true),
        ("@garden/*", "@garden/ui", true),
        ("@garden/*", "@garden2/ui", false),
        ("a*b*c", "abc", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "acb", false),
        ("ab*ba", "aba", false),
        ("*a*", "b", false),
        ("**", "x", true),
        ("", "", true),
        ("", "x", false),
        ("l?mp", "lamp", false),
    ] {
        assert_eq!(covers(pattern, text), does, "{pattern:?} {text:?}");
    }
}

/// The plainest matcher there is: a `*` takes nothing, or one more character.
fn plain(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, first) => first.is_none(),
        (Some(('*', rest)), first) => {
            plain(rest, text) || first.is_some_and(|(_, behind)| plain(pattern, behind))
        }
        (Some((wanted, rest)), Some((found, behind))) => wanted == found && plain(rest, behind),
        (Some(_), None) => false,
    }
}

/// Words over a small alphabet, so that many of them match.
fn words(letters: &[char], length: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..length {
        let mut longer = Vec::new();
        for word in &last {
            longer.extend(letters.iter().map(|letter| format!("{word}{letter}")));
        }
        last = longer;
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn the_matcher_says_what_the_plainest_one_says() {
    let texts = words(&['a', 'b'], 6);
    for pattern in words(&['a', 'b', '*'], 5) {
        let wanted: Vec<char> = pattern.chars().collect();
        for text in &texts {
            let found: Vec<char> = text.chars().collect();
            assert_eq!(covers(&pattern, text), plain(&wanted, &found), "{pattern:?} {text:?}");
        }
    }
}

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

proptest! {
    #[test]
    fn the_matcher_and_the_plainest_one_agree_on_any_text(
        pattern in "[ab@/é*]{0,10}", text in "[ab@/é]{0,14}",
    ) {
        let plainly = plain(&characters(&pattern), &characters(&text));
        prop_assert_eq!(covers(&pattern, &text), plainly);
    }

    #[test]
    fn a_pattern_covers_what_it_is_filled_with_and_itself(
        first in "[ab@/é]{0,4}", filled in prop::collection::vec(("[ab*]{0,6}", "[ab@/é]{0,3}"), 0..5),
    ) {
        let (mut pattern, mut text) = (first.clone(), first);
        for (between, piece) in filled {
            pattern.extend(["*", &piece]);
            text.extend([between, piece]);
        }
        prop_assert!(covers(&pattern, &text), "{pattern:?} {text:?}");
        prop_assert!(covers(&pattern, &pattern), "{pattern:?}");
        prop_assert!(plain(&characters(&pattern), &characters(&text)), "{pattern:?} {text:?}");
    }
}

#[test]
fn licences_are_read_as_expressions() {
    for (patterns, text, does) in [
        (&["GPL-3.0"][..], Some("gpl-3.0"), true),
        (&["GPL-3.0"], Some("GPL-3.0-only"), false),
        (&["GPL-3.0*"], Some("GPL-3.0-only"), true),
        (&["GPL*"], Some("(MIT OR GPL-3.0)"), false),
        (&["GPL*", "MIT"], Some("(MIT OR GPL-3.0)"), true),
        (&["GPL*"], Some("MIT AND GPL-3.0"), true),
        (&["GPL*"], Some("MIT OR (ISC AND GPL-3.0)"), false),
        (&["GPL*", "MIT"], Some("MIT OR (ISC AND GPL-3.0)"), true),
        (&["GPL*"], Some("MIT AND (ISC OR GPL-3.0)"), false),
        (&["GPL-2.0"], Some("GPL-2.0+"), true),
        (&["GPL-2.0"], Some("GPL-2.0 WITH Classpath-exception-2.0"), true),
        (&["GPL-2.0 WITH *"], Some("GPL-2.0 WITH Classpath-exception-2.0"), true),
        (&["GPL-2.0 WITH *"], Some("GPL-2.0"), false),
        (&["UNLICENSED"], Some("UNLICENSED"), true),
        (&["SEE LICENSE*"], Some("SEE LICENSE IN LICENSE.txt"), true),
        (&["LICENSE"], Some("SEE LICENSE IN x"), false),
        (&["MIT"], Some("MIT OR"), false),
        (&["MIT"], Some("(MIT"), false),
        (&["MIT"], Some("((MIT))"), true),
        (&["none"], None, true),
        (&["none"], Some("MIT"), false),
        (&["GPL*"], None, false),
        (&["*"], None, true),
        (&[], None, false),
    ] {
        let patterns = texts(patterns);
        assert_eq!(licence::denied(&patterns, text).is_some(), does, "{patterns:?} {text:?}");
    }
}

#[test]
fn a_rule_names_itself_and_what_it_found() {
    let rules = DenyRules {
        names: texts(&["evil-*", "@bad/*"]),
        licences: texts(&["GPL*"]),
        larger_than_bytes: 1 << 20,
        install_scripts: true,
        except: texts(&["evil-twin", "@bad/good"]),
    };
    for (text, concerned, denied) in [
        ("evil-lamp", true, true),
        ("evil-twin", false, true),
        ("@bad/x", true, true),
        ("@bad/good", false, true),
        ("lamp", true, false),
    ] {
        assert_eq!(rules.concerns(&name(text)), concerned, "{text}");
        assert_eq!(rules.name(&name(text)).is_some(), denied, "{text}");
    }
    let told = |row: &VersionFactsRow| rules.version(row).map(|denied| denied.text());
    let facts = ManifestFacts { licence: Some("MIT".into()), ..ManifestFacts::default() };
    assert_eq!(told(&row(Some(1 << 20), facts.clone())), None);
    assert_eq!(
        told(&row(Some(3 << 20), facts.clone())).unwrap(),
        "its tarball has 3.0 MiB, more than 1.0 MiB (security.deny_larger_than)"
    );
    let announced = ManifestFacts { announced_bytes: Some(2 << 20), ..facts.clone() };
    assert!(told(&row(None, announced.clone())).unwrap().contains("2.0 MiB"));
    assert_eq!(told(&row(Some(9), announced)), None, "the real size counts more than the word");
    let gpl = ManifestFacts { licence: Some("GPL-3.0".into()), ..facts };
    assert_eq!(
        told(&row(None, gpl)).unwrap(),
        "its licence \"GPL-3.0\" matches \"GPL*\" (security.deny_licences)"
    );
    let runs = ManifestFacts { install_scripts: true, ..facts };
    assert_eq!(
        told(&row(None, runs)).unwrap(),
        "installing it runs scripts of its own (security.deny_install_scripts)"
    );
}

#[test]
fn what_is_not_known_is_denied_where_a_rule_asks_for_it() {
    let unknown = |facts| VersionFactsRow { version: "1.0.0".into(), size_bytes: Some(9), facts };
    let by_scripts = DenyRules { install_scripts: true, ..DenyRules::default() };
    let by_size = DenyRules { larger_than_bytes: 10, ..DenyRules::default() };
    for facts in [Facts::Gone, Facts::Unread] {
        assert!(by_scripts.version(&unknown(facts.clone())).is_some());
        assert_eq!(by_size.version(&unknown(facts)), None);
    }
    assert!(DenyRules::default().is_empty() && !by_size.is_empty());
}
