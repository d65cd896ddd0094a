//! Serving with a certificate.

use std::path::PathBuf;
use std::time::Duration;

use super::lamp;
use crate::harness::TestMirror;

/// A certificate for 127.0.0.1 and its key, as PEM files, and its PEM text.
fn certificate(folder: &std::path::Path) -> (PathBuf, PathBuf, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
    let made = made.expect("a certificate");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    (cert, key, made.cert.pem())
}

#[tokio::test]
async fn with_a_certificate_documents_and_tarballs_come_by_https() {
    // Whoever is first installs it; all want the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (cert, key, pem) = certificate(folder.path());
    let mirror = TestMirror::builder()
        .packages(&[lamp()])
        .serve(|settings| settings.tls = Some((cert, key)))
        .start()
        .await;
    let root = reqwest::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder().tls_certs_only([root]).timeout(Duration::from_secs(30));
    let client = client.build().expect("a client");
    let base = format!("https://{}", mirror.address());
    let document: serde_json::Value =
        client.get(format!("{base}/lamp")).send().await.expect("TLS").json().await.expect("JSON");
    let tarball = document["versions"]["1.0.0"]["dist"]["tarball"].as_str().expect("an address");
    assert_eq!(tarball, format!("{base}/lamp/-/lamp-1.0.0.tgz"));
    let bytes = client.get(tarball).send().await.expect("TLS").bytes().await.expect("bytes");
    assert_eq!(bytes, lamp().get("1.0.0").tarball);
    mirror.finish().await;
}
