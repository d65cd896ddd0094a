//! What readers get of a version that was published.

use serde_json::json;
use store::VersionState;
use store::audit::{self, AuditFilter};

use super::{body_of, builder, document, open, publish, published, send};
use crate::harness::{TokenKind, Version, sri};

#[tokio::test]
async fn what_is_published_is_read_at_once_in_every_form() {
    let (mirror, token) = open().await;
    let made =
        Version::new("@garden/ui", "1.0.0", 40_000).member("scripts", json!({"install": "x"}));
    let answer = send(&mirror, &token, "@garden/ui", &body_of("@garden/ui", &made, "latest")).await;
    let answer = answer.expect(201).json();
    assert_eq!(answer["ok"], true);
    assert!(answer["rev"].as_str().expect("a rev").ends_with("-1.0.0"), "{answer}");
    let full = document(&mirror, "@garden/ui").await;
    let version = &full["versions"]["1.0.0"];
    assert_eq!(version["dist"]["integrity"], sri(&made.tarball));
    let address = format!("{}/@garden/ui/-/ui-1.0.0.tgz", mirror.url());
    assert_eq!(version["dist"]["tarball"], address);
    assert_eq!(
        (&version["dist"]["fileCount"], &version["_npmUser"]["name"]),
        (&json!(2), &json!("ada"))
    );
    assert!(version["dist"].get("signatures").is_none(), "not signed by anybody");
    assert_eq!(full["maintainers"][0]["name"], "ada");
    assert_eq!(full["readme"], "# @garden/ui 1.0.0");
    assert_eq!(full["time"]["1.0.0"], full["time"]["created"]);
    assert!(full["_rev"].as_str().expect("a rev").starts_with("1-"), "{full}");
    assert!(full.get("_attachments").is_none());
    let short = mirror.get("/@garden%2fui").abbreviated().send().await.expect(200).json();
    assert_eq!(short["versions"]["1.0.0"]["hasInstallScript"], true);
    assert!(short["versions"]["1.0.0"].get("_npmUser").is_none());
    let one = mirror.get("/@garden/ui/latest").send().await.expect(200).json();
    assert_eq!(one["version"], "1.0.0");
    let bytes = mirror.get("/@garden/ui/-/ui-1.0.0.tgz").send().await.expect(200).body;
    assert_eq!(bytes, made.tarball);
    let row = mirror.version("@garden/ui", "1.0.0").await;
    assert_eq!(row.state, VersionState::Held);
    let tags = mirror.get("/-/package/@garden%2fui/dist-tags").send().await.expect(200).json();
    assert_eq!(tags, json!({"latest": "1.0.0"}));
    assert_eq!(mirror.upstream.asked().len(), 0, "no upstream hears of it");
    mirror.finish().await;
}

#[tokio::test]
async fn later_versions_move_their_tags_and_the_feed_tells_them() {
    let (mirror, token) = open().await;
    publish(&mirror, &token, "@garden/ui", "1.0.0").await.expect(201);
    let next = Version::new("@garden/ui", "2.0.0-rc.1", 300);
    let next = body_of("@garden/ui", &next, "next");
    send(&mirror, &token, "@garden/ui", &next).await.expect(201);
    let full = document(&mirror, "@garden/ui").await;
    assert_eq!(full["dist-tags"], json!({"latest": "1.0.0", "next": "2.0.0-rc.1"}));
    assert_eq!(full["readme"], "# @garden/ui 1.0.0", "what latest says");
    assert!(full["_rev"].as_str().expect("a rev").starts_with("2-"));
    let feed = mirror.get("/_changes").send().await.expect(200).json();
    let rows = feed["results"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{feed}");
    assert_eq!(rows[0]["id"], "@garden/ui");
    assert_eq!(rows[0]["changes"][0]["rev"], full["_rev"]);
    assert_eq!(rows[0]["changes"][0]["version"], "2.0.0-rc.1");
    let filter =
        AuditFilter { action: Some("package.publish".into()), limit: 9, ..AuditFilter::default() };
    let rows = mirror.store().read(move |c| audit::list(c, &filter)).await.expect("rows");
    assert_eq!(rows.len(), 2);
    assert_eq!((&*rows[0].by.who, &*rows[0].subject), ("ada", "@garden/ui"));
    mirror.finish().await;
}

#[tokio::test]
async fn a_version_stays_what_it_is_and_sending_it_again_is_no_error() {
    let (mirror, token) = open().await;
    let made = Version::new("@garden/ui", "1.0.0", 300);
    let body = body_of("@garden/ui", &made, "latest");
    let first = send(&mirror, &token, "@garden/ui", &body).await.expect(201).json();
    let again = send(&mirror, &token, "@garden/ui", &body).await.expect(201).json();
    assert_eq!(first, again);
    let revision = document(&mirror, "@garden/ui").await["_rev"].clone();
    let other = body_of("@garden/ui", &made.clone().size(900), "latest");
    let refused = send(&mirror, &token, "@garden/ui", &other).await.expect(403);
    let text = "[FORBIDDEN] Can't modify pre-existing version: @garden/ui@1.0.0";
    assert_eq!(refused.error(), text);
    let mut words = body.clone();
    words["versions"]["1.0.0"]["description"] = json!("other words");
    assert_eq!(send(&mirror, &token, "@garden/ui", &words).await.expect(403).error(), text);
    assert_eq!(document(&mirror, "@garden/ui").await["_rev"], revision);
    let bytes = mirror.get("/@garden/ui/-/ui-1.0.0.tgz").send().await.expect(200).body;
    assert_eq!(bytes, made.tarball);
    mirror.finish().await;
}

#[tokio::test]
async fn what_is_published_here_is_held_back_by_no_rule_for_upstreams() {
    let mut mirror = builder()
        .engine(|settings| {
            settings.policy.hold.time = std::time::Duration::from_secs(7 * 24 * 3600);
            settings.policy.signatures = actors::SignaturePolicy::Require;
        })
        .start()
        .await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    published(&mirror, &token, "@garden/ui", &["1.0.0"]).await;
    for again in [false, true] {
        if again {
            mirror.restart().await;
        }
        assert!(document(&mirror, "@garden/ui").await["versions"].get("1.0.0").is_some());
        mirror.get("/@garden/ui/1.0.0").send().await.expect(200);
        mirror.get("/@garden/ui/-/ui-1.0.0.tgz").send().await.expect(200);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn provenance_is_kept_when_it_is_about_these_bytes() {
    use base64::Engine as _;
    let (mirror, token) = open().await;
    let made = Version::new("@garden/ui", "1.0.0", 300);
    let bundle = |sha512: &str| {
        let statement = json!({
            "predicateType": "https://slsa.example/provenance/v1",
            "subject": [{"name": "pkg:npm/%40garden/ui@1.0.0", "digest": {"sha512": sha512}}],
        });
        let payload = base64::engine::general_purpose::STANDARD.encode(statement.to_string());
        json!({"mediaType": "x", "dsseEnvelope": {"payload": payload, "signatures": []}})
    };
    let mut body = body_of("@garden/ui", &made, "latest");
    let file = "@garden/ui-1.0.0.sigstore";
    body["_attachments"][file] = json!({"data": bundle("00").to_string()});
    let refused = send(&mirror, &token, "@garden/ui", &body).await.expect(422).error();
    assert!(refused.contains("is not about this tarball"), "{refused}");
    let ours = bundle(&npm::Sha512Digest::of(&made.tarball).to_hex());
    body["_attachments"][file] = json!({"data": ours.to_string()});
    send(&mirror, &token, "@garden/ui", &body).await.expect(201);
    let full = document(&mirror, "@garden/ui").await;
    let told = &full["versions"]["1.0.0"]["dist"]["attestations"];
    let path = "/-/npm/v1/attestations/@garden%2fui@1.0.0";
    assert_eq!(told["url"], format!("{}{path}", mirror.url()));
    assert_eq!(told["provenance"]["predicateType"], "https://slsa.example/provenance/v1");
    let kept = mirror.get(path).send().await.expect(200).json();
    assert_eq!(kept["attestations"][0]["bundle"], ours);
    mirror.finish().await;
}
