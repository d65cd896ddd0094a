//! Bodies that are no publish, and what is answered to them.

use serde_json::{Value, json};

use super::{body_of, builder, document, open, publish, send};
use crate::harness::{TokenKind, Version, gzip};

const NAME: &str = "@garden/ui";

fn good() -> Value {
    body_of(NAME, &Version::new(NAME, "1.0.0", 300), "latest")
}

fn attachment(body: &mut Value) -> &mut Value {
    &mut body["_attachments"]["@garden/ui-1.0.0.tgz"]
}

#[tokio::test]
async fn bad_bodies_are_refused_in_the_words_of_the_contract_and_leave_nothing() {
    let (mirror, token) = open().await;
    type Case = (&'static str, fn(&mut Value), u16, &'static str);
    let cases: [Case; 15] = [
        (
            "no name",
            |b| drop(b.as_object_mut().unwrap().remove("name")),
            422,
            "[INVALID_PARAM] must have required property 'name'",
        ),
        ("tags", |b| b["dist-tags"] = json!([]), 422, "[INVALID_PARAM] dist-tags: must be object"),
        (
            "other name",
            |b| b["name"] = json!("@garden/other"),
            422,
            "[UNPROCESSABLE_ENTITY] fullname(@garden/ui) not match package.name(@garden/other)",
        ),
        (
            "no versions",
            |b| drop(b.as_object_mut().unwrap().remove("versions")),
            422,
            "[UNPROCESSABLE_ENTITY] versions is empty",
        ),
        (
            "no attachment",
            |b| b["_attachments"] = json!({}),
            422,
            "[UNPROCESSABLE_ENTITY] _attachments is empty",
        ),
        (
            "no tags",
            |b| b["dist-tags"] = json!({}),
            422,
            "[UNPROCESSABLE_ENTITY] dist-tags is empty",
        ),
        (
            "range as tag",
            |b| b["dist-tags"] = json!({"1.x": "1.0.0"}),
            422,
            "[INVALID_PARAM] tag: must match format \"semver-tag\"",
        ),
        (
            "tag elsewhere",
            |b| b["dist-tags"] = json!({"latest": "1.0.1"}),
            422,
            "[UNPROCESSABLE_ENTITY] dist-tags version \"1.0.1\" not match package version \"1.0.0\"",
        ),
        (
            "no data",
            |b| *attachment(b) = json!({"length": 3}),
            422,
            "[UNPROCESSABLE_ENTITY] attachment.data format invalid",
        ),
        (
            "data is no text",
            |b| attachment(b)["data"] = json!(7),
            422,
            "[UNPROCESSABLE_ENTITY] attachment.data format invalid",
        ),
        (
            "data is no base64",
            |b| attachment(b)["data"] = json!("a?bc"),
            422,
            "[UNPROCESSABLE_ENTITY] attachment.data string format invalid",
        ),
        (
            "integrity",
            |b| b["versions"]["1.0.0"]["dist"]["integrity"] = json!("sha512-AAAA"),
            422,
            "[UNPROCESSABLE_ENTITY] dist.integrity invalid",
        ),
        (
            "shasum",
            |b| {
                let dist = b["versions"]["1.0.0"]["dist"].as_object_mut().unwrap();
                dist.remove("integrity");
                dist.insert("shasum".into(), json!("00"));
            },
            422,
            "[UNPROCESSABLE_ENTITY] dist.shasum invalid",
        ),
        (
            "description",
            |b| b["description"] = json!("x".repeat(10_241)),
            422,
            "[INVALID_PARAM] description: must NOT have more than 10240 characters",
        ),
        (
            "no archive",
            |b| {
                let dist = b["versions"]["1.0.0"].as_object_mut().unwrap();
                dist.remove("dist");
                *attachment(b) = json!({"data": "AAAA"});
            },
            422,
            "tarball cannot be read",
        ),
    ];
    for (what, change, status, text) in cases {
        let mut body = good();
        change(&mut body);
        let answer = send(&mirror, &token, NAME, &body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.error().contains(text), "{what}: {}", answer.error());
    }
    let mut body = good();
    attachment(&mut body)["length"] = json!(1);
    let refused = send(&mirror, &token, NAME, &body).await.expect(422).error();
    assert!(refused.contains("attachment size 1 not match download size "), "{refused}");
    for text in ["", "null", "[]", "{", "{\"name\":", "{\"name\":\"@garden/ui\"}x", "\u{feff}{}"] {
        let put = mirror.request("PUT", "/@garden/ui").token(&token).body("application/json", text);
        let answer = put.send().await;
        assert!((400..500).contains(&answer.status), "{text}: {}", answer.text());
        answer.error();
    }
    mirror.get("/@garden/ui").send().await.expect(404);
    assert_eq!(mirror.versions(NAME).await.len(), 0);
    mirror.finish().await;
}

#[tokio::test]
async fn the_archive_has_to_be_that_of_the_version() {
    let (mirror, token) = open().await;
    let other = Version::new("@garden/other", "1.0.1", 300);
    let made = Version::new(NAME, "1.0.0", 300).with_tarball(other.tarball.to_vec());
    let refused = send(&mirror, &token, NAME, &body_of(NAME, &made, "latest")).await.expect(422);
    let text = "[UNPROCESSABLE_ENTITY] name,version mismatch between tarball and manifest";
    assert_eq!(refused.error(), text);
    let bomb = Version::new(NAME, "1.0.0", 300).with_tarball(gzip(&vec![0; 4 << 20]));
    let refused = send(&mirror, &token, NAME, &body_of(NAME, &bomb, "latest")).await.expect(422);
    assert!(refused.error().contains("no package.json"), "{}", refused.error());
    mirror.finish().await;
}

#[tokio::test]
async fn a_manifest_that_says_something_else_is_refused_where_that_is_wished() {
    let mirror = builder().serve(|settings| settings.publish.strict = true).start().await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let made = Version::new(NAME, "1.0.0", 300).member("dependencies", json!({"evil": "1"}));
    let refused = send(&mirror, &token, NAME, &body_of(NAME, &made, "latest")).await.expect(422);
    let text = "[UNPROCESSABLE_ENTITY] dependencies mismatch between tarball and manifest";
    assert_eq!(refused.error(), text);
    publish(&mirror, &token, NAME, "1.0.0").await.expect(201);
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_nothing_of_it_stays() {
    let mirror =
        builder().serve(|settings| settings.publish.max_tarball_bytes = 50_000).start().await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let large = Version::new(NAME, "1.0.0", 60_000);
    let refused = send(&mirror, &token, NAME, &body_of(NAME, &large, "latest")).await.expect(413);
    assert!(refused.error().contains("50000 bytes"), "{}", refused.error());
    let mut wordy = good();
    wordy["readme"] = json!("x".repeat(11 << 20));
    let put = mirror.request("PUT", "/@garden/ui").token(&token).json(&wordy);
    assert_eq!(put.send().await.status, 413);
    publish(&mirror, &token, NAME, "1.0.0").await.expect(201);
    assert_eq!(document(&mirror, NAME).await["dist-tags"]["latest"], "1.0.0");
    mirror.finish().await;
}
