//! More clients than there are places: whoever is idle goes, whoever is at work stays.
//!
//! No limit of time is small here, so that nothing but want of room ends a connection. Every wait
//! has an upper bound that only ends a test that would hang.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Package, TestMirror};

const LIMIT: Duration = Duration::from_secs(60);
const NEVER: Duration = Duration::from_secs(600);

/// A mirror with room for so many connections.
async fn mirror(places: usize, packages: &[Package]) -> TestMirror {
    let room = move |settings: &mut espejo::app::ServeSettings| {
        settings.workers = 1;
        settings.most_connections = Some(places);
        settings.headers_within = NEVER;
        settings.stalls_after = NEVER;
    };
    TestMirror::builder().packages(packages).serve(room).start().await
}

async fn connect(mirror: &TestMirror) -> TcpStream {
    TcpStream::connect(mirror.address()).await.expect("the mirror listens")
}

/// Asks on a connection that stays open; whether there was an answer.
async fn pings(stream: &mut TcpStream) -> bool {
    let request = b"GET /-/ping HTTP/1.1\r\nhost: x\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    let answered = async {
        while !answer.ends_with(b"}") {
            if !matches!(stream.read_buf(&mut answer).await, Ok(1..)) {
                return false;
            }
        }
        answer.starts_with(b"HTTP/1.1 200")
    };
    tokio::time::timeout(LIMIT, answered).await.expect("an answer or an end")
}

/// Waits for the end of an idle connection.
async fn ends(stream: &mut TcpStream) {
    let ended = tokio::time::timeout(LIMIT, stream.read(&mut [0; 64])).await;
    assert!(!matches!(ended.expect("an end"), Ok(1..)), "something was said");
}

/// Whether a connection is open and silent.
fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 64]);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn who_was_idle_longest_makes_room_for_who_comes() {
    let mirror = mirror(4, &[]).await;
    let mut open = vec![];
    for _ in 0..3 {
        let mut stream = connect(&mirror).await;
        assert!(pings(&mut stream).await);
        open.push(stream);
    }
    // the first one asks again, and so is not the one that is idle longest
    assert!(pings(&mut open[0]).await);
    for _ in 0..2 {
        let mut stream = connect(&mirror).await;
        assert!(pings(&mut stream).await);
        open.push(stream);
    }
    ends(&mut open[1]).await;
    ends(&mut open[2]).await;
    for kept in [0, 3, 4] {
        assert!(pings(&mut open[kept]).await, "{kept}");
    }
    mirror.finish().await;
}

#[tokio::test]
async fn those_who_say_nothing_keep_nobody_out() {
    let mirror = mirror(8, &[]).await;
    let mut silent = vec![];
    for _ in 0..40 {
        silent.push(connect(&mirror).await);
    }
    for _ in 0..20 {
        mirror.get("/-/ping").send().await.expect(200);
    }
    for stream in &mut silent[..30] {
        ends(stream).await;
    }
    mirror.finish().await;
}

#[tokio::test]
async fn an_answer_on_its_way_is_never_cut_for_others() {
    // larger than what sockets hold on loopback
    let large = Package::new("large").version_with("1.0.0", |version| version.size(12 << 20));
    let path = large.tarball_path("1.0.0");
    let mirror = mirror(3, &[large]).await;
    mirror.sync(&["large"]).await;
    let whole = mirror.get(&path).send().await.expect(200).body.len();
    assert!(whole > 10 << 20, "{whole}");

    let mut readers = vec![];
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let mut stream = socket.connect(mirror.address()).await.expect("the mirror listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the mirror reads");
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.expect("an answer");
        assert_eq!(&begin, b"HTTP/1.1 200");
        readers.push(stream);
    }
    // the one place that is left serves everybody else, one after the other
    let mut before: Option<TcpStream> = None;
    for _ in 0..10 {
        let mut stream = connect(&mirror).await;
        assert!(pings(&mut stream).await);
        if let Some(mut before) = before.replace(stream) {
            ends(&mut before).await;
        }
    }
    for mut reader in readers {
        let mut answer = Vec::new();
        let read = async {
            while answer.len() < whole {
                if !matches!(reader.read_buf(&mut answer).await, Ok(1..)) {
                    return;
                }
            }
        };
        tokio::time::timeout(LIMIT, read).await.expect("the whole answer");
        assert!(answer.len() >= whole, "{} of {whole}", answer.len());
    }
    mirror.finish().await;
}

#[tokio::test]
async fn nobody_goes_while_there_is_room() {
    let mirror = mirror(8, &[]).await;
    let mut open = vec![];
    for _ in 0..6 {
        let mut stream = connect(&mirror).await;
        assert!(pings(&mut stream).await);
        open.push(stream);
    }
    for stream in &mut open {
        assert!(is_open(stream));
        assert!(pings(stream).await);
    }
    mirror.finish().await;
}
