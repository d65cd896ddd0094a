//! `upstream.proxy` and `upstream.ca`: the way to an upstream as an operator sets it.

use crate::harness::{Espejo, FakeUpstream, Package, Proxy, TlsFront};

fn lamp() -> Package {
    Package::new("lamp").version("1.0.0").version("1.1.0")
}

/// The upstream behind a TLS front: documents name the front.
fn behind_tls() -> (FakeUpstream, TlsFront) {
    let upstream = FakeUpstream::start();
    let front = TlsFront::start(&upstream.url());
    upstream.publish(&lamp());
    upstream.publish_document("lamp", lamp().document(&front.url()));
    (upstream, front)
}

#[test]
fn a_plain_upstream_is_asked_through_the_proxy_with_its_credentials() {
    let upstream = FakeUpstream::start();
    upstream.publish(&lamp());
    let proxy = Proxy::start();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path())
        .env("ESPEJO_UPSTREAM", upstream.url())
        .env("ESPEJO_UPSTREAM__PROXY", proxy.url("ada:hush"));
    espejo.run(&["sync", "lamp"]).expect(0);
    assert_eq!(upstream.count("/lamp"), 1);
    let heads = proxy.heads();
    assert!(!heads.is_empty());
    for head in &heads {
        assert!(head.starts_with(&format!("GET {}/", upstream.url())), "{head}");
        // ada:hush
        assert!(head.to_lowercase().contains("proxy-authorization: basic ywrhomh1c2g="), "{head}");
    }
    let passed_on = upstream.asked();
    assert_eq!(passed_on.len(), 3, "nothing came by another way");
    let shown = espejo.run(&["config", "show", "--json"]).expect(0);
    assert!(!shown.stdout.contains("hush"), "{}", shown.stdout);
}

#[test]
fn an_upstream_behind_an_own_authority_is_asked_through_a_tunnel() {
    let (upstream, front) = behind_tls();
    let proxy = Proxy::start();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &front.ca_pem).expect("a file");
    let espejo = Espejo::new(&folder.path().join("data"))
        .env("ESPEJO_UPSTREAM", front.url())
        .env("ESPEJO_UPSTREAM__PROXY", proxy.url(""))
        .env("ESPEJO_UPSTREAM__CA", ca.display());
    espejo.run(&["sync", "lamp"]).expect(0);
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(upstream.count(&lamp().tarball_path(version)), 1);
    }
    let tunnel = format!("CONNECT {} ", front.url().trim_start_matches("https://"));
    let heads = proxy.heads();
    assert!(!heads.is_empty() && heads.iter().all(|head| head.starts_with(&tunnel)), "{heads:?}");
    let doctor = espejo.run(&["doctor"]);
    assert!(doctor.stdout.contains("upstream") && doctor.stdout.contains("answers in"));
}

#[test]
fn an_authority_nobody_named_is_not_believed() {
    let (upstream, front) = behind_tls();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path()).env("ESPEJO_UPSTREAM", front.url());
    let failed = espejo.run(&["sync", "lamp"]);
    assert_ne!(failed.code, Some(0));
    assert_eq!(upstream.asked().len(), 0);
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").expect("a file");
    let missing = folder.path().join("missing.pem");
    for (path, words, code) in [(&missing, "cannot read", 2), (&empty, "no certificate", 1)] {
        let espejo = Espejo::new(&folder.path().join("data"))
            .env("ESPEJO_UPSTREAM", "http://127.0.0.1:9/")
            .env("ESPEJO_UPSTREAM__CA", path.display());
        let refused = espejo.run(&["sync", "lamp"]).expect(code);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
        assert!(refused.stderr.contains("upstream.ca"), "{}", refused.stderr);
    }
}
