//! What the network can reach: who gets what from each route, and what is done with requests that
//! are made to harm.

mod crowded;
mod headers;
mod inner_addresses;
mod paths;
mod routes;
mod secrets;
mod seeds;
mod slow;
mod smuggling;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::TestMirror;

/// Sends bytes as they are; all that came back until the mirror closed the connection, or `None`
/// when it left it open for a minute.
async fn raw(mirror: &TestMirror, bytes: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(mirror.address()).await.expect("the mirror listens");
    // The mirror may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let limit = std::time::Duration::from_secs(60);
    let _ = tokio::time::timeout(limit, reading).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// The status codes of all answers in what came back.
fn statuses(text: &str) -> Vec<u16> {
    let heads = text.split("HTTP/1.1 ").skip(1);
    heads.filter_map(|head| head.get(..3)?.parse().ok()).collect()
}
