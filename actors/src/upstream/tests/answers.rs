//! What answers mean, what is tried again, and when the upstream is left alone.

use super::*;

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
