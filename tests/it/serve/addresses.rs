//! The base address of documents: whose word is taken, and that nobody poisons another's copy.

use espejo::app::ServeSettings;

use super::lamp;
use crate::harness::TestMirror;

/// The address of a tarball in the document this request gets.
async fn tarball(mirror: &TestMirror, headers: &[(&str, &str)]) -> String {
    let mut request = mirror.get("/lamp");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let document = request.send().await.expect(200).json();
    document["versions"]["1.0.0"]["dist"]["tarball"].as_str().expect("an address").to_owned()
}

#[tokio::test]
async fn without_a_setting_the_host_of_the_request_is_the_base() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let ours = format!("{}/lamp/-/lamp-1.0.0.tgz", mirror.url());
    assert_eq!(tarball(&mirror, &[]).await, ours);
    let other = tarball(&mirror, &[("host", "mirror.example:7001")]).await;
    assert_eq!(other, "http://mirror.example:7001/lamp/-/lamp-1.0.0.tgz");
    // The first reader's copy is untouched.
    assert_eq!(tarball(&mirror, &[]).await, ours);
    mirror.finish().await;
}

#[tokio::test]
async fn the_etag_depends_on_the_base() {
    let mirror = TestMirror::with(&[lamp()]).await;
    let ours = mirror.get("/lamp").send().await.expect(200).must("etag").to_owned();
    let other = mirror.get("/lamp").header("host", "other.example").header("if-none-match", &ours);
    other.send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn many_hosts_fill_no_store() {
    let mirror = TestMirror::with(&[lamp()]).await;
    for n in 0..40 {
        let host = format!("host-{n}.example");
        let expected = format!("http://{host}/lamp/-/lamp-1.0.0.tgz");
        assert_eq!(tarball(&mirror, &[("host", &host)]).await, expected);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_set_public_address_wins_over_every_header() {
    let mirror = TestMirror::builder()
        .packages(&[lamp()])
        .serve(|settings| {
            settings.public_url = Some("https://npm.example/mirror/".parse().expect("an address"));
        })
        .start()
        .await;
    let expected = "https://npm.example/mirror/lamp/-/lamp-1.0.0.tgz";
    assert_eq!(tarball(&mirror, &[]).await, expected);
    let evil = [("host", "evil.example"), ("x-forwarded-host", "evil.example")];
    assert_eq!(tarball(&mirror, &evil).await, expected);
    mirror.finish().await;
}

#[tokio::test]
async fn forwarded_headers_count_from_a_trusted_proxy_only() {
    let headers = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "npm.example"),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    let trusting = |settings: &mut ServeSettings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    };
    let mirror = TestMirror::builder().packages(&[lamp()]).serve(trusting).start().await;
    assert_eq!(tarball(&mirror, &headers).await, "https://npm.example/lamp/-/lamp-1.0.0.tgz");
    mirror.finish().await;

    let mirror = TestMirror::with(&[lamp()]).await;
    let ours = format!("{}/lamp/-/lamp-1.0.0.tgz", mirror.url());
    assert_eq!(tarball(&mirror, &headers).await, ours);
    mirror.finish().await;
}

#[tokio::test]
async fn where_hosts_are_listed_others_are_refused() {
    let mirror = TestMirror::builder()
        .packages(&[lamp()])
        .serve(|settings| settings.hosts = vec!["npm.example".into()])
        .start()
        .await;
    let good = mirror.get("/lamp").header("host", "npm.example").send().await.expect(200);
    assert!(good.text().contains("http://npm.example/lamp/-/"));
    let bad = mirror.get("/lamp").header("host", "evil.example").send().await.expect(400);
    assert!(bad.error().starts_with("[BAD_REQUEST]"), "{}", bad.error());
    mirror.finish().await;
}

#[tokio::test]
async fn a_host_that_is_no_host_is_refused() {
    let mirror = TestMirror::with(&[lamp()]).await;
    for host in ["a b", "x/../y", "evil.example\"><script>", "user@host"] {
        let answer = mirror.get("/lamp").header("host", host).send().await.expect(400);
        assert!(!answer.text().contains("<script>"), "{host}");
    }
    mirror.finish().await;
}
