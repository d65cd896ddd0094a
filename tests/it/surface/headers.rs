//! Limits on what a client may send before it gets an answer, and what answers tell browsers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{raw, statuses};
use crate::harness::{Package, TestMirror};

async fn mirror() -> TestMirror {
    TestMirror::with(&[Package::new("lamp").version("1.0.0")]).await
}

#[tokio::test]
async fn every_answer_tells_browsers_that_it_is_no_page() {
    let mirror = mirror().await;
    for (method, target) in [
        ("GET", "/lamp"),
        ("HEAD", "/lamp"),
        ("GET", "/lamp/-/lamp-1.0.0.tgz"),
        ("GET", "/ghost"),
        ("GET", "/"),
        ("GET", "/-/ping"),
        ("GET", "/-/tasks"),
        ("PUT", "/lamp"),
        ("DELETE", "/-/ping"),
        ("OPTIONS", "/lamp"),
    ] {
        let answer = mirror.request(method, target).send().await;
        assert_eq!(answer.must("x-content-type-options"), "nosniff", "{method} {target}");
        assert_eq!(answer.must("referrer-policy"), "no-referrer", "{method} {target}");
        let policy = answer.must("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{method} {target}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{method} {target}: {policy}");
        assert_eq!(answer.header("server"), None, "{method} {target}");
        assert_eq!(answer.header("set-cookie"), None, "{method} {target}");
    }
    mirror.finish().await;
}

/// What the answer to a refused head says, in the common envelope.
fn told(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("content-type: application/json; charset=utf-8\r\n"), "{head}");
    assert!(head.contains("x-request-id: ") && head.contains("connection: close"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let (error, reason) = (body["error"].as_str().unwrap(), body["reason"].as_str().unwrap());
    let code = error.strip_suffix(reason).expect("the reason behind the code");
    code.trim().to_owned()
}

/// These are refused by the HTTP library before anything of ours runs; the words are ours.
#[tokio::test]
async fn heads_that_are_too_large_or_no_http_are_refused_and_the_connection_closed() {
    let mirror = mirror().await;
    let host = mirror.address();
    let large = "x".repeat(256 << 10);
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    for (what, request, wanted) in [
        ("a long target", format!("GET /{large} HTTP/1.1\r\nhost: {host}\r\n\r\n"), 431),
        ("a long header", format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: {large}\r\n\r\n"), 431),
        ("many headers", format!("GET / HTTP/1.1\r\nhost: {host}\r\n{many}\r\n"), 431),
        ("no HTTP", "SSH-2.0-OpenSSH\r\n\r\n".to_owned(), 400),
        ("no version", format!("GET /\r\nhost: {host}\r\n\r\n"), 400),
        ("HTTP/3.0", format!("GET / HTTP/3.0\r\nhost: {host}\r\n\r\n"), 400),
        ("a space in a name", format!("GET / HTTP/1.1\r\nhost: {host}\r\nx y: z\r\n\r\n"), 400),
        ("a NUL", format!("GET / HTTP/1.1\r\nhost: {host}\r\nx: a\0b\r\n\r\n"), 400),
    ] {
        let answer = raw(&mirror, request.as_bytes()).await;
        let answer = answer.unwrap_or_else(|| panic!("{what}: the connection stays open"));
        assert_eq!(statuses(&answer), [wanted], "{what}: {answer}");
        let code =
            if wanted == 400 { "[BAD_REQUEST]" } else { "[REQUEST_HEADER_FIELDS_TOO_LARGE]" };
        assert_eq!(told(&answer), code, "{what}");
    }
    mirror.get("/lamp").send().await.expect(200);
    mirror.finish().await;
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_sent_away() {
    let builder = TestMirror::builder().packages(&[Package::new("lamp").version("1.0.0")]);
    let builder = builder.serve(|settings| settings.headers_within = Duration::from_millis(100));
    let mirror = builder.start().await;
    for begun in ["", "GET", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let answer = raw(&mirror, begun.as_bytes()).await.expect("the connection is closed");
        assert!(matches!(*statuses(&answer), [] | [408]), "{begun:?}: {answer}");
        if !answer.is_empty() {
            assert_eq!(told(&answer), "[REQUEST_TIMEOUT]");
        }
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_refused_head_behind_good_requests_is_told_the_same_way() {
    let mirror = mirror().await;
    let mut stream = TcpStream::connect(mirror.address()).await.expect("the mirror listens");
    stream.write_all(b"GET /-/ping HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a reader");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    stream.write_all(b"no HTTP at all\r\n\r\n").await.expect("a reader");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the end");
    let (_, refused) = answer.split_once("HTTP/1.1 400").expect("a refusal");
    assert_eq!(told(refused), "[BAD_REQUEST]");
    mirror.finish().await;
}

#[tokio::test]
async fn only_reading_is_open_to_other_origins() {
    let mirror = mirror().await;
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        for target in ["/lamp", "/-/package/lamp/syncs", "/-/tasks/x/cancel", "/-/ping"] {
            let request = mirror.request(method, target).header("origin", "https://page.example");
            let answer = request.send().await;
            let cors: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| name.starts_with("access-control-"))
                .collect();
            assert!(cors.is_empty(), "{method} {target}: {cors:?}");
        }
    }
    for method in ["PUT", "DELETE"] {
        let asked = mirror.request("OPTIONS", "/lamp").header("origin", "https://page.example");
        let asked = asked.header("access-control-request-method", method).send().await;
        assert_eq!(asked.must("access-control-allow-methods"), "GET,HEAD", "{method}");
        assert_eq!(asked.header("access-control-allow-credentials"), None);
    }
    mirror.finish().await;
}
