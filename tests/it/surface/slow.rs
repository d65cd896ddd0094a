//! Clients that take their time: each is sent away after a while, and meanwhile costs the others
//! nothing. The limits are small here; every wait has an upper bound that only ends a test that
//! would hang.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::{raw, statuses};
use crate::harness::{Package, TestMirror, TokenKind, until};

const LIMIT: Duration = Duration::from_secs(60);

fn patience(settings: &mut espejo::app::ServeSettings) {
    settings.headers_within = Duration::from_secs(3);
    settings.stalls_after = Duration::from_secs(1);
}

async fn mirror(packages: &[Package]) -> TestMirror {
    TestMirror::builder().packages(packages).serve(patience).start().await
}

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0")
}

/// All that comes until the mirror ends the connection, whether in order or not.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // a connection that is cut ends with an error
    let ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection stays open");
    answer
}

#[tokio::test]
async fn the_head_of_a_second_request_has_to_end_as_well() {
    let mirror = mirror(&[lamp()]).await;
    let mut stream = TcpStream::connect(mirror.address()).await.expect("the mirror listens");
    let first = b"GET /-/ping HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(first).await.expect("the mirror reads");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    // one more byte now and then, for ever
    let (mut reading, mut writing) = stream.into_split();
    let drip = tokio::spawn(async move {
        let mut sent = writing.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sent = writing.write_all(b"x").await;
        }
    });
    let mut rest = Vec::new();
    // a connection that is cut under a writer may end with an error
    let ended = tokio::time::timeout(LIMIT, reading.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection stays open");
    tokio::time::timeout(LIMIT, drip).await.expect("no byte more is taken").expect("no panic");
    mirror.finish().await;
}

#[tokio::test]
async fn a_body_that_stops_or_drips_is_refused_and_its_connection_ended() {
    let mirror = mirror(&[lamp()]).await;
    let (token, _) = mirror.token("ada", TokenKind::User).await;
    let head = format!(
        "PUT /-/package/lamp/syncs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-length: 100000\r\n\r\n"
    );
    for dripping in [false, true] {
        let mut stream = TcpStream::connect(mirror.address()).await.expect("the mirror listens");
        stream.write_all(head.as_bytes()).await.expect("the mirror reads");
        stream.write_all(b"{\"tips\":\"").await.expect("the mirror reads");
        let (mut reading, mut writing) = stream.into_split();
        let drip = tokio::spawn(async move {
            while dripping && writing.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            writing
        });
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(LIMIT, reading.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the connection stays open");
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(statuses(&answer), [400], "{dripping}: {answer}");
        assert!(answer.contains("the request body stopped after"), "{answer}");
        drop(drip.await.expect("no panic"));
    }
    mirror.finish().await;
}

/// A connection whose client can hold next to nothing that it has not read.
async fn narrow(mirror: &TestMirror) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(mirror.address()).await.expect("the mirror listens")
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_left_and_the_others_are_served() {
    // larger than what sockets hold on loopback
    let large = Package::new("large").version_with("1.0.0", |version| version.size(12 << 20));
    let path = large.tarball_path("1.0.0");
    let mirror = mirror(&[large, lamp()]).await;
    mirror.sync(&["large", "lamp"]).await;
    let whole = mirror.get(&path).send().await.expect(200).body.len();
    assert!(whole > 10 << 20, "{whole}");
    let mut sleeping = Vec::new();
    for _ in 0..16 {
        let mut stream = narrow(&mirror).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the mirror reads");
        sleeping.push(stream);
    }
    for _ in 0..20 {
        mirror.get("/lamp").send().await.expect(200);
    }
    assert_eq!(mirror.get(&path).send().await.expect(200).body.len(), whole);
    for stream in sleeping {
        let stream = &stream;
        until("the mirror to leave", || async move {
            // written to, a connection that is gone says so
            let written = stream.try_write(b"x");
            let gone = |error: std::io::Error| error.kind() != std::io::ErrorKind::WouldBlock;
            written.is_err_and(gone).then_some(())
        })
        .await;
    }
    mirror.finish().await;
}

#[tokio::test]
async fn connections_without_a_request_are_ended_and_the_others_served() {
    let mirror = mirror(&[lamp()]).await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(mirror.address()).await.expect("the mirror listens"));
    }
    for _ in 0..20 {
        mirror.get("/lamp").send().await.expect(200);
    }
    for mut stream in idle {
        let answer = rest(&mut stream).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(matches!(*statuses(&text), [] | [408]), "{text}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_client_that_closes_its_half_gets_its_answer_and_the_end() {
    let mirror = mirror(&[lamp()]).await;
    mirror.sync(&["lamp"]).await;
    let mut stream = TcpStream::connect(mirror.address()).await.expect("the mirror listens");
    let request = b"GET /lamp HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.expect("the mirror reads");
    stream.shutdown().await.expect("an open socket");
    let answer = rest(&mut stream).await;
    assert_eq!(statuses(&String::from_utf8_lossy(&answer)), [200]);
    // and half a request has no answer, but an end
    let half = raw(&mirror, b"GET /lamp HTT").await;
    assert!(half.is_some(), "the connection stays open");
    mirror.finish().await;
}
