//! Validators: 304 before any body is touched.

use super::mirror;

#[tokio::test]
async fn a_known_etag_is_answered_with_304() {
    let mirror = mirror().await;
    for target in ["/lamp", "/lamp/-/lamp-1.0.0.tgz"] {
        let etag = mirror.get(target).send().await.expect(200).must("etag").to_owned();
        let unchanged = mirror.get(target).header("if-none-match", &etag).send().await.expect(304);
        assert_eq!(unchanged.body, b"", "{target}");
        assert_eq!(unchanged.must("etag"), etag, "{target}");
        let weak = format!("W/{}", etag.trim_start_matches("W/"));
        mirror.get(target).header("if-none-match", &weak).send().await.expect(304);
        let list = format!("\"other\", {etag}");
        mirror.get(target).header("if-none-match", &list).send().await.expect(304);
        mirror.get(target).header("if-none-match", "*").send().await.expect(304);
        mirror.get(target).header("if-none-match", "\"other\"").send().await.expect(200);
        mirror.head(target).header("if-none-match", &etag).send().await.expect(304);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn the_forms_of_a_document_have_different_etags() {
    let mirror = mirror().await;
    let full = mirror.get("/lamp").send().await.expect(200).must("etag").to_owned();
    let brief = mirror.get("/lamp").abbreviated().send().await.expect(200).must("etag").to_owned();
    assert_ne!(full, brief);
    mirror.get("/lamp").abbreviated().header("if-none-match", &full).send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn an_etag_changes_with_the_document_and_survives_a_restart() {
    let mut mirror = mirror().await;
    let before = mirror.get("/lamp").send().await.expect(200).must("etag").to_owned();
    mirror.restart().await;
    let after = mirror.get("/lamp").send().await.expect(200).must("etag").to_owned();
    assert_eq!(before, after);
    mirror.upstream.publish(&super::lamp().version("3.0.0"));
    mirror.sync(&["lamp"]).await;
    let answer = mirror.get("/lamp").header("if-none-match", &before).send().await.expect(200);
    assert_eq!(answer.json()["dist-tags"]["latest"], "3.0.0");
    mirror.finish().await;
}
