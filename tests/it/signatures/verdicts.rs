//! What a sync writes down about each version's signature.

use serde_json::json;
use store::{TaskState, VersionState, alarms};

use super::{LAMP, all, lamp, mirror_of, signer, verdicts};
use crate::harness::{KEYS_PATH, Signer, TestMirror, key_list};

#[tokio::test]
async fn good_signatures_are_valid_and_the_keys_are_asked_for_once() {
    let signer = signer();
    let packages =
        [signer.signed(lamp()), signer.signed(crate::harness::Package::new("b").version("1.0.0"))];
    let mirror = mirror_of(&packages, &[signer.key(None)]).await;
    mirror.sync(&[LAMP, "b"]).await;
    assert_eq!(verdicts(&mirror, LAMP).await, all("valid"));
    assert_eq!(mirror.upstream.count(KEYS_PATH), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_wrong_signature_is_an_alarm_and_recorded_only() {
    let signer = signer();
    let mut package = signer.signed(lamp());
    let wrong = signer.sign("@garden/lamp@1.0.0:something else");
    package.versions[0].dist.insert("signatures".into(), json!([wrong]));
    let mirror = mirror_of(&[package.clone()], &[signer.key(None)]).await;
    let rows = mirror.sync(&[LAMP]).await;
    assert_eq!(rows[0].state, TaskState::Success);
    assert_eq!(
        verdicts(&mirror, LAMP).await,
        [("1.0.0".into(), "invalid"), ("1.1.0".into(), "valid")]
    );
    let log = mirror.log(rows[0].id).await;
    assert!(log.contains("the registry signature of @garden/lamp@1.0.0 is wrong"), "{log}");
    let raised = mirror.store().read(|rows| alarms::newest(rows, 10)).await.expect("alarms");
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(mirror.version(LAMP, "1.0.0").await.state, VersionState::Held);
    mirror.get(&package.tarball_path("1.0.0")).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_key_counts_by_the_time_of_the_publish() {
    let signer = signer();
    let package = signer.signed(lamp());
    let mirror = mirror_of(&[package], &[signer.key(Some("2020-01-02T00:00:00.000Z"))]).await;
    mirror.sync(&[LAMP]).await;
    let times = [("1.0.0".to_owned(), "valid"), ("1.1.0".to_owned(), "expired key")];
    assert_eq!(verdicts(&mirror, LAMP).await, times);
    mirror.finish().await;
}

#[tokio::test]
async fn missing_signatures_and_unknown_keys_are_told_apart() {
    let (signer, other) = (signer(), Signer::new("SHA256:other"));
    let mut package = other.signed(lamp());
    package.versions[1].dist.remove("signatures");
    let mirror = mirror_of(&[package], &[signer.key(None)]).await;
    mirror.sync(&[LAMP]).await;
    let found = [("1.0.0".to_owned(), "unknown key"), ("1.1.0".to_owned(), "unsigned")];
    assert_eq!(verdicts(&mirror, LAMP).await, found);
    mirror.finish().await;
}

#[tokio::test]
async fn a_registry_without_keys_gives_no_verdict_until_it_has_some() {
    let signer = signer();
    let mut mirror = TestMirror::with(&[signer.signed(lamp())]).await;
    mirror.sync(&[LAMP]).await;
    assert_eq!(verdicts(&mirror, LAMP).await, all("no keys"));
    mirror.upstream.put_json(KEYS_PATH, &key_list(&[signer.key(None)]));
    mirror.restart().await; // keys are asked for every hour, and by a fresh process
    mirror.upstream.publish(&signer.signed(lamp().tag("beta", "1.0.0")));
    mirror.sync(&[LAMP]).await;
    assert_eq!(verdicts(&mirror, LAMP).await, all("valid"), "judged anew under the same manifest");
    mirror.finish().await;
}

#[tokio::test]
async fn a_list_that_flaps_between_two_back_ends_takes_no_key_away() {
    let (old, new) = (signer(), Signer::new("SHA256:second"));
    let package = old.signed(lamp());
    let mut mirror = mirror_of(&[package], &[old.key(None)]).await;
    mirror.sync(&[LAMP]).await;
    mirror.upstream.put_json(KEYS_PATH, &key_list(&[new.key(None)]));
    mirror.restart().await;
    let more = new.signed(crate::harness::Package::new("more").version("1.0.0").version("1.1.0"));
    mirror.upstream.publish(&more);
    mirror.upstream.publish(&old.signed(lamp().version("2.0.0")));
    mirror.sync(&[LAMP, "more"]).await;
    assert_eq!(verdicts(&mirror, "more").await, all("valid"));
    assert!(verdicts(&mirror, LAMP).await.iter().all(|(_, verdict)| *verdict == "valid"));
    let listed = mirror.get(KEYS_PATH).send().await.expect(200).json();
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(2));
    mirror.finish().await;
}

#[tokio::test]
async fn another_key_under_a_known_id_is_refused_with_an_alarm() {
    let (first, second) = (signer(), signer());
    let mut mirror = mirror_of(&[first.signed(lamp())], &[first.key(None)]).await;
    mirror.sync(&[LAMP]).await;
    mirror.upstream.put_json(KEYS_PATH, &key_list(&[second.key(None)]));
    mirror.restart().await;
    mirror.upstream.publish(&second.signed(crate::harness::Package::new("evil").version("1.0.0")));
    mirror.sync(&["evil"]).await;
    assert_eq!(verdicts(&mirror, "evil").await, [("1.0.0".to_owned(), "invalid")]);
    let raised = mirror.store().read(|rows| alarms::newest(rows, 10)).await.expect("alarms");
    let about_key = raised.iter().filter(|alarm| alarm.message.contains("SHA256:first")).count();
    assert_eq!(about_key, 1, "{raised:?}");
    mirror.finish().await;
}
