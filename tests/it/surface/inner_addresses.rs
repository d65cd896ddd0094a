//! Addresses that lead inside, wherever somebody may name one: as the host of a registry over HTTP
//! and on the command line, in a feed, in a document behind a proxy.

use serde_json::json;

use crate::harness::{Espejo, Package, Proxy, TestMirror, TokenKind};

/// No registry is there, whoever says so.
const NEVER: [&str; 15] = [
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://169.254.170.2/",
    "http://100.100.100.200/",
    "http://[fe80::1%25eth0]/",
    "http://user:word-of-a-user@registry.test/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/",
    "http://",
];

#[tokio::test]
async fn a_registry_cannot_be_where_none_is_whoever_says_so_over_http() {
    let mirror = TestMirror::with(&[]).await;
    let (admin, _) = mirror.token("root", TokenKind::Admin).await;
    for host in NEVER {
        let body = json!({ "name": "inner", "host": host, "type": "npm" });
        let made = mirror.request("POST", "/-/registry").token(&admin).json(&body).send().await;
        assert_eq!(made.status, 422, "{host}: {}", made.text());
        assert!(made.error().starts_with("[INVALID_PARAM] "), "{host}: {}", made.error());
        assert!(!made.text().contains("word-of-a-user"), "{}", made.text());
        let body = json!({ "host": host });
        let moved = mirror.request("PATCH", "/-/registry/default").token(&admin).json(&body);
        let moved = moved.send().await;
        assert!((400..500).contains(&moved.status), "{host}: {}", moved.text());
    }
    for feed in ["http://:word-of-a-feed@registry.test/", "file:///x", "http://[fe80::1%25lo]/"] {
        let body = json!({
            "name": "inner", "host": "http://registry.test/", "type": "npm", "changeStream": feed,
        });
        let made = mirror.request("POST", "/-/registry").token(&admin).json(&body).send().await;
        assert_eq!(made.status, 422, "{feed}: {}", made.text());
        assert!(!made.text().contains("word-of-a-feed"), "{}", made.text());
    }
    // ourselves, in every spelling
    let port = mirror.address().port();
    for host in ["127.0.0.1", "localhost", "LOCALHOST.", "127.1", "0x7f.1", "[::1]", "0.0.0.0"] {
        let host = format!("http://{host}:{port}/");
        let body = json!({ "name": "inner", "host": host, "type": "npm" });
        let made = mirror.request("POST", "/-/registry").token(&admin).json(&body).send().await;
        assert!((400..500).contains(&made.status), "{host}: {}", made.text());
    }
    let list = mirror.get("/-/registry").send().await.expect(200).json();
    assert_eq!(list["total"], json!(2), "{list}");
    mirror.finish().await;
}

#[test]
fn a_registry_cannot_be_where_none_is_whoever_says_so_at_the_terminal() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path());
    for host in [NEVER[0], NEVER[2], NEVER[5], NEVER[7], NEVER[10], NEVER[12]] {
        let ran = espejo.run(&["registry", "add", "inner", "--url", host]);
        assert!(ran.code.is_some_and(|code| code != 0), "{host}: {}{}", ran.stdout, ran.stderr);
    }
    let list = espejo.run(&["registry", "list", "--json"]).expect(0);
    assert!(!list.stdout.contains("inner"), "{}", list.stdout);
}

/// The proxy connects by itself: what it is asked for is judged before.
#[tokio::test]
async fn a_proxy_is_not_asked_for_inner_addresses() {
    let proxy = Proxy::start();
    let inner = [
        "http://10.0.0.1/x.tgz",
        "http://169.254.169.254/x.tgz",
        "http://[fd00::1]/x.tgz",
        "http://[::ffff:10.0.0.1]/x.tgz",
        "http://0xa.1/x.tgz",
    ];
    let mut package = Package::new("sly").version("9.0.0");
    for (index, address) in inner.iter().enumerate() {
        package = package.version_with(&format!("{index}.0.0"), |version| version.at(address));
    }
    let address = proxy.url("").parse().expect("an address");
    let mirror = TestMirror::builder()
        .packages(&[package])
        .asks(|settings| settings.proxy = Some(address))
        .start()
        .await;
    mirror.sync(&["sly"]).await;
    let asked = proxy.heads();
    assert!(asked.iter().any(|target| target.contains("sly-9.0.0.tgz")), "{asked:?}");
    for head in &asked {
        assert!(head.starts_with("GET http://127.0.0.1:"), "the proxy was asked for {head}");
    }
    for (index, address) in inner.iter().enumerate() {
        let row = mirror.version("sly", &format!("{index}.0.0")).await;
        assert!(row.blob.is_none() && row.reason.is_some(), "{address}");
    }
    mirror.finish().await;
}
