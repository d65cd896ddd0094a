use super::*;

#[tokio::test]
async fn documents_and_tarballs_are_served_with_validators() {
    let upstream = SimulatedUpstream::start(CorpusSettings { seed: 1, packages: 5 }).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let scoped = format!("{}@bench%2fpart-4", upstream.url());
    let document = client.get(&scoped).send().await.unwrap();
    let etag = document.headers()["etag"].clone();
    let document: serde_json::Value = document.json().await.unwrap();
    assert_eq!(document["name"], "@bench/part-4");
    let again = client.get(&scoped).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let zipped = client.get(&scoped).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(zipped.headers()["content-encoding"], "gzip");

    let (_, manifest) = document["versions"].as_object().unwrap().iter().next().unwrap();
    let tarball = client.get(manifest["dist"]["tarball"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(tarball.status(), 200);
    let absent = client.get(format!("{}absent", upstream.url())).send().await.unwrap();
    assert_eq!(absent.status(), 404);
}

#[test]
fn it_stops_when_dropped() {
    let upstream = SimulatedUpstream::start(CorpusSettings { seed: 1, packages: 1 }).unwrap();
    let address = upstream.address;
    drop(upstream);
    assert!(std::net::TcpStream::connect(address).is_err());
}
