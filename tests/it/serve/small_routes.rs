//! Ping, the root, whoami, cross-origin headers.

use super::mirror;

#[tokio::test]
async fn ping_answers_when_packages_can_be_served() {
    let mirror = mirror().await;
    let answer = mirror.get("/-/ping").send().await.expect(200);
    assert!(answer.json().is_object());
    mirror.get("/-/ping?write=true").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn the_root_tells_programs_what_this_is() {
    let mirror = mirror().await;
    let answer = mirror.get("/").send().await.expect(200);
    assert!(answer.must("content-type").starts_with("application/json"));
    assert!(answer.json().is_object());
    mirror.finish().await;
}

#[tokio::test]
async fn whoami_without_a_token_is_401() {
    let mirror = mirror().await;
    let answer = mirror.get("/-/whoami").send().await.expect(401);
    assert_eq!(answer.error(), "[UNAUTHORIZED] Login first");
    mirror.finish().await;
}

#[tokio::test]
async fn reading_is_open_to_every_origin_and_nothing_else_is() {
    let mirror = mirror().await;
    for target in ["/lamp", "/lamp/-/lamp-1.0.0.tgz", "/-/ping", "/ghost"] {
        let answer = mirror.get(target).header("origin", "https://page.example").send().await;
        assert_eq!(answer.must("access-control-allow-origin"), "*", "{target}");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    let put = mirror.request("PUT", "/lamp").header("origin", "https://page.example");
    let put = put.body("application/json", "{}").send().await;
    assert_eq!(put.header("access-control-allow-origin"), None);
    mirror.finish().await;
}

#[tokio::test]
async fn a_preflight_allows_reading_alone() {
    let mirror = mirror().await;
    for target in ["/lamp", "/@garden%2fui/-/ui-2.0.4.tgz", "/-/ping"] {
        let answer = mirror
            .request("OPTIONS", target)
            .header("origin", "https://page.example")
            .header("access-control-request-method", "GET")
            .send()
            .await
            .expect(204);
        assert_eq!(answer.must("access-control-allow-origin"), "*");
        assert_eq!(answer.must("access-control-allow-methods"), "GET,HEAD");
    }
    assert_eq!(mirror.upstream.asked().len(), 0);
    mirror.finish().await;
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let mirror = mirror().await;
    let mut seen = std::collections::HashSet::new();
    for target in ["/lamp", "/lamp", "/ghost", "/-/ping", "/-/no-such-route"] {
        let answer = mirror.get(target).send().await;
        assert!(seen.insert(answer.must("request-id").to_owned()), "{target}");
    }
    mirror.finish().await;
}
