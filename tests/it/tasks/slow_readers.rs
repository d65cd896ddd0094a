//! Readers of a log that hear nothing for long, and readers that take nothing for long.

use std::time::Duration;

use store::tasks;
use store::{TaskId, WriteFn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::stream::Follower;
use super::{options, package};
use crate::harness::TestMirror;

#[tokio::test]
async fn a_silent_stream_says_that_it_is_still_there_and_goes_on() {
    let lamp = package("lamp");
    let mirror = TestMirror::builder()
        .packages(std::slice::from_ref(&lamp))
        .serve(|settings| settings.log_heartbeat = Duration::from_millis(5))
        .start()
        .await;
    let gate = mirror.upstream.gate(&lamp.tarball_path("1.0.0"));
    let id = mirror.enqueue(&["lamp"], &options()).await[0].id;
    let mut follower = Follower::start(&mirror, "lamp", id, "").await;
    let (mut seen, _) = follower.until("latest version: 1.0.0").await;
    let before = follower.heartbeats;
    seen.extend(follower.heartbeats(before + 3).await);
    drop(gate);
    let (rest, end) = follower.rest().await;
    assert_eq!(end.data, "{\"error\":null,\"state\":\"success\"}");
    seen.extend(rest);
    let log = mirror.log(id).await;
    assert_eq!(seen, log.lines().collect::<Vec<_>>(), "a heartbeat is no line");
    mirror.finish().await;
}

/// One piece of a log: 256 KiB in lines of 1 KiB.
const PIECE: usize = 256 << 10;
/// 32 MiB: far more than what sockets hold.
const PIECES: usize = 128;

/// Adds pieces to the log of a task.
async fn lengthen(mirror: &TestMirror, id: TaskId) {
    for _ in 0..PIECES {
        let line = format!("{}\n", "x".repeat(1023));
        let write: WriteFn =
            Box::new(move |rows| tasks::append_log(rows, id, &line.repeat(PIECE / 1024)));
        mirror.engine().write(write).await.expect("a writable store");
    }
}

/// Asks for a stream with a small window, and takes its first bytes only.
async fn slow_reader(mirror: &TestMirror, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(32 << 10).expect("a small window");
    let mut stream = socket.connect(mirror.address()).await.expect("the mirror listens");
    let head =
        format!("GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", mirror.address());
    stream.write_all(head.as_bytes()).await.expect("the mirror reads");
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn a_slow_reader_holds_neither_the_log_nor_more_of_it_than_it_takes() {
    let mirror = TestMirror::with(&[package("lamp")]).await;
    let id = mirror.sync(&["lamp"]).await[0].id;
    lengthen(&mirror, id).await;
    let target = format!("/-/package/lamp/syncs/{id}/log/stream");
    let mut slow = slow_reader(&mirror, &target).await;
    // Somebody else reads all of it meanwhile: time enough to read ahead for whoever would.
    let whole = mirror.get(&target).send().await.expect(200);
    assert!(whole.body.len() > PIECE * PIECES);
    // What the slow one has not asked for yet can be deleted, and then is not in any memory.
    let delete: WriteFn = Box::new(move |rows| tasks::delete_log(rows, id));
    mirror.engine().write(delete).await.expect("a writable store");
    let mut rest = Vec::new();
    let reading = slow.read_to_end(&mut rest);
    let read = tokio::time::timeout(Duration::from_secs(60), reading).await;
    read.expect("the end of the stream within a minute").expect("a stream that ends well");
    assert!(rest.len() < PIECE * PIECES / 2, "{} bytes were kept for a slow reader", rest.len());
    let end = String::from_utf8_lossy(&rest[rest.len() - 200..]).into_owned();
    assert!(end.contains("event: end") && end.ends_with("0\r\n\r\n"), "{end}");
    mirror.finish().await;
}
