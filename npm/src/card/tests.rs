use super::*;
use crate::render::shown_tags;

const LAMP: &str = r#"{"_rev":"7-abc","name":"@garden/lamp","maintainers":[{"name":"ada","email":"ada@garden.example"},"bo <bo@garden.example>"],
    "dist-tags":{"latest":"1.1.0","old":"0.9.0"},
    "time":{"created":"2024-01-01T00:00:00.000Z","modified":"2024-03-01T00:00:00.000Z","0.9.0":"2024-01-01T00:00:00.000Z","1.1.0":"2024-02-01T00:00:00.000Z"},
    "versions":{"0.9.0":{"version":"0.9.0","description":"old lamp","keywords":"dark, wick  oil"},
    "1.1.0":{"version":"1.1.0","description":"A lamp","keywords":["light",5,"garden"],"license":{"type":"MIT"},
    "author":"Ada (http://ada.example) <ada@garden.example>","repository":{"type":"git","url":"git://x.example/lamp"},
    "bugs":"http://x.example/bugs","deprecated":"buy a torch","_npmUser":{"name":"ada","email":"ada@garden.example"}}}}"#;

fn card<T>(body: &str, hidden: &[&str], look: impl FnOnce(Option<&Card<'_>>) -> T) -> T {
    let scan = PackumentScan::parse(body.as_bytes()).unwrap();
    let hidden = |version: &str| hidden.contains(&version);
    let tags = shown_tags(&scan, &hidden);
    look(Card::of(&scan, "@garden/lamp", "default", &tags, &hidden).as_ref())
}

#[test]
fn the_card_is_that_of_latest() {
    card(LAMP, &[], |card| {
        let card = card.unwrap();
        assert_eq!((card.version, card.scope, card.rev), ("1.1.0", "garden", Some("7-abc")));
        assert_eq!(card.keywords, ["light", "garden"]);
        assert_eq!(card.versions, ["0.9.0", "1.1.0"]);
        assert_eq!(card.license.as_deref(), Some("MIT"));
        assert_eq!(card.publish_time, Some(1_706_745_600_000));
        assert_eq!(card.deprecated.as_deref(), Some("buy a torch"));
        assert_eq!(card.author.as_ref().unwrap().name.as_deref(), Some("Ada"));
        assert_eq!(card.author.as_ref().unwrap().email.as_deref(), Some("ada@garden.example"));
        let logins: Vec<_> = card.maintainers.iter().map(|one| one.username.as_deref()).collect();
        assert_eq!(logins, [Some("ada"), Some("bo")]);
        assert_eq!(card.links.repository.as_deref(), Some("git://x.example/lamp"));
        assert!(!card.is_unstable());
        let json = serde_json::to_value(card).unwrap();
        assert_eq!(json["dist-tags"]["old"], "0.9.0");
        assert_eq!(json["publisher"]["username"], "ada");
    });
}

#[test]
fn a_hidden_version_stands_for_nothing() {
    card(LAMP, &["1.1.0"], |card| {
        let card = card.unwrap();
        assert_eq!((card.version, &card.versions[..]), ("0.9.0", &["0.9.0"][..]));
        assert_eq!(card.keywords, ["dark", "wick", "oil"]);
        assert_eq!(card.dist_tags, [("latest", "0.9.0"), ("old", "0.9.0")].into());
        assert!(card.is_unstable());
    });
    card(LAMP, &["1.1.0", "0.9.0"], |card| assert!(card.is_none()));
}

#[test]
fn odd_documents_have_a_card_all_the_same() {
    let odd = r#"{"versions":{"1.0.0-rc.1":{"description":7,"keywords":{"a":1},"license":["x"],
        "licenses":[{"type":"ISC"}],"author":[],"maintainers":"cy","bugs":null,"repository":""}}}"#;
    card(odd, &[], |card| {
        let card = card.unwrap();
        assert_eq!((card.version, card.description.as_deref()), ("1.0.0-rc.1", None));
        assert!(card.keywords.is_empty() && card.author.is_none());
        assert_eq!(card.license.as_deref(), Some("ISC"));
        assert_eq!(card.maintainers.first().unwrap().username.as_deref(), Some("cy"));
        assert_eq!(card.links, Links::default());
        assert!(card.is_unstable());
    });
    card(r#"{"versions":{}}"#, &[], |card| assert!(card.is_none()));
}

#[test]
fn a_very_long_text_is_cut() {
    let body = format!(r#"{{"versions":{{"1.0.0":{{"description":"{}"}}}}}}"#, "ä".repeat(5_000));
    card(&body, &[], |card| {
        assert_eq!(card.unwrap().description.as_ref().unwrap().chars().count(), LONGEST_TEXT);
    });
}
