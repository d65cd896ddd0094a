//! Requests whose end two programs may see in different places. Behind a proxy the wrong reading
//! would make a second request of one, with the rights of somebody else.

use super::{raw, statuses};
use crate::harness::{Package, TestMirror};

/// Each is one answer, and the request hidden behind it is never read.
#[tokio::test]
async fn a_request_with_two_ends_is_refused_and_nothing_behind_it_is_read() {
    let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
    let hidden = "GET /-/ping HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = hidden.len();
    for (what, headers, body) in [
        (
            "CL and TE",
            "content-length: 4\r\ntransfer-encoding: chunked\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        (
            "TE and CL",
            "transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        ("two lengths", format!("content-length: 0\r\ncontent-length: {length}\r\n"), ""),
        ("two equal lengths", "content-length: 0\r\ncontent-length: 0\r\n".to_owned(), ""),
        ("a list of lengths", format!("content-length: 0, {length}\r\n"), ""),
        ("a length with a sign", "content-length: +0\r\n".to_owned(), ""),
        ("a negative length", "content-length: -1\r\n".to_owned(), ""),
        ("a length in hex", "content-length: 0x0\r\n".to_owned(), ""),
        ("TE of another kind", "transfer-encoding: xchunked\r\n".to_owned(), "0\r\n\r\n"),
        (
            "TE twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        ("TE list", "transfer-encoding: identity, chunked\r\n".to_owned(), "0\r\n\r\n"),
        ("TE identity", "transfer-encoding: identity\r\n".to_owned(), ""),
        (
            "TE with a tab",
            "transfer-encoding:\tchunked\r\ncontent-length: 4\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        ("a space before the colon", "content-length : 0\r\n".to_owned(), ""),
        ("a folded header", "x: a\r\n content-length: 4\r\n".to_owned(), ""),
        ("a CR alone", "x: a\rcontent-length: 4\r\n".to_owned(), ""),
        ("two hosts", "host: other\r\n".to_owned(), ""),
    ] {
        let request = format!("GET /lamp HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}{hidden}");
        let answer = raw(&mirror, request.as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("{what}: the connection stays open"));
        assert_eq!(statuses(&answer), [400], "{what}: {answer}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn chunks_that_are_no_chunks_end_the_connection() {
    let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
    let hidden = "GET /-/ping HTTP/1.1\r\nhost: x\r\n\r\n";
    for chunks in [
        "x\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff0\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
    ] {
        let head = "PUT /lamp/sync HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = raw(&mirror, format!("{head}{chunks}{hidden}").as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("{chunks:?}: the connection stays open"));
        assert_eq!(statuses(&answer), [400], "{chunks:?}: {answer}");
    }
    // and with real ones the next request on the connection is the next request
    let good = "PUT /lamp/sync HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                2\r\n{}\r\n0\r\n\r\nGET /-/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(&mirror, good.as_bytes()).await.expect("the end");
    assert_eq!(statuses(&answer), [401, 200], "{answer}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_version_that_knows_no_chunks_sends_none() {
    let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
    let request = "GET /lamp HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = raw(&mirror, request.as_bytes()).await.expect("the end");
    let status = answer.split(' ').nth(1);
    assert_eq!(status, Some("400"), "{answer}");
    mirror.finish().await;
}

/// The HTTP library takes a line feed alone for the end of a line, as RFC 9112 (2.2) allows: no
/// header hides behind one, and the request has one end.
#[tokio::test]
async fn a_line_feed_alone_ends_a_line_and_hides_nothing() {
    let mirror = TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await;
    let plain = "GET /lamp HTTP/1.1\nhost: x\nconnection: close\n\n";
    let answer = raw(&mirror, plain.as_bytes()).await.expect("the end");
    assert_eq!(statuses(&answer), [200], "{answer}");
    let hidden = "GET /lamp HTTP/1.1\r\nhost: x\r\nx: a\ntransfer-encoding: chunked\r\n\
                  content-length: 4\r\n\r\n0\r\n\r\nGET /-/ping HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = raw(&mirror, hidden.as_bytes()).await.expect("the end");
    assert_eq!(statuses(&answer), [400], "{answer}");
    mirror.finish().await;
}
