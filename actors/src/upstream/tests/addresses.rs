//! Where requests may go, and with what.

use super::*;

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let server = RawServer::start(|request: &RawRequest| {
        let left: usize = request.path.rsplit('/').next().unwrap().parse().unwrap_or(0);
        match left {
            0 => ok(&[], DOCUMENT),
            _ => answer("302 Found", &[("Location", &format!("/hop/{}", left - 1))], b""),
        }
    })
    .await;
    let upstream = upstream(&server);
    assert_eq!(tarball(&upstream, &server.url("/hop/5")).await.unwrap(), DOCUMENT);
    for hops in [6, 20] {
        let error = tarball(&upstream, &server.url(&format!("/hop/{hops}"))).await.unwrap_err();
        assert!(matches!(&error, UpstreamError::BadRedirect(text) if text.contains("more than 5")));
    }
    assert_eq!(upstream.describe().answers.redirected, 5 + 6 + 6);
}

#[tokio::test]
async fn redirects_never_lead_inside_or_to_another_scheme() {
    let targets = [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[fd00::1]/",
        "http://0.0.0.0/",
        "http://user:pass@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/x",
        "http://",
    ];
    let server = RawServer::start(move |request| {
        let index: usize = request.path.trim_start_matches('/').parse().unwrap();
        match targets.get(index) {
            Some(target) => answer("301 Moved", &[("Location", target)], b""),
            None => answer("302 Found", &[], b""),
        }
    })
    .await;
    let upstream = upstream(&server);
    for index in 0..=targets.len() {
        let error = tarball(&upstream, &server.url(&format!("/{index}"))).await.unwrap_err();
        let refused = matches!(error, UpstreamError::BadRedirect(_) | UpstreamError::BadAddress(_));
        assert!(refused && !error.is_retryable(), "{index}: {error}");
    }
    assert_eq!(server.requests().len(), targets.len() + 1);
}

#[tokio::test]
async fn a_name_that_resolves_inside_is_never_connected_to() {
    let server = RawServer::start(|_| ok(&[], DOCUMENT)).await;
    let port = server.url("/").port().unwrap();
    let mut settings = settings(Url::parse(&format!("http://registry.test:{port}/")).unwrap());
    settings.token = Some(String::from("secret"));
    // the upstream's own name leads to loopback, which is the operator's choice; a stranger's
    // name leads into another network
    let lookup: resolver::Lookup = Arc::new(|name| {
        let address = match name.as_str() {
            "registry.test" | "cdn.test" => "127.0.0.1",
            _ => "192.168.7.7",
        };
        Box::pin(async move { Ok(vec![address.parse().unwrap()]) })
    });
    let client = Client::with_lookup(settings, None, lookup).unwrap();
    let upstream = Upstream { client: Arc::new(client) };
    assert!(get(&upstream).await.is_ok());
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer secret"));
    let evil = Url::parse(&format!("http://evil.test:{port}/a.tgz")).unwrap();
    let error = tarball(&upstream, &evil).await.unwrap_err();
    assert!(
        matches!(&error, UpstreamError::BadAddress(text) if text.contains("192.168.7.7")),
        "{error}"
    );
    // same machine, other name: reached, but without the token
    let cdn = Url::parse(&format!("http://cdn.test:{port}/a.tgz")).unwrap();
    assert!(tarball(&upstream, &cdn).await.is_ok());
    let last = server.requests().pop().unwrap();
    assert!(last.path == "/a.tgz" && last.header("authorization").is_none());
}

#[tokio::test]
async fn the_token_goes_to_the_exact_origin_only() {
    let other = RawServer::start(|_| ok(&[], DOCUMENT)).await;
    let target = other.url("/elsewhere").to_string();
    let server = RawServer::start(move |request| match request.path.as_str() {
        "/moved.tgz" => answer("302 Found", &[("Location", &target)], b""),
        _ => ok(&[], DOCUMENT),
    })
    .await;
    let upstream = with(&server, |settings| settings.token = Some(String::from("secret")));
    assert!(get(&upstream).await.is_ok());
    assert!(tarball(&upstream, &server.url("/moved.tgz")).await.is_ok());
    assert!(tarball(&upstream, &other.url("/direct.tgz")).await.is_ok());
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer secret"), "{}", request.path);
    }
    assert_eq!(other.requests().len(), 2);
    for request in other.requests() {
        assert_eq!(request.header("authorization"), None, "{}", request.path);
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_reason() {
    let made = |change: &dyn Fn(&mut UpstreamSettings)| {
        let mut settings = settings(Url::parse("http://registry.test/").unwrap());
        change(&mut settings);
        Upstream::new(settings).err().map(|error| error.to_string())
    };
    assert_eq!(made(&|_| ()), None);
    for (url, text) in [
        ("ftp://registry.test/", "only http and https"),
        ("http://user:secret@registry.test/", "credentials belong into the token"),
        ("http://registry.test/?a=b", "no query"),
        ("http://169.254.169.254/latest/", "gives out credentials"),
        ("http://[::ffff:a9fe:a9fe]/", "gives out credentials"),
    ] {
        let error = made(&|settings| settings.url = Url::parse(url).unwrap()).unwrap();
        assert!(error.contains(text) && !error.contains("secret"), "{error}");
    }
    assert!(made(&|settings| settings.token = Some("a\nb".into())).unwrap().contains("token"));
    assert!(made(&|settings| settings.instance_id = "a b".into()).unwrap().contains("instance id"));
    let error = made(&|settings| settings.ca_pem = Some(b"nothing".to_vec())).unwrap();
    assert!(error.contains("upstream.ca"), "{error}");
}

#[test]
fn secrets_are_not_in_debug_output() {
    let mut settings = settings(Url::parse("http://registry.test/").unwrap());
    settings.token = Some(String::from("npm_verysecret"));
    assert!(!format!("{settings:?}").contains("verysecret"));
}
