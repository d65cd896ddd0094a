use super::*;

#[test]
fn a_signature_is_that_of_the_well_known_example() {
    // RFC 4231, test case 2
    let signature = sign("Jefe", &[b"what do ya want ", b"for nothing?"]);
    let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(signature, expected);
    assert_eq!(sign("Jefe", &[b"what do ya want for nothing?"]), expected);
}

#[test]
fn names_of_kinds_and_events_are_read_back() {
    for kind in HookEventKind::ALL {
        assert_eq!(HookEventKind::from_text(kind.as_str()), Some(kind));
    }
    for kind in [HookKind::Package, HookKind::Scope, HookKind::Owner] {
        assert_eq!(HookKind::from_text(kind.as_str()), Some(kind));
    }
    assert_eq!(HookKind::from_text("team"), None);
    assert_eq!(HookEventKind::from_text("package:change"), None);
}

#[test]
fn a_change_shows_what_applies_and_nothing_else() {
    let shown = |event: HookEvent| serde_json::to_string(&event.change).unwrap();
    assert_eq!(
        shown(HookEvent::publish("1.0.0", Some("latest"))),
        r#"{"dist-tag":"latest","version":"1.0.0"}"#
    );
    assert_eq!(shown(HookEvent::unpublish("1.0.0", None)), r#"{"version":"1.0.0"}"#);
    assert_eq!(shown(HookEvent::unpublish_all()), "{}");
    assert_eq!(shown(HookEvent::dist_tag_removed("next")), r#"{"dist-tag":"next"}"#);
    assert_eq!(shown(HookEvent::owner("ada")), r#"{"maintainer":"ada"}"#);
    assert_eq!(shown(HookEvent::undeprecated("1.0.0")), r#"{"deprecated":"1.0.0"}"#);
    assert_eq!(shown(HookEvent::star("ada")), r#"{"user":"ada"}"#);
}

#[test]
fn a_body_is_one_json_document_whatever_the_names_hold() {
    let body = HookBody {
        event: HookEventKind::Publish,
        change_json: r#"{"version":"1.0.0"}"#,
        name: "@garden/\"ui\"",
        owner: "ada\\",
        at_ms: 1_603_444_214_995,
        delivery: "0199c5d2",
    };
    let (front, back) = body.around();
    let text = format!(r#"{front}{{"name":"x"}}{back}"#);
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "event": "package:publish",
        "name": "@garden/\"ui\"",
        "type": "package",
        "version": "1.0.0",
        "hookOwner": { "username": "ada\\" },
        "payload": { "name": "x" },
        "change": { "version": "1.0.0" },
        "time": 1_603_444_214_995_i64,
        "delivery": "0199c5d2",
    });
    assert_eq!(read, expected);
}
