use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::integrity::Digests;
use crate::name::PackageName;
use crate::packument::PackumentScan;

fn scan_in(body: &[u8], cuts: &[usize]) -> Result<(Scanned, Vec<u8>), ScannerError> {
    let mut scanner = BodyScanner::new(1 << 20, 1 << 20);
    let mut tarball = Vec::new();
    let mut rest = body;
    for cut in cuts {
        let (piece, others) = rest.split_at((*cut).min(rest.len()));
        scanner.feed(piece, &mut tarball)?;
        rest = others;
    }
    scanner.feed(rest, &mut tarball)?;
    Ok((scanner.finish()?, tarball))
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::from("_attachments")),
        Just(serde_json::Value::from("data\\\"{[")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z\"\\\\_]{0,6}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_body_is_read_the_same_however_it_is_cut(
        tarball in prop::collection::vec(any::<u8>(), 1..600),
        others in prop::collection::btree_map("[a-z]{1,5}", json_value(), 0..4),
        file in "[a-z\"\\\\/é]{1,8}",
        data_first in any::<bool>(),
        attachments_first in any::<bool>(),
        pretty in any::<bool>(),
        escape_slashes in any::<bool>(),
        cuts in prop::collection::vec(1_usize..40, 0..60),
    ) {
        let mut text = serde_json::to_string(&STANDARD.encode(&tarball)).unwrap();
        if escape_slashes {
            text = text.replace('/', "\\/");
        }
        let key = serde_json::to_string(&file).unwrap();
        let inner = match data_first {
            true => format!(r#"{{"data":{text},"length":{}}}"#, tarball.len()),
            false => format!(r#"{{"length":{},"data":{text}}}"#, tarball.len()),
        };
        let attachments = format!(r#""_attachments":{{{key}:{inner}}}"#);
        let others = match pretty {
            true => serde_json::to_string_pretty(&others).unwrap(),
            false => serde_json::to_string(&others).unwrap(),
        };
        let others = others.strip_prefix('{').unwrap().strip_suffix('}').unwrap().to_owned();
        let members = match (others.trim().is_empty(), attachments_first) {
            (true, _) => attachments,
            (false, true) => format!("{attachments},{others}"),
            (false, false) => format!("{others},{attachments}"),
        };
        let body = format!("{{{members}}}");
        let (scanned, found) = scan_in(body.as_bytes(), &cuts).unwrap();
        prop_assert_eq!(&found, &tarball);
        prop_assert_eq!(scanned.tarball_file.as_deref(), Some(&*file));
        prop_assert_eq!(scanned.tarball_bytes, tarball.len() as u64);
        let mut whole: serde_json::Value = serde_json::from_str(&body).unwrap();
        whole["_attachments"][&file]["data"] = "".into();
        let read: serde_json::Value = serde_json::from_slice(&scanned.document).unwrap();
        prop_assert_eq!(read, whole);
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(
        body in prop::collection::vec(
            prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b'\\'), Just(b':'), Just(b','),
                        Just(b'['), Just(b'='), any::<u8>()], 0..200),
        cuts in prop::collection::vec(1_usize..9, 0..40),
    ) {
        let mut start = br#"{"_attachments":{"a.tgz":{"data":"#.to_vec();
        start.extend_from_slice(&body);
        let whole = scan_in(&start, &[]);
        let cut = scan_in(&start, &cuts);
        match (whole, cut) {
            (Ok(whole), Ok(cut)) => prop_assert_eq!(whole, cut),
            (Err(_), Err(_)) => {}
            (whole, cut) => prop_assert!(false, "{whole:?} and {cut:?}"),
        }
    }
}

#[test]
fn only_the_first_tarball_is_decoded_and_provenance_stays_text() {
    let body = br#"{"_attachments":{"a.sigstore":{"data":"{\"x\":1}"},"a.tgz":{"data":"AAAA"},
        "b.tgz":{"data":"BBBB"}},"x":{"y":{"data":"CCCC"}},"data":"D"}"#;
    let (scanned, tarball) = scan_in(body, &[]).unwrap();
    assert_eq!(tarball, [0, 0, 0]);
    assert_eq!(scanned.tarball_file.as_deref(), Some("a.tgz"));
    let text = String::from_utf8(scanned.document).unwrap();
    assert!(text.contains(r#"{\"x\":1}"#) && text.contains("CCCC"), "{text}");
    assert!(!text.contains("AAAA") && !text.contains("BBBB"), "{text}");
}

#[test]
fn limits_and_broken_texts_are_told_apart() {
    let body = |data: &str| format!(r#"{{"_attachments":{{"a.tgz":{{"data":"{data}"}}}}}}"#);
    let mut scanner = BodyScanner::new(1000, 5);
    let failed = scanner.feed(body("AAAAAAAA").as_bytes(), &mut Vec::new());
    assert_eq!(failed, Err(ScannerError::TarballTooLarge { limit: 5 }));
    let mut scanner = BodyScanner::new(10, 5);
    let failed = scanner.feed(body("AAAA").as_bytes(), &mut Vec::new());
    assert_eq!(failed, Err(ScannerError::DocumentTooLarge { limit: 10 }));
    for data in ["AA==AAAA", "A?AA", "AAA\\n", "AAAA=", "=", "AA A", "é"] {
        assert_eq!(scan_in(body(data).as_bytes(), &[]).err(), Some(ScannerError::Base64), "{data}");
    }
    for (data, bytes) in [("AAA", 2), ("AAA=", 2), ("AA", 1), ("AA==", 1), ("", 0)] {
        let (scanned, _) = scan_in(body(data).as_bytes(), &[]).unwrap();
        assert_eq!(scanned.tarball_bytes, bytes, "{data}");
    }
    assert_eq!(scan_in(br#"{"a":"b"#, &[]).err(), Some(ScannerError::Unfinished));
    let deep = "[".repeat(300);
    assert_eq!(scan_in(deep.as_bytes(), &[]).err(), Some(ScannerError::TooDeep));
}

fn facts() -> TarballFacts {
    let (sha512, shasum) = Digests::default().finish();
    TarballFacts { sha512, shasum, bytes: 3, files: 1, unpacked_bytes: 9, has_shrinkwrap: false }
}

fn refusal(body: &str) -> String {
    let name = PackageName::parse("lamp").unwrap();
    let body = match PublishBody::parse(body) {
        Ok(body) => body,
        Err(error) => return error.to_string(),
    };
    let file = body.check_name(&name).and_then(|()| body.deprecations());
    match file {
        Ok(None) => body.published(Some("l.tgz"), Some(&facts())).map(|_| ()).unwrap_err(),
        Ok(Some(told)) => return format!("{told:?}"),
        Err(error) => error,
    }
    .to_string()
}

#[test]
fn bad_bodies_are_refused_in_the_words_of_the_contract() {
    let a = r#""_attachments":{"l.tgz":{"data":"","length":3}}"#;
    for (body, text) in [
        ("[]", "the body is not one JSON object: at byte 0 it is not an object"),
        ("{}", "must have required property 'name'"),
        (r#"{"name":1}"#, "name: must be string"),
        (r#"{"name":"lamp","versions":[]}"#, "versions: must be object"),
        (r#"{"name":"lamp","dist-tags":"x"}"#, "dist-tags: must be object"),
        (r#"{"name":"lamps"}"#, "fullname(lamp) not match package.name(lamps)"),
        (r#"{"name":"lamp"}"#, "versions is empty"),
        (r#"{"name":"lamp","versions":{}}"#, "versions is empty"),
        (r#"{"name":"lamp","versions":{"1.0.0":{}}}"#, "_attachments is empty"),
        (r#"{"name":"lamp","versions":{"1.0.0":{"deprecated":""}}}"#, r#"[("1.0.0", "")]"#),
    ] {
        assert_eq!(refusal(body), text, "{body}");
    }
    for (rest, text) in [
        (r#""versions":{"1":{}}"#, "version: must match format \"semver-version\""),
        (r#""versions":{"1.0.0":{}}"#, "dist-tags is empty"),
        (
            r#""versions":{"1.0.0":{}},"dist-tags":{"1.x":"1.0.0"}"#,
            "tag: must match format \"semver-tag\"",
        ),
        (
            r#""versions":{"1.0.0":{}},"dist-tags":{"latest":1}"#,
            "version: must match format \"semver-version\"",
        ),
        (
            r#""versions":{"1.0.0":{}},"dist-tags":{"latest":"1.0.1"}"#,
            "dist-tags version \"1.0.1\" not match package version \"1.0.0\"",
        ),
        (
            r#""versions":{"1.0.0":{"name":"other"}},"dist-tags":{"latest":"1.0.0"}"#,
            "name of versions/1.0.0 not match the document",
        ),
        (
            r#""versions":{"1.0.0":{"dist":{"integrity":"sha512-AAAA"}}},"dist-tags":{"latest":"1.0.0"}"#,
            "dist.integrity invalid",
        ),
        (
            r#""versions":{"1.0.0":{"dist":{"shasum":"aa"}}},"dist-tags":{"latest":"1.0.0"}"#,
            "dist.shasum invalid",
        ),
    ] {
        assert_eq!(refusal(&format!(r#"{{"name":"lamp",{a},{rest}}}"#)), text, "{rest}");
    }
    let short = a.replace('3', "4");
    let body = format!(
        r#"{{"name":"lamp",{short},"versions":{{"1.0.0":{{}}}},"dist-tags":{{"latest":"1.0.0"}}}}"#
    );
    assert_eq!(refusal(&body), "attachment size 4 not match download size 3");
}

#[test]
fn what_is_stored_says_what_only_the_registry_knows() {
    let name = PackageName::parse("@garden/lamp").unwrap();
    let sent = r#"{"name":"@garden/lamp","version":"1.0.0","readme":"long","_rev":"9",
        "dist":{"tarball":"http://elsewhere/x.tgz","signatures":[{}],"extra":1},"x":{"y":1},"x":2}"#;
    let origin =
        VersionOrigin { user: "ada", email: "a@b", maintainers: r#"[{"name":"ada"}]"#, at_ms: 7 };
    let manifest = stored_manifest(&name, "1.0.0", sent, &facts(), &origin, &[]);
    let read: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(read["dist"]["tarball"], "/@garden/lamp/-/lamp-1.0.0.tgz");
    assert_eq!(read["dist"]["extra"], 1);
    assert_eq!(read["_npmUser"]["name"], "ada");
    assert_eq!(read["_id"], "@garden/lamp@1.0.0");
    assert_eq!(read["x"], 2);
    assert!(read["dist"].get("signatures").is_none() && read.get("readme").is_none());
    let deprecated = with_deprecation(&manifest, Some("use \"lamps\""));
    let again: serde_json::Value = serde_json::from_str(&deprecated).unwrap();
    assert_eq!(again["deprecated"], "use \"lamps\"");
    assert_eq!(with_deprecation(&deprecated, None), manifest);
}

#[test]
fn a_draft_changes_what_it_is_told_and_nothing_else() {
    let name = PackageName::parse("lamp").unwrap();
    let mut draft = Draft::new(&name, "t0");
    for (version, at) in [("1.0.0", "t1"), ("2.0.0-rc.1", "t2"), ("1.1.0", "t3")] {
        draft.put_version(version, format!(r#"{{"version":"{version}","license":"MIT"}}"#));
        draft.put_time(version, at);
    }
    draft.put_tag("latest", "1.1.0");
    draft.put_tag("beta", "2.0.0-rc.1");
    draft.follow_latest();
    draft.revise("t4");
    let text = draft.text();
    let scan = PackumentScan::parse(&text).unwrap();
    assert_eq!(Draft::of(&scan), draft);
    assert_eq!(scan.published_at("modified"), Some("t4"));
    assert!(scan.rev.as_deref().unwrap().starts_with("1-"));
    assert_eq!(draft.remove_version("1.1.0"), ["latest"]);
    assert_eq!(draft.tag("latest"), Some("1.0.0"), "a release comes before a prerelease");
    assert_eq!(draft.remove_version("1.0.0"), ["latest"]);
    assert_eq!(draft.tag("latest"), Some("2.0.0-rc.1"));
    draft.revise("t5");
    assert!(draft.member("_rev").unwrap().starts_with("\"2-"));
    draft.unpublish("t6");
    let text = String::from_utf8(draft.text()).unwrap();
    assert!(
        text.contains(r#""time":{"created":"t0","modified":"t6","unpublished":"t6"}"#),
        "{text}"
    );
    let scan = PackumentScan::parse(text.as_bytes()).unwrap();
    assert_eq!(scan.shape(), crate::PackumentShape::Unpublished);
}
