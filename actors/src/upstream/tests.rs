//! The upstream client against a scripted server on loopback.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use npm::PackageName;
use store::{DocumentEncoding, Validators};
use tokio::sync::Semaphore;
use url::Url;

use super::raw_server::{Act, RawRequest, RawServer, answer, chunked, ok, raw};
use super::*;

const DOCUMENT: &[u8] = b"{\"name\":\"left-pad\",\"versions\":{}}";

fn settings(url: Url) -> UpstreamSettings {
    UpstreamSettings {
        retry: RetryPolicy {
            attempts: 1,
            first_delay: Duration::from_millis(1),
            ..RetryPolicy::default()
        },
        instance_id: String::from("test-node"),
        background_rate_per_second: 0,
        ..UpstreamSettings::new("default", url)
    }
}

fn upstream(server: &RawServer) -> Upstream {
    Upstream::new(settings(server.url("/"))).unwrap()
}

fn with(server: &RawServer, change: impl FnOnce(&mut UpstreamSettings)) -> Upstream {
    let mut settings = settings(server.url("/"));
    change(&mut settings);
    Upstream::new(settings).unwrap()
}

fn name() -> PackageName {
    PackageName::parse("left-pad").unwrap()
}

fn none() -> Validators {
    Validators::default()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn get(upstream: &Upstream) -> Result<PackumentAnswer, UpstreamError> {
    upstream.packument(&name(), &none(), Urgency::Person).await
}

async fn found(upstream: &Upstream) -> FetchedDocument {
    match get(upstream).await.unwrap() {
        PackumentAnswer::Found(document) => document,
        PackumentAnswer::NotModified { .. } => panic!("304"),
    }
}

async fn failure(upstream: &Upstream) -> UpstreamError {
    get(upstream).await.err().expect("an error")
}

async fn tarball(upstream: &Upstream, url: &Url) -> Result<Vec<u8>, UpstreamError> {
    let mut schedule = upstream.retry_policy().schedule(Urgency::Person);
    let mut body = upstream.tarball(url, &mut schedule).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_gzip_document_is_kept_as_received_and_inflated_once() {
    let coded = gzip(DOCUMENT);
    let sent = coded.clone();
    let server = RawServer::start(move |_| {
        ok(&[("Content-Encoding", "gzip"), ("ETag", "W/\"1\""), ("Last-Modified", "today")], &sent)
    })
    .await;
    let upstream = upstream(&server);
    let document = found(&upstream).await;
    assert_eq!(document.body, DOCUMENT);
    assert_eq!(document.stored, coded);
    assert_eq!(document.encoding, DocumentEncoding::Gzip);
    assert_eq!(document.validators.etag.as_deref(), Some("W/\"1\""));
    assert_eq!(document.validators.last_modified.as_deref(), Some("today"));
    assert!(document.lane.is_none());
    let request = server.requests().remove(0);
    assert_eq!(request.path, "/left-pad");
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("accept-encoding"), Some("gzip"));
    assert_eq!(request.header("espejo-via"), Some("test-node"));
    assert_eq!(request.header("via"), None, "some servers compress nothing for proxies");
    assert!(request.header("authorization").is_none() && request.header("if-none-match").is_none());
}

#[tokio::test]
async fn plain_documents_are_compressed_for_keeping_when_that_pays() {
    let large = format!("{{\"name\":\"left-pad\",\"readme\":\"{}\"}}", "ab".repeat(2_000));
    let body = large.clone();
    let server = RawServer::start(move |request| match request.nth {
        0 => ok(&[], DOCUMENT),
        _ => chunked(
            &[("Content-Encoding", "identity")],
            &[&body.as_bytes()[..99], &body.as_bytes()[99..]],
        ),
    })
    .await;
    let upstream = upstream(&server);
    let small = found(&upstream).await;
    assert_eq!((small.encoding, &small.stored[..]), (DocumentEncoding::Identity, DOCUMENT));
    let document = found(&upstream).await;
    assert_eq!(document.body, large);
    assert_eq!(document.encoding, DocumentEncoding::Gzip);
    assert!(document.stored.len() < 1_000);
    assert_eq!(inflate(&document.stored, large.len()).unwrap(), large);
}

#[tokio::test]
async fn scoped_names_are_asked_in_one_segment_under_the_base_path() {
    let server = RawServer::start(|_| ok(&[], b"{}")).await;
    let upstream = Upstream::new(settings(server.url("/npm/registry/"))).unwrap();
    let name = PackageName::parse("@scope/name").unwrap();
    assert!(upstream.packument(&name, &none(), Urgency::Person).await.is_ok());
    assert_eq!(server.requests()[0].path, "/npm/registry/@scope%2fname");
    assert_eq!(upstream.base_url(), server.url("/npm/registry").as_str());
}

#[tokio::test]
async fn a_conditional_request_carries_both_validators() {
    let server = RawServer::start(|_| {
        vec![Act::Send(b"HTTP/1.1 304 Not Modified\r\nETag: \"2\"\r\n\r\n".to_vec())]
    })
    .await;
    let upstream = upstream(&server);
    let held = Validators {
        etag: Some(String::from("\"1\"")),
        last_modified: Some(String::from("yesterday")),
    };
    let answer = upstream.packument(&name(), &held, Urgency::Feed).await.unwrap();
    let PackumentAnswer::NotModified { validators } = answer else { panic!("not a 304") };
    assert_eq!(validators.etag.as_deref(), Some("\"2\""));
    assert_eq!(validators.last_modified.as_deref(), Some("yesterday"));
    let request = server.requests().remove(0);
    assert_eq!(request.header("if-none-match"), Some("\"1\""));
    assert_eq!(request.header("if-modified-since"), Some("yesterday"));
    // the same answer with nothing held is a lie
    let error = failure(&upstream).await;
    assert!(matches!(&error, UpstreamError::BadBody(text) if text.contains("304")), "{error}");
    let url = server.url("/a.tgz");
    assert!(matches!(tarball(&upstream, &url).await, Err(UpstreamError::BadBody(_))));
}

#[tokio::test]
async fn bad_bodies_are_named() {
    let cut_gzip = gzip(DOCUMENT);
    let cut_gzip = cut_gzip[..cut_gzip.len() - 5].to_vec();
    let double = gzip(&gzip(DOCUMENT));
    let unlabelled = gzip(DOCUMENT);
    let cases: Vec<(&str, Vec<Act>, bool, &str)> = vec![
        ("html with 200", ok(&[], b"<!DOCTYPE html><p>hello"), false, "is not JSON"),
        ("empty", ok(&[], b""), false, "is empty"),
        ("error page", ok(&[], b"[\"no\"]"), false, "is not JSON"),
        ("double gzip", ok(&[("Content-Encoding", "gzip")], &double), false, "gzip where JSON"),
        ("no label", ok(&[], &unlabelled), false, "gzip where JSON"),
        ("wrong label", ok(&[("Content-Encoding", "gzip")], DOCUMENT), false, "labelled gzip"),
        ("brotli", ok(&[("Content-Encoding", "br")], b"\x0b\x02"), false, "asked for gzip"),
        ("204", raw("HTTP/1.1 204 No Content\r\n\r\n"), false, "answered 204"),
        ("cut gzip", ok(&[("Content-Encoding", "gzip")], &cut_gzip), true, "has no end"),
        ("cut JSON", ok(&[], b"{\"name\":\"left-pad\",\"versions\":{"), true, "has no end"),
        (
            "length too long",
            raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}", "{\"a\":1}")),
            true,
            "cut short",
        ),
        (
            "length too short",
            raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "{\"a\":{\"b\":1}}")),
            true,
            "has no end",
        ),
        (
            "chunk cut",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"name\":"),
            true,
            "cut short",
        ),
        ("no answer", raw(""), true, "cannot be reached"),
        ("not HTTP", raw("SSH-2.0-x\r\n\r\n"), true, "cannot be reached"),
    ];
    for (case, acts, retryable, text) in cases {
        let server = RawServer::start(move |_| acts.clone()).await;
        let error = failure(&upstream(&server)).await;
        assert_eq!(error.is_retryable(), retryable, "{case}: {error}");
        assert!(error.to_string().contains(text), "{case}: {error}");
    }
}

#[tokio::test]
async fn status_codes_mean_what_the_caller_does_next() {
    let wait = |seconds| Some(Duration::from_secs(seconds));
    for (status, header, expected) in [
        ("404 Not Found", None, UpstreamError::NotFound),
        ("410 Gone", None, UpstreamError::Gone { status: 410 }),
        ("451 Unavailable", None, UpstreamError::Gone { status: 451 }),
        ("400 Bad Request", None, UpstreamError::Refused { status: 400 }),
        ("401 Unauthorized", None, UpstreamError::Refused { status: 401 }),
        ("403 Forbidden", None, UpstreamError::Refused { status: 403 }),
        ("408 Timeout", None, UpstreamError::Status { status: 408, retry_after: None }),
        ("425 Early", None, UpstreamError::Status { status: 425, retry_after: None }),
        ("429 Slow", None, UpstreamError::RateLimited { retry_after: None }),
        ("429 Slow", Some("0"), UpstreamError::RateLimited { retry_after: wait(0) }),
        ("429 Slow", Some("1"), UpstreamError::RateLimited { retry_after: wait(1) }),
        ("429 Slow", Some("86400"), UpstreamError::RateLimited { retry_after: wait(3_600) }),
        ("429 Slow", Some("soon"), UpstreamError::RateLimited { retry_after: None }),
        ("500 Oops", None, UpstreamError::Status { status: 500, retry_after: None }),
        ("502 Bad", None, UpstreamError::Status { status: 502, retry_after: None }),
        ("503 Busy", Some("7"), UpstreamError::Status { status: 503, retry_after: wait(7) }),
        ("504 Late", None, UpstreamError::Status { status: 504, retry_after: None }),
    ] {
        let headers: Vec<_> = header.iter().map(|value| ("Retry-After", *value)).collect();
        let acts = answer(status, &headers, b"<html>");
        let server = RawServer::start(move |_| acts.clone()).await;
        assert_eq!(failure(&upstream(&server)).await, expected, "{status} {header:?}");
    }
}

#[tokio::test]
async fn a_retry_after_date_is_obeyed() {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(100));
    let acts = answer("503 Busy", &[("Retry-After", date.as_str())], b"");
    let server = RawServer::start(move |_| acts.clone()).await;
    let wait = failure(&upstream(&server)).await.retry_after().unwrap();
    assert!((90..=100).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn what_can_change_is_asked_again_and_what_cannot_is_not() {
    for (first, requests) in [
        (answer("503 Busy", &[], b""), 2),
        (answer("408 Timeout", &[], b""), 2),
        (answer("429 Slow", &[("Retry-After", "0")], b""), 2),
        (raw(""), 2),
        (raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), 2),
        (answer("429 Slow", &[("Retry-After", "60")], b""), 1),
        (answer("404 Not Found", &[], b""), 1),
        (answer("403 Forbidden", &[], b""), 1),
        (ok(&[], b"<html>"), 1),
    ] {
        let acts = first.clone();
        let server = RawServer::start(move |request| match request.nth {
            0 => acts.clone(),
            _ => ok(&[], DOCUMENT),
        })
        .await;
        let upstream = with(&server, |settings| settings.retry.attempts = 3);
        assert_eq!(get(&upstream).await.is_ok(), requests == 2);
        assert_eq!(server.requests().len(), requests);
    }
}

#[tokio::test]
async fn attempts_are_counted() {
    let server = RawServer::start(|_| answer("500 Oops", &[], b"")).await;
    let upstream = with(&server, |settings| settings.retry.attempts = 3);
    assert_eq!(failure(&upstream).await, UpstreamError::Status { status: 500, retry_after: None });
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn documents_over_the_cap_are_refused_before_or_while_reading() {
    let bomb = gzip(&vec![b' '; 3 << 20]);
    let mut lying = gzip(&vec![b' '; 3 << 20]);
    let end = lying.len() - 4;
    lying[end..].copy_from_slice(&100_u32.to_le_bytes());
    let endless = || {
        let mut acts = vec![Act::Send(b"HTTP/1.1 200 OK\r\n\r\n{".to_vec())];
        acts.extend(vec![Act::Send(vec![b' '; 64 << 10]); 40]);
        acts.push(Act::Stall);
        acts
    };
    for (case, acts, announced) in [
        (
            "announced",
            vec![
                Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n".to_vec()),
                Act::Stall,
            ],
            Some(5_000_000_000),
        ),
        ("endless", endless(), None),
        ("bomb", ok(&[("Content-Encoding", "gzip")], &bomb), None),
        ("bomb with a lying trailer", ok(&[("Content-Encoding", "gzip")], &lying), None),
    ] {
        let server = RawServer::start(move |_| acts.clone()).await;
        let upstream = with(&server, |settings| settings.max_document_bytes = 1 << 20);
        let expected = UpstreamError::TooLarge { what: "document", limit: 1 << 20, announced };
        assert_eq!(failure(&upstream).await, expected, "{case}");
    }
}

#[tokio::test]
async fn tarballs_over_the_cap_are_refused_before_or_while_reading() {
    let server = RawServer::start(|request| match request.path.as_str() {
        "/claims.tgz" => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n".to_vec()),
            Act::Stall,
        ],
        _ => {
            let mut acts = vec![Act::Send(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())];
            acts.extend(vec![Act::Send(vec![7; 64 << 10]); 40]);
            acts.push(Act::Stall);
            acts
        }
    })
    .await;
    let upstream = with(&server, |settings| settings.max_tarball_bytes = 1 << 20);
    for path in ["/claims.tgz", "/endless.tgz"] {
        let error = tarball(&upstream, &server.url(path)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::TooLarge { what: "tarball", .. }), "{error}");
    }
}

#[tokio::test]
async fn silence_is_cut_at_every_stage() {
    let server = RawServer::start(|request| match request.nth {
        0 => vec![Act::Stall],
        1 => {
            vec![Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{".to_vec()), Act::Stall]
        }
        _ => ok(&[], DOCUMENT),
    })
    .await;
    let short = Duration::from_millis(30);
    let upstream = with(&server, |settings| {
        (settings.connect_timeout, settings.first_byte_timeout) = (short, short);
        settings.stall_timeout = short;
    });
    let waited = short * 2;
    assert_eq!(
        failure(&upstream).await,
        UpstreamError::Stalled { what: "the response head", waited }
    );
    assert_eq!(
        failure(&upstream).await,
        UpstreamError::Stalled { what: "the body", waited: short }
    );
    assert!(get(&upstream).await.is_ok());
}

#[tokio::test]
async fn tarballs_are_taken_as_they_come() {
    let coded = gzip(b"a tar archive");
    let sent = coded.clone();
    let server = RawServer::start(move |_| ok(&[("Content-Encoding", "gzip")], &sent)).await;
    let upstream = upstream(&server);
    assert_eq!(tarball(&upstream, &server.url("/a.tgz")).await.unwrap(), coded);
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn small_tarballs_are_read_whole_and_large_ones_begin() {
    let server = RawServer::start(|request| match request.path.as_str() {
        "/empty.tgz" => ok(&[], b""),
        "/small.tgz" => ok(&[], &[1; 100]),
        "/pieces.tgz" => chunked(&[], &[&[1; 60], &[2; 40]]),
        _ => chunked(&[], &[&[1; 60], &[2; 60]]),
    })
    .await;
    let upstream = upstream(&server);
    for (path, length, is_whole) in [
        ("/empty.tgz", 0, true),
        ("/small.tgz", 100, true),
        ("/pieces.tgz", 100, true),
        ("/large.tgz", 101, false),
    ] {
        let mut schedule = upstream.retry_policy().schedule(Urgency::Person);
        let mut body = upstream.tarball(&server.url(path), &mut schedule).await.unwrap();
        match body.read_up_to(100).await.unwrap() {
            Buffered::Whole(bytes) => assert_eq!((bytes.len(), true), (length, is_whole), "{path}"),
            Buffered::Beginning(bytes) => {
                assert!(!is_whole && bytes.len() >= length, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_cut_tarball_is_never_whole() {
    let server = RawServer::start(|request| {
        let cut: usize = request.path.trim_start_matches('/').parse().unwrap();
        let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n".to_vec();
        bytes.extend(vec![7; cut]);
        raw(bytes)
    })
    .await;
    let upstream = with(&server, |settings| settings.breaker.failures = 1_000);
    for cut in [0, 1, 65_536, 131_072, 196_608, 262_144, 299_999] {
        let error = tarball(&upstream, &server.url(&format!("/{cut}"))).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Truncated(_)), "cut at {cut}: {error}");
    }
}

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
    let lookup: address::Lookup = Arc::new(|name| {
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

#[tokio::test]
async fn a_loop_of_mirrors_is_found_and_said() {
    let server = RawServer::start(|_| ok(&[("Espejo-Via", "other, test-node")], DOCUMENT)).await;
    let error = failure(&upstream(&server)).await;
    assert!(matches!(error, UpstreamError::Loop { .. }), "{error}");
    assert!(error.to_string().contains("leads back to the mirror test-node"), "{error}");
    let server =
        RawServer::start(|_| answer("508 Loop Detected", &[("Espejo-Via", "far")], b"{}")).await;
    let error = failure(&upstream(&server)).await;
    assert!(matches!(&error, UpstreamError::Loop { instance_id, .. } if instance_id == "far"));
    assert_eq!(server.requests().len(), 1, "asking again leads there again");
}

#[tokio::test]
async fn the_breaker_opens_rests_and_probes() {
    let server = RawServer::start(|request| match request.nth {
        0..3 => answer("500 Oops", &[], b""),
        _ => ok(&[], DOCUMENT),
    })
    .await;
    let upstream = with(&server, |settings| {
        settings.breaker = BreakerSettings {
            failures: 3,
            window: Duration::from_secs(60),
            rest: Duration::from_secs(60),
        };
    });
    for _ in 0..3 {
        assert!(matches!(failure(&upstream).await, UpstreamError::Status { status: 500, .. }));
    }
    let resting = failure(&upstream).await;
    assert!(matches!(resting, UpstreamError::Resting { .. }), "{resting}");
    assert!(resting.retry_after().unwrap() > Duration::from_secs(50));
    assert_eq!(server.requests().len(), 3);
    let status = upstream.describe();
    assert_eq!(status.breaker, BreakerState::Open);
    assert_eq!((status.answers.failed, status.answers.resting), (3, 1));
}

#[tokio::test]
async fn absent_packages_do_not_open_the_breaker() {
    let server = RawServer::start(|_| answer("404 Not Found", &[], b"{}")).await;
    let upstream = with(&server, |settings| settings.breaker.failures = 2);
    for _ in 0..20 {
        assert_eq!(failure(&upstream).await, UpstreamError::NotFound);
    }
    assert_eq!(upstream.describe().breaker, BreakerState::Closed);
    assert_eq!(upstream.describe().answers.missing, 20);
}

#[tokio::test]
async fn tarballs_that_break_off_open_the_breaker_too() {
    let server = RawServer::start(|_| raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nab")).await;
    let upstream = with(&server, |settings| settings.breaker.failures = 2);
    for _ in 0..2 {
        assert!(tarball(&upstream, &server.url("/a.tgz")).await.is_err());
    }
    let error = tarball(&upstream, &server.url("/a.tgz")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Resting { .. }), "{error}");
}

#[tokio::test]
async fn an_offline_upstream_is_not_asked() {
    let server = RawServer::start(|_| ok(&[], DOCUMENT)).await;
    let upstream = with(&server, |settings| settings.offline = true);
    assert_eq!(failure(&upstream).await, UpstreamError::Offline);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = RawServer::start(|_| ok(&[], DOCUMENT)).await;
    let upstream = upstream(&server);
    for _ in 0..5 {
        found(&upstream).await;
        tarball(&upstream, &server.url("/a.tgz")).await.unwrap();
    }
    assert_eq!(server.count("/left-pad"), 5);
    assert_eq!(server.connections(), 2);
}

/// A valid document of about this many bytes.
fn large_document(bytes: usize) -> Vec<u8> {
    let mut body = b"{\"name\":\"left-pad\",\"readme\":\"".to_vec();
    body.resize(bytes - 2, b'a');
    body.extend(b"\"}");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_documents_are_in_memory_two_at_a_time() {
    let body = Arc::new(large_document(FREE_BODY_BYTES + 1_000));
    let coded = Arc::new(gzip(&body));
    let (plain, zipped) = (body.clone(), coded.clone());
    let server = RawServer::start(move |request| match request.nth {
        _ if request.path == "/small" => ok(&[], DOCUMENT),
        0 => ok(&[], &plain),
        1 => ok(&[("Content-Encoding", "gzip")], &zipped),
        _ => chunked(&[], &[&plain]),
    })
    .await;
    let upstream = upstream(&server);
    let first = found(&upstream).await;
    let second = found(&upstream).await;
    assert!(first.lane.is_some() && second.lane.is_some());
    assert_eq!((first.body.len(), second.stored.len()), (body.len(), coded.len()));
    assert_eq!(upstream.large_lane().free(), 0);
    let mut third = Box::pin(found(&upstream));
    tokio::select! {
        _ = &mut third => panic!("a third large document went in"),
        () = async { while server.count("/left-pad") < 3 { tokio::task::yield_now().await } } => {}
    }
    // small documents do not wait for the lane
    let small = PackageName::parse("small").unwrap();
    assert!(upstream.packument(&small, &none(), Urgency::Person).await.is_ok());
    drop(first);
    assert_eq!(third.await.body.len(), body.len());
}

#[tokio::test]
async fn a_body_may_come_slowly_as_long_as_it_comes() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let server = RawServer::start(move |_| {
        let (head, tail) = DOCUMENT.split_at(10);
        let start = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", DOCUMENT.len());
        vec![
            Act::Send(start.into_bytes()),
            Act::Send(head.to_vec()),
            Act::Wait(waits.clone()),
            Act::Send(tail.to_vec()),
        ]
    })
    .await;
    let upstream = upstream(&server);
    let mut document = Box::pin(found(&upstream));
    assert!(futures_util::poll!(document.as_mut()).is_pending());
    gate.add_permits(1);
    assert_eq!(document.await.body, DOCUMENT);
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
