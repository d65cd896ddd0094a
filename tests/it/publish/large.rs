//! A tarball that gets a file of its own, and one that never comes to its end.

use super::{body_of, document, open, publish, send};
use crate::harness::Version;

#[tokio::test]
async fn a_large_tarball_is_spooled_and_served_whole() {
    let (mirror, token) = open().await;
    let large = Version::new("@garden/big", "1.0.0", 9 << 20);
    let body = body_of("@garden/big", &large, "latest");
    send(&mirror, &token, "@garden/big", &body).await.expect(201);
    let bytes = mirror.get("/@garden/big/-/big-1.0.0.tgz").send().await.expect(200).body;
    assert_eq!(bytes, large.tarball);
    let dist = &document(&mirror, "@garden/big").await["versions"]["1.0.0"]["dist"];
    assert_eq!(dist["size"], large.tarball.len());
    mirror.finish().await;
}

#[tokio::test]
async fn a_publisher_who_goes_away_leaves_nothing() {
    use tokio::io::AsyncWriteExt;
    let (mirror, token) = open().await;
    let body = body_of("@garden/big", &Version::new("@garden/big", "1.0.0", 3 << 20), "latest");
    let body = body.to_string();
    let mut stream = tokio::net::TcpStream::connect(mirror.address()).await.expect("a mirror");
    let head = format!(
        "PUT /@garden%2fbig HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        mirror.address(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("a reader");
    stream.write_all(&body.as_bytes()[..body.len() / 2]).await.expect("a reader");
    drop(stream);
    mirror.get("/@garden/big").send().await.expect(404);
    publish(&mirror, &token, "@garden/big", "1.0.0").await.expect(201);
    // nothing unfinished is left in the folder
    mirror.finish().await;
}
