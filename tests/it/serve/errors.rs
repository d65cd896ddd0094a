//! Everything that goes wrong has one envelope.

use super::mirror;

#[tokio::test]
async fn unknown_packages_and_routes_are_404_with_the_envelope() {
    let mirror = mirror().await;
    for target in ["/ghost", "/@no/such", "/-/no-such-route", "/-/all/of/this", "/a/b/c/d/e"] {
        let answer = mirror.get(target).send().await.expect(404);
        assert!(answer.error().starts_with("[NOT_FOUND]"), "{target}: {}", answer.error());
        assert!(answer.must("content-type").starts_with("application/json"));
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_method_that_is_not_there_is_405() {
    let mirror = mirror().await;
    for (method, target) in [("DELETE", "/-/ping"), ("POST", "/lamp"), ("PATCH", "/lamp/latest")] {
        let answer = mirror.request(method, target).send().await.expect(405);
        assert!(answer.error().starts_with("[METHOD_NOT_ALLOWED]"), "{}", answer.error());
        assert!(answer.must("allow").contains("GET"), "{target}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_body_above_the_limit_is_413() {
    let mirror = mirror().await;
    let body = vec![b' '; (10 << 20) + 1];
    let request = mirror.request("PUT", "/lamp").body("application/json", body);
    let answer = request.send().await.expect(413);
    assert!(answer.error().starts_with("[PAYLOAD_TOO_LARGE]"), "{}", answer.error());
    mirror.finish().await;
}

#[tokio::test]
async fn a_404_says_what_to_do_next() {
    let mirror = mirror().await;
    let answer = mirror.get("/ghost").send().await.expect(404);
    assert_eq!(answer.error(), "[NOT_FOUND] ghost not found");
    assert!(!answer.must("npm-notice").is_empty());
    mirror.finish().await;
}
