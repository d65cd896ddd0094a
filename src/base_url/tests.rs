use actix_web::http::header::HeaderValue;
use url::Url;

use super::*;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

fn urls(change: impl FnOnce(&mut ServeSettings)) -> BaseUrls {
    let mut settings = ServeSettings::default();
    change(&mut settings);
    BaseUrls::new(&settings, "127.0.0.1:7001".parse().unwrap())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    map
}

fn ask(urls: &BaseUrls, pairs: &[(&'static str, &str)]) -> Result<Arc<Base>, ApiError> {
    urls.of(&Uri::from_static("/lamp"), &headers(pairs), Some(PEER))
}

fn url(urls: &BaseUrls, pairs: &[(&'static str, &str)]) -> String {
    ask(urls, pairs).unwrap().url.clone()
}

#[test]
fn public_url_beats_everything() {
    let urls = urls(|settings| {
        settings.public_url = Some(Url::parse("https://mirror.example/npm/").unwrap());
        settings.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap()];
    });
    let pairs = [("host", "evil.example"), ("x-forwarded-host", "evil.example")];
    assert_eq!(url(&urls, &pairs), "https://mirror.example/npm");
    assert_eq!(urls.prefix(), Some("/npm"));
}

#[test]
fn a_host_is_taken_as_it_is_and_only_when_it_is_one() {
    let urls = urls(|_| ());
    assert_eq!(url(&urls, &[("host", "Mirror.Example:7001")]), "http://mirror.example:7001");
    assert_eq!(url(&urls, &[("host", "mirror.example:80")]), "http://mirror.example");
    assert_eq!(url(&urls, &[("host", "[::1]:7001")]), "http://[::1]:7001");
    assert_eq!(url(&urls, &[]), "http://127.0.0.1:7001");
    assert_eq!(urls.prefix(), None);
    let no_hosts =
        ["a/b", "a b", "a@b", "a\"b", "a?b", "a#b", "a:b", "a:99999", "[x]", "a%2fb", "a.0"];
    for host in no_hosts.into_iter().chain(["1.2.3.4.5", "999.0.0.1", "xn--a"]) {
        assert!(matches!(ask(&urls, &[("host", host)]), Err(ApiError::BadRequest(_))), "{host}");
    }
}

#[test]
fn an_absolute_target_beats_the_host_header() {
    let urls = urls(|_| ());
    let target = Uri::from_static("http://one.example/lamp");
    let base = urls.of(&target, &headers(&[("host", "two.example")]), Some(PEER)).unwrap();
    assert_eq!(base.url, "http://one.example");
}

#[test]
fn listed_hosts_only() {
    let urls = urls(|settings| settings.hosts = vec!["mirror.example".into(), "b:7002".into()]);
    assert_eq!(url(&urls, &[("host", "mirror.example:81")]), "http://mirror.example:81");
    assert_eq!(url(&urls, &[("host", "b:7002")]), "http://b:7002");
    for host in ["evil.example", "b:7003", "xmirror.example"] {
        assert!(matches!(ask(&urls, &[("host", host)]), Err(ApiError::BadRequest(_))), "{host}");
    }
}

#[test]
fn forwarded_headers_count_only_from_a_trusted_proxy() {
    let pairs = [
        ("host", "inner:7001"),
        ("x-forwarded-host", "evil.example, mirror.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/npm/"),
    ];
    assert_eq!(url(&urls(|_| ()), &pairs), "http://inner:7001");
    let trusting = urls(|settings| settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(url(&trusting, &pairs), "https://mirror.example/npm");
    let standard = [("host", "inner"), ("forwarded", "for=x;host=\"m.example\";proto=https")];
    assert_eq!(url(&trusting, &standard), "https://m.example");
    let strange = [("host", "inner"), ("x-forwarded-prefix", "/a/../b")];
    assert!(ask(&trusting, &strange).is_err());
}

#[test]
fn eight_bases_are_kept_and_a_ninth_is_not() {
    let urls = urls(|_| ());
    let hosts: Vec<String> = (0..9).map(|number| format!("h{number}")).collect();
    let ids: Vec<_> = hosts.iter().map(|host| ask(&urls, &[("host", host)]).unwrap().id).collect();
    assert!(ids[..8].iter().all(Option::is_some));
    assert_eq!(ids[8], None);
    assert_eq!(ask(&urls, &[("host", "h3")]).unwrap().id, ids[3], "the same host, the same id");
}

#[test]
fn a_long_unused_base_gives_its_place() {
    let urls = urls(|_| ());
    let origin = |host| Origin { scheme: "http", host, prefix: "" };
    for host in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        assert!(urls.keep(&origin(host), 1_000).unwrap().id.is_some());
    }
    assert_eq!(urls.keep(&origin("i"), 2_000).unwrap().id, None);
    let later = 1_000 + UNUSED_AFTER_MS + 1;
    let fresh = urls.keep(&origin("i"), later).unwrap().id;
    assert!(fresh.is_some());
    assert_eq!(urls.keep(&origin("i"), later).unwrap().id, fresh);
}

#[test]
fn the_client_is_the_first_untrusted_hop() {
    let urls = urls(|settings| settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]);
    let hops = headers(&[("x-forwarded-for", "1.1.1.1, 2.2.2.2, 10.0.0.3")]);
    assert_eq!(urls.client(&hops, Some(PEER)), Some("2.2.2.2".parse().unwrap()));
    let stranger = Some("3.3.3.3".parse().unwrap());
    assert_eq!(urls.client(&hops, stranger), stranger);
}
