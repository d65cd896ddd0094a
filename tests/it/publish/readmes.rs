//! What a document says of its package is what its newest version says, whichever that becomes.

use serde_json::{Value, json};

use super::{body_of, document, open, published, send};
use crate::harness::{Answer, Package, TestMirror, TokenKind, Version};

const NAME: &str = "@garden/ui";

/// A version with words of its own; without a word it has no readme.
async fn publish(mirror: &TestMirror, token: &str, version: &str, word: &str) {
    let made = Version::new(NAME, version, 300)
        .member("description", json!(format!("about {word}")))
        .member("keywords", json!([word]));
    let mut body = body_of(NAME, &made, "latest");
    body["versions"][version]["readme"] = match word {
        "" => Value::Null,
        word => json!(format!("# {word} \u{e9}\u{0}")),
    };
    send(mirror, token, NAME, &body).await.expect(201);
}

async fn tells(mirror: &TestMirror, version: &str, word: &str) {
    let full = document(mirror, NAME).await;
    assert_eq!(full["dist-tags"]["latest"], version);
    assert_eq!(full["description"], format!("about {word}"), "{version}");
    assert_eq!(full["keywords"], json!([word]), "{version}");
    let readme = if word.is_empty() { String::new() } else { format!("# {word} \u{e9}\u{0}") };
    assert_eq!(full["readme"], readme, "{version}");
    for (_, manifest) in full["versions"].as_object().expect("versions") {
        assert!(manifest.get("readme").is_none(), "a document has one readme");
    }
    let one = mirror.get("/@garden/ui/latest").send().await.expect(200).json();
    assert_eq!((&one["version"], &one["readme"]), (&json!(version), &json!(readme)));
}

async fn unpublish(mirror: &TestMirror, token: &str, version: &str) -> Answer {
    let path = format!("/@garden/ui/-/ui-{version}.tgz/-rev/1");
    let request = mirror.request("DELETE", &path).header("npm-command", "unpublish");
    request.token(token).send().await
}

async fn tag_latest(mirror: &TestMirror, token: &str, version: &str) {
    let path = "/-/package/@garden%2fui/dist-tags/latest";
    let request = mirror.request("PUT", path).token(token).json(&json!(version));
    request.send().await.expect(200);
}

#[tokio::test]
async fn a_document_tells_what_its_latest_version_tells_whichever_becomes_that() {
    let (mirror, token) = open().await;
    for (version, word) in [("1.0.0", "one"), ("1.1.0", ""), ("1.2.0", "three")] {
        publish(&mirror, &token, version, word).await;
        tells(&mirror, version, word).await;
    }
    for (version, word) in [("1.0.0", "one"), ("1.1.0", ""), ("1.0.0", "one"), ("1.2.0", "three")] {
        tag_latest(&mirror, &token, version).await;
        tells(&mirror, version, word).await;
    }
    unpublish(&mirror, &token, "1.2.0").await.expect(200);
    tells(&mirror, "1.1.0", "").await;
    unpublish(&mirror, &token, "1.1.0").await.expect(200);
    tells(&mirror, "1.0.0", "one").await;
    // a number that is used again has nothing of the one before
    publish(&mirror, &token, "1.2.0", "").await;
    tag_latest(&mirror, &token, "1.0.0").await;
    tells(&mirror, "1.0.0", "one").await;
    tag_latest(&mirror, &token, "1.2.0").await;
    tells(&mirror, "1.2.0", "").await;
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_no_news_of_the_latest_version_leaves_its_text_alone() {
    let (mirror, token) = open().await;
    publish(&mirror, &token, "1.0.0", "one").await;
    let next = body_of(NAME, &Version::new(NAME, "2.0.0", 300), "next");
    send(&mirror, &token, NAME, &next).await.expect(201);
    tells(&mirror, "1.0.0", "one").await;
    let mut deprecated = document(&mirror, NAME).await;
    deprecated["versions"]["1.0.0"]["deprecated"] = json!("no more");
    let put = mirror.request("PUT", "/@garden%2fui").token(&token).json(&deprecated);
    put.send().await.expect(200);
    tells(&mirror, "1.0.0", "one").await;
    unpublish(&mirror, &token, "2.0.0").await.expect(200);
    tells(&mirror, "1.0.0", "one").await;
    mirror.finish().await;
}

#[tokio::test]
async fn the_text_of_a_version_that_came_from_an_upstream_is_there_again_when_it_is_the_latest() {
    let package = Package::new(NAME)
        .version_with("1.0.0", |version| version.member("description", json!("about old")))
        .member("readme", json!("# of the upstream"));
    let mut mirror = TestMirror::with(&[package]).await;
    mirror.sync(&[NAME]).await;
    mirror.change_engine(|settings| settings.private_scopes = vec!["@garden".to_owned()]).await;
    let (root, _) = mirror.token("root", TokenKind::Admin).await;
    published(&mirror, &root, NAME, &["2.0.0"]).await;
    assert_eq!(document(&mirror, NAME).await["readme"], "# @garden/ui 2.0.0");
    unpublish(&mirror, &root, "2.0.0").await.expect(200);
    let full = document(&mirror, NAME).await;
    assert_eq!(
        (&full["readme"], &full["description"]),
        (&json!("# of the upstream"), &json!("about old"))
    );
    mirror.finish().await;
}
