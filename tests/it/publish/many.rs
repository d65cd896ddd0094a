//! Several publishers at a time.

use futures_util::future::join_all;

use super::{document, open, publish, published};

#[tokio::test]
async fn publishers_of_one_package_lose_nothing_that_was_acknowledged() {
    let (mirror, token) = open().await;
    published(&mirror, &token, "@garden/ui", &["1.0.0"]).await;
    let versions: Vec<String> = (1..=12).map(|n| format!("1.{n}.0")).collect();
    let sent = versions.iter().map(|version| publish(&mirror, &token, "@garden/ui", version));
    let answers = join_all(sent).await;
    let full = document(&mirror, "@garden/ui").await;
    let mut taken = 0;
    for (version, answer) in versions.iter().zip(answers) {
        let there = full["versions"].get(version).is_some();
        match answer.status {
            201 => assert!(there, "{version} was acknowledged"),
            409 => {
                assert!(!there, "{version} was refused");
                let text =
                    "[CONFLICT] Unable to create the publication lock, please try again later.";
                assert_eq!(answer.error(), text);
            }
            other => panic!("{version}: {other} {}", answer.text()),
        }
        taken += usize::from(there);
    }
    assert!(taken >= 1);
    for version in &versions {
        publish(&mirror, &token, "@garden/ui", version).await.expect(201);
    }
    let full = document(&mirror, "@garden/ui").await;
    assert_eq!(full["versions"].as_object().map(|versions| versions.len()), Some(13));
    mirror.finish().await;
}

#[tokio::test]
async fn publishers_of_many_packages_do_not_wait_for_each_other_in_vain() {
    let (mirror, token) = open().await;
    let names: Vec<String> = (0..30).map(|n| format!("@garden/p{n}")).collect();
    let answers = join_all(names.iter().map(|name| publish(&mirror, &token, name, "1.0.0"))).await;
    for (name, answer) in names.iter().zip(answers) {
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        assert_eq!(document(&mirror, name).await["dist-tags"]["latest"], "1.0.0");
    }
    mirror.finish().await;
}
