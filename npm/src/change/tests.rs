//! Every dialect, every oddity, and pages made of noise.

use proptest::prelude::*;

use super::*;

fn page(text: &str) -> ChangesPage {
    ChangesPage::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn row(seq: &str, id: &str) -> String {
    format!(r#"{{"seq":{seq},"id":{id},"changes":[{{"rev":"37-9f"}}]}}"#)
}

fn with(rows: &[String]) -> ChangesPage {
    page(&format!(r#"{{"results":[{}],"last_seq":0}}"#, rows.join(",")))
}

fn names(folded: &Folded) -> Vec<&str> {
    folded.changes.iter().map(|change| change.name.as_str()).collect()
}

#[test]
fn a_page_of_npm_is_read() {
    let page = page(
        r#"{"results":[
            {"seq":89797387,"id":"pino","changes":[{"rev":"37-9f"}]},
            {"seq":89797390,"id":"@garden/lamp","changes":[{"rev":"4-a"},{"rev":"5-b"}],"deleted":true}
        ],"last_seq":89797390}"#,
    );
    assert_eq!(page.rows, 2);
    assert_eq!(page.last_seq, Some(Seq(89_797_390)));
    let folded = page.fold(Seq(89_797_380), 10_000, None).unwrap();
    assert_eq!(names(&folded), ["pino", "@garden/lamp"]);
    assert_eq!((folded.next, folded.gap, folded.full), (Seq(89_797_390), 7, false));
    assert_eq!(folded.changes[0].generation, Some(37));
    assert_eq!(folded.changes[1].generation, Some(5));
    assert!(folded.changes[1].deleted && !folded.changes[0].deleted);
}

#[test]
fn the_inclusive_feed_of_a_cnpmcore_does_not_repeat_its_last_row() {
    let text = r#"{"results":[
        {"seq":7,"type":"PACKAGE_VERSION_ADDED","id":"old","changes":[{"version":"1.0.0"}]},
        {"seq":9,"type":"PACKAGE_TAG_ADDED","id":"lamp","changes":[{"tag":"latest"}]}]}"#;
    let folded = page(text).fold(Seq(7), 10_000, Some(Seq(9))).unwrap();
    assert_eq!(names(&folded), ["lamp"]);
    assert_eq!(folded.next, Seq(9));
    assert_eq!(folded.changes[0].generation, None);
    assert_eq!(page(text).fold(Seq(9), 10_000, None), None, "only what was read before");
}

#[test]
fn the_times_of_a_cnpmjsorg_are_places_in_milliseconds() {
    let text = |second: u32| {
        format!(
            r#"{{"results":[{{"id":"lamp","gmt_modified":"2023-05-06T07:08:{second:02}.009Z"}},
                {{"id":"bulb","gmt_modified":1683356900010}}]}}"#
        )
    };
    let read = page(&text(9));
    assert!(read.by_time);
    let folded = read.fold(Seq(1_683_356_889_000), 10_000, None).unwrap();
    assert_eq!(folded.next, Seq(1_683_356_900_010));
    assert_eq!(names(&folded), ["lamp", "bulb"]);
    // Full: the last millisecond is read again, in case it goes on behind the page.
    let again = page(&text(9)).fold(Seq(1_683_356_889_000), 2, None).unwrap();
    assert_eq!(again.next, Seq(1_683_356_900_009));
    // Nothing but that millisecond: this leads nowhere, and says so.
    assert_eq!(page(&text(9)).fold(Seq(1_683_356_900_009), 2, None), None);
}

#[test]
fn numbers_are_read_in_every_form_they_come_in() {
    for (raw, expected) in [
        ("12", Some(12)),
        ("0", Some(0)),
        (r#""12""#, Some(12)),
        (r#""12-g1AAAAB""#, Some(12)),
        (r#"[12,"g1AAAAB"]"#, Some(12)),
        ("9007199254740993", Some(9_007_199_254_740_993)),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("1e3", Some(1_000)),
        ("1000.0", Some(1_000)),
        ("1.5", None),
        ("-1", None),
        ("null", None),
        ("true", None),
        ("{}", None),
        (r#""now""#, None),
        (r#""""#, None),
    ] {
        let read = with(&[row(raw, r#""lamp""#)]);
        assert_eq!(read.changes[0].seq, expected.map(Seq), "seq {raw}");
    }
}

#[test]
fn an_odd_row_costs_itself_and_no_other() {
    let rows = [
        "7".to_owned(),
        "null".to_owned(),
        r#"{"seq":3}"#.to_owned(),
        row("4", "17"),
        row("5", r#""_design/app""#),
        row("6", r#""../x""#),
        r#"{"seq":8,"id":"lamp","changes":7,"more":{"a":[1]}}"#.to_owned(),
        r#"{"seq":9,"id":"bulb"}"#.to_owned(),
        r#"{"seq":1,"seq":10,"id":"x","id":"fuse","deleted":"yes"}"#.to_owned(),
        row("11", r#""broken \ud800 name""#),
    ];
    let read = with(&rows);
    assert_eq!((read.rows, read.unreadable), (10, 5), "design documents are no news: {read:?}");
    let folded = read.fold(Seq(2), 10_000, None).unwrap();
    assert_eq!(names(&folded)[..3], ["lamp", "bulb", "fuse"]);
    assert_eq!(folded.next, Seq(11));
    assert!(folded.changes.iter().all(|change| !change.deleted));
}

#[test]
fn broken_text_hides_one_name() {
    let mut body = br#"{"results":[{"seq":1,"id":"a"},{"seq":2,"id":"b"#.to_vec();
    body.push(0xff);
    body.extend_from_slice(br#""},{"seq":3,"id":"c"}]}"#);
    let folded = ChangesPage::parse(&body).unwrap().fold(Seq::START, 10, None).unwrap();
    assert_eq!(folded.next, Seq(3));
    assert!(names(&folded).contains(&"a") && names(&folded).contains(&"c"));
}

#[test]
fn what_is_no_page_is_an_error() {
    for body in
        ["", "<html>", "[]", "{}", r#"{"results":7}"#, r#"{"results":null}"#, "{\"results\":["]
    {
        assert!(ChangesPage::parse(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn a_name_stands_once_with_its_newest_row() {
    let deleted = r#"{"seq":5,"id":"lamp","changes":[{"rev":"9-x"}],"deleted":true}"#.to_owned();
    let again = r#"{"seq":8,"id":"lamp","changes":[{"rev":"1-x"}]}"#.to_owned();
    for rows in [[deleted.clone(), again.clone()], [again, deleted]] {
        let folded = with(&rows).fold(Seq(1), 10, None).unwrap();
        assert_eq!(folded.changes.len(), 1);
        assert_eq!(folded.changes[0].seq, Some(Seq(8)));
        assert!(!folded.changes[0].deleted, "deleted and made again is there");
        assert_eq!(folded.changes[0].generation, Some(9));
    }
}

#[test]
fn a_page_that_does_not_lead_on_is_no_news() {
    let old = with(&[row("3", r#""lamp""#), row("5", r#""bulb""#)]);
    assert_eq!(old.clone().fold(Seq(5), 10, None), None);
    assert_eq!(old.fold(Seq(9), 10, None), None);
    // Beside a row that leads on, an older one is a hint like any other.
    let mixed = with(&[row("3", r#""lamp""#), row("12", r#""bulb""#)]);
    assert_eq!(names(&mixed.fold(Seq(9), 10, None).unwrap()), ["lamp", "bulb"]);
    // An empty page says nothing, whatever it says of its end.
    assert_eq!(page(r#"{"results":[],"last_seq":99}"#).fold(Seq(9), 10, None), None);
}

#[test]
fn rows_without_number_lead_to_the_end_that_the_page_says() {
    let text = r#"{"results":[{"seq":null,"id":"lamp"},{"id":"bulb"}],"last_seq":"44-x"}"#;
    let folded = page(text).fold(Seq(9), 10, None).unwrap();
    assert_eq!((folded.next, folded.changes.len()), (Seq(44), 2));
    assert_eq!(page(text).fold(Seq(44), 10, None), None, "but not back and not on the spot");
}

#[test]
fn a_number_from_nowhere_does_not_carry_the_place_away() {
    let rows = [row("12", r#""lamp""#), row("9007199254740993", r#""odd""#)];
    let folded = with(&rows).fold(Seq(9), 10, Some(Seq(14))).unwrap();
    assert_eq!(folded.next, Seq(12));
    assert_eq!(names(&folded), ["lamp", "odd"], "news all the same");
    // The whole feed beyond everything known: then it really went there.
    let jumped = with(&[row("900000000", r#""lamp""#), row("900000005", r#""bulb""#)]);
    let folded = jumped.fold(Seq(9), 10, Some(Seq(14))).unwrap();
    assert_eq!((folded.next, folded.gap), (Seq(900_000_000), 899_999_991));
}

#[test]
fn a_page_is_full_at_the_limit_and_at_the_usual_size_of_feeds_that_choose_their_own() {
    let pages = |rows: usize| {
        let rows: Vec<_> = (1..=rows).map(|n| row(&n.to_string(), &format!("\"p{n}\""))).collect();
        with(&rows)
    };
    for (rows, limit, full) in [
        (1, 1, true),
        (1, 2, false),
        (200, 200, true),
        (199, 200, false),
        (999, 10_000, false),
        (1_000, 10_000, true),
        (10_000, 10_000, true),
        (10_001, 10_000, true),
    ] {
        let folded = pages(rows).fold(Seq::START, limit, None).unwrap();
        assert_eq!((folded.full, folded.changes.len()), (full, rows), "{rows} of {limit}");
    }
}

/// A feed's row, sane or not.
fn any_row() -> impl Strategy<Value = String> {
    let seq = prop_oneof![
        4 => (0_i64..400).prop_map(|n| n.to_string()),
        1 => (0_i64..400).prop_map(|n| format!("\"{n}\"")),
        1 => Just("null".to_owned()),
        1 => Just("9007199254740993".to_owned()),
        1 => Just("[7]".to_owned()),
        1 => Just("-4".to_owned()),
    ];
    let id = prop_oneof![
        6 => "[a-e]{1,2}".prop_map(|name| format!("\"{name}\"")),
        1 => Just("\"_design/x\"".to_owned()),
        1 => Just("\"\"".to_owned()),
        1 => Just("{}".to_owned()),
    ];
    let rest = prop_oneof![
        3 => Just(r#","changes":[{"rev":"3-a"}]"#.to_owned()),
        1 => Just(r#","deleted":true"#.to_owned()),
        1 => Just(r#","changes":null,"unknown":[{}]"#.to_owned()),
        1 => Just(String::new()),
    ];
    prop_oneof![
        8 => (seq, id, rest).prop_map(|(seq, id, rest)| format!(r#"{{"seq":{seq},"id":{id}{rest}}}"#)),
        1 => Just("17".to_owned()),
        1 => Just("[]".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// Whatever a page holds: the place moves on or stays, each name stands once, and no readable
    /// row that is news is missing.
    #[test]
    fn no_page_moves_back_or_loses_a_name(
        rows in prop::collection::vec(any_row(), 0..30),
        last_seq in prop_oneof![Just("null".to_owned()), (0_i64..500).prop_map(|n| n.to_string())],
        since in 0_i64..400,
        head in prop::option::of(0_i64..400),
    ) {
        let text = format!(r#"{{"results":[{}],"last_seq":{last_seq}}}"#, rows.join(","));
        let read = page(&text);
        prop_assert_eq!(read.rows, rows.len());
        let since = Seq(since);
        let before = read.clone();
        let Some(folded) = read.fold(since, 10_000, head.map(Seq)) else {
            let leads_on = |change: &Change| change.seq.is_some_and(|seq| seq > since && seq.0 < 400);
            prop_assert!(!before.changes.iter().any(leads_on), "{}", text);
            return Ok(());
        };
        prop_assert!(folded.next > since);
        let mut seen = std::collections::HashSet::new();
        prop_assert!(folded.changes.iter().all(|change| seen.insert(change.name.clone())));
        for change in before.changes.iter().filter(|change| change.seq != Some(since)) {
            let kept = folded.changes.iter().find(|kept| kept.name == change.name);
            prop_assert!(kept.is_some_and(|kept| kept.seq >= change.seq), "{}", text);
        }
    }

    /// Any bytes are an error or a page, never a panic.
    #[test]
    fn any_bytes_are_an_error_or_a_page(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ChangesPage::parse(&bytes);
    }
}

#[test]
fn the_head_of_a_feed_stands_at_its_root() {
    for (root, expected) in [
        (r#"{"db_name":"registry","update_seq":126365434}"#, Some(126_365_434)),
        (r#"{"update_seq":"99-g1AAAA"}"#, Some(99)),
        (r#"{"update_seq":null}"#, None),
        (r#"{"ok":true}"#, None),
        ("<html>", None),
    ] {
        assert_eq!(update_seq(root.as_bytes()), expected.map(Seq), "{root}");
    }
}

#[test]
fn a_page_that_only_repeats_is_told_from_one_that_leads_nowhere() {
    let since = Seq(7);
    let design = page(r#"{"results":[{"seq":9,"id":"_design/app"}]}"#);
    for (read, repeats) in [
        (page(r#"{"results":[],"last_seq":7}"#), true),
        (with(&[row("7", "\"lamp\"")]), true),
        (with(&[row("6", "\"lamp\"")]), false),
        (with(&[row("8", "\"lamp\"")]), false),
        (with(&["17".to_owned()]), false),
        (design.clone(), false),
    ] {
        assert_eq!(read.repeats(since), repeats, "{read:?}");
    }
    // A design document is no news, but the place moves past it.
    assert!(design.reaches(Seq(9)) && !design.reaches(Seq(10)));
    let folded = design.fold(since, 1, None).unwrap();
    assert_eq!((folded.next, folded.changes.len()), (Seq(9), 0));
}
