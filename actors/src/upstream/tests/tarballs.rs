//! Tarballs: taken as they come, never whole when cut.

use super::*;

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
