//! `GET /NAME/SPEC`: one version by number, tag or range.

use super::mirror;

#[tokio::test]
async fn a_spec_finds_its_version() {
    let mirror = mirror().await;
    let found = [
        ("1.0.0", "1.0.0"),
        ("=1.0.0", "1.0.0"),
        ("latest", "1.1.0"),
        ("next", "2.0.0-rc.1"),
        ("^1.0", "1.1.0"),
        ("%5E0.9.0", "0.9.0"),
        ("~1.0.0", "1.0.0"),
        ("*", "1.1.0"),
        ("%3E=2.0.0-rc.0", "2.0.0-rc.1"),
    ];
    for (spec, version) in found {
        let answer = mirror.get(&format!("/lamp/{spec}")).send().await.expect(200);
        let manifest = answer.json();
        assert_eq!(manifest["version"], version, "{spec}");
        assert_eq!(manifest["name"], "lamp");
        let tarball = format!("{}/lamp/-/lamp-{version}.tgz", mirror.url());
        assert_eq!(manifest["dist"]["tarball"], tarball, "{spec}");
        assert!(manifest["dist"]["signatures"].is_array(), "corepack needs them here");
    }
    assert_eq!(
        mirror.get("/@garden%2fui/latest").send().await.expect(200).json()["version"],
        "2.0.4"
    );
    mirror.finish().await;
}

#[tokio::test]
async fn a_spec_without_a_version_is_404_and_a_bad_one_422() {
    let mirror = mirror().await;
    for spec in ["7.7.7", "no-such-tag", "%5E9"] {
        let answer = mirror.get(&format!("/lamp/{spec}")).send().await.expect(404);
        assert!(answer.error().starts_with("[NOT_FOUND] lamp@"), "{}", answer.error());
    }
    for spec in ["git+ssh:%2f%2fhost%2frepo", "npm:other@1", "file:..%2fx"] {
        let answer = mirror.get(&format!("/lamp/{spec}")).send().await.expect(422);
        assert!(answer.error().starts_with("[INVALID_PARAM]"), "{spec}: {}", answer.error());
    }
    mirror.get("/ghost/latest").send().await.expect(404);
    mirror.finish().await;
}

#[tokio::test]
async fn dist_tags_are_listed() {
    let mirror = mirror().await;
    let tags = mirror.get("/-/package/lamp/dist-tags").send().await.expect(200).json();
    assert_eq!(tags, serde_json::json!({"latest": "1.1.0", "next": "2.0.0-rc.1"}));
    for target in ["/-/package/@garden%2fui/dist-tags", "/-/package/@garden/ui/dist-tags"] {
        let tags = mirror.get(target).send().await.expect(200).json();
        assert_eq!(tags, serde_json::json!({"latest": "2.0.4"}), "{target}");
    }
    mirror.get("/-/package/ghost/dist-tags").send().await.expect(404);
    mirror.finish().await;
}
