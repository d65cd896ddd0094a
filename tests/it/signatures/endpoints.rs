//! `/-/npm/v1/keys` and `/-/npm/v1/attestations/:spec`: kept, and answered without upstream.

use serde_json::json;

use super::{lamp, mirror_of, signer};
use crate::harness::{KEYS_PATH, TestMirror, key_list};

const ATTESTATIONS: &str = "/-/npm/v1/attestations/@garden/lamp@1.0.0";

#[tokio::test]
async fn keys_are_served_also_without_upstream_and_after_a_restart() {
    let signer = signer();
    let mut mirror = mirror_of(&[], &[signer.key(None)]).await;
    let list = key_list(&[signer.key(None)]);
    for target in [KEYS_PATH, "/-/npm/v1/keys/"] {
        assert_eq!(mirror.get(target).send().await.expect(200).json(), list);
    }
    assert_eq!(mirror.upstream.count(KEYS_PATH), 1);
    mirror.upstream.go_down();
    mirror.restart().await;
    assert_eq!(mirror.get(KEYS_PATH).send().await.expect(200).json(), list);
    mirror.finish().await;
}

#[tokio::test]
async fn a_registry_that_does_not_sign_is_404_and_one_that_is_away_503() {
    let mut mirror = TestMirror::with(&[lamp()]).await;
    mirror.get(KEYS_PATH).send().await.expect(404);
    mirror.upstream.go_down();
    mirror.restart().await;
    mirror.get(KEYS_PATH).send().await.expect(503);
    mirror.finish().await;
}

#[tokio::test]
async fn attestations_are_fetched_once_and_kept() {
    let mut mirror = TestMirror::with(&[lamp()]).await;
    let body = json!({"attestations": [{"predicateType": "x", "bundle": {"a": 1}}]});
    mirror.upstream.put_json(ATTESTATIONS, &body);
    for target in [
        "/-/npm/v1/attestations/@garden%2flamp@1.0.0",
        "/-/npm/v1/attestations/@garden%2Flamp%401.0.0",
        "/-/npm/v1/attestations/@garden/lamp@1.0.0",
    ] {
        assert_eq!(mirror.get(target).send().await.expect(200).json(), body, "{target}");
    }
    assert_eq!(mirror.upstream.count(ATTESTATIONS), 1);
    mirror.upstream.go_down();
    mirror.restart().await;
    assert_eq!(mirror.get(ATTESTATIONS).send().await.expect(200).json(), body);
    mirror.get("/-/npm/v1/attestations/@garden%2flamp@1.1.0").send().await.expect(503);
    mirror.finish().await;
}

#[tokio::test]
async fn that_a_version_has_none_is_remembered() {
    let mut mirror = TestMirror::with(&[lamp()]).await;
    for _ in 0..3 {
        mirror.get(ATTESTATIONS).send().await.expect(404);
    }
    assert_eq!(mirror.upstream.count(ATTESTATIONS), 1);
    mirror.upstream.go_down();
    mirror.get(ATTESTATIONS).send().await.expect(404);
    mirror.get("/-/npm/v1/attestations/lamp").send().await.expect(422);
    mirror.finish().await;
}
