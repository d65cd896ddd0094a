//! Documents: how they are asked for, read and kept.

use super::*;

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
