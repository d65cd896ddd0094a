use std::io;

use super::*;

fn fake(table: &'static [(&'static str, &'static [&'static str])]) -> Lookup {
    Arc::new(move |name| {
        let found = table.iter().find(|(known, _)| *known == name);
        let addresses =
            found.map(|(_, list)| list.iter().map(|text| text.parse().unwrap()).collect());
        Box::pin(async move { addresses.ok_or_else(|| io::Error::other("no such name")) })
    })
}

fn guard(own: &str, lookup: Lookup) -> Arc<AddressGuard> {
    AddressGuard::new(Host::parse(own).unwrap(), None, None, lookup)
}

async fn check(guard: &AddressGuard, url: &str) -> Result<(), String> {
    guard.check(&Url::parse(url).unwrap()).await.map_err(|error| error.to_string())
}

#[test]
fn every_kind_of_address_is_told_apart() {
    for (address, reach) in [
        ("1.1.1.1", Reach::Public),
        ("172.32.0.1", Reach::Public),
        ("127.9.9.9", Reach::Loopback),
        ("::1", Reach::Loopback),
        ("::ffff:127.0.0.1", Reach::Loopback),
        ("64:ff9b::7f00:1", Reach::Loopback),
        ("2002:7f00:1::", Reach::Loopback),
        ("::10.0.0.1", Reach::Private),
        ("169.254.169.254", Reach::LinkLocal),
        ("fe80::1", Reach::LinkLocal),
        ("10.1.2.3", Reach::Private),
        ("172.16.0.1", Reach::Private),
        ("192.168.1.1", Reach::Private),
        ("64:ff9b:1::1", Reach::Private),
        ("fd00::1", Reach::UniqueLocal),
        ("100.64.0.1", Reach::CarrierGrade),
        ("0.0.0.0", Reach::Unspecified),
        ("0.1.2.3", Reach::Unspecified),
        ("::", Reach::Unspecified),
        ("224.0.0.1", Reach::Multicast),
        ("ff02::1", Reach::Multicast),
        ("255.255.255.255", Reach::Reserved),
        ("192.0.2.1", Reach::Reserved),
        ("192.88.99.1", Reach::Reserved),
        ("2001:db8::1", Reach::Reserved),
        ("2606:4700::1111", Reach::Public),
        ("3fff:1::1", Reach::Reserved),
        ("3fff:1000::1", Reach::Public),
        ("5f00::1", Reach::Reserved),
        ("100:0:0:1::1", Reach::Reserved),
        ("64:ff9b:0:1::1", Reach::Reserved),
        ("64:ff9b::a00:1", Reach::Private),
        ("64:ff9b::101:101", Reach::Public),
        ("::ffff:0:10.0.0.1", Reach::Reserved),
        ("2606:4700::5efe:10.0.0.1", Reach::Private),
        ("2606:4700::200:5efe:169.254.0.1", Reach::LinkLocal),
        ("2001:0:7f00:1::", Reach::Reserved),
        ("fec0::1", Reach::Private),
        ("::ffff:100.64.0.1", Reach::CarrierGrade),
    ] {
        assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
    }
}

#[tokio::test]
async fn a_public_upstream_never_leads_inside() {
    let guard = guard("registry.test", fake(&[("registry.test", &["1.1.1.1"])]));
    for url in [
        "http://127.0.0.1/x",
        "http://2130706433/x",
        "http://0x7f.1/x",
        "http://[::1]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1:8080/",
        "http://100.64.1.1/",
        "http://0.0.0.0/",
        "file:///etc/passwd",
        "gopher://1.1.1.1/",
        "http://user:pass@1.1.1.1/",
        "http://user@files.test/",
    ] {
        assert!(check(&guard, url).await.is_err(), "{url}");
    }
    check(&guard, "https://1.1.1.1:8443/x").await.unwrap();
    check(&guard, "http://files.test/x").await.unwrap();
}

#[tokio::test]
async fn an_internal_upstream_opens_its_own_kind_of_address_only() {
    let local = guard("127.0.0.1", fake(&[]));
    check(&local, "http://127.0.0.1:1/x").await.unwrap();
    check(&local, "http://[::1]:1/x").await.unwrap();
    assert!(check(&local, "http://10.0.0.1/x").await.is_err());
    assert!(check(&local, "http://169.254.169.254/x").await.is_err());
    let named = guard("registry.corp", fake(&[("registry.corp", &["10.0.0.7"])]));
    check(&named, "http://192.168.0.1/x").await.unwrap();
    assert!(check(&named, "http://127.0.0.1/x").await.is_err());
}

#[tokio::test]
async fn a_name_is_refused_when_any_of_its_addresses_is_internal() {
    let lookup = fake(&[
        ("registry.test", &["1.1.1.1"]),
        ("files.test", &["2.2.2.2", "3.3.3.3"]),
        ("evil.test", &["2.2.2.2", "169.254.169.254"]),
    ]);
    let guard = guard("registry.test", lookup);
    assert_eq!(guard.resolve("files.test".into()).await.unwrap().len(), 2);
    let error = guard.resolve("evil.test".into()).await.unwrap_err().to_string();
    assert!(
        error.contains("evil.test is 169.254.169.254, where a cloud gives out credentials"),
        "{error}"
    );
}

#[tokio::test]
async fn the_upstream_and_the_proxy_are_where_the_operator_put_them() {
    let lookup = fake(&[("registry.corp", &["10.0.0.7"]), ("proxy.corp", &["192.168.3.3"])]);
    let own = Host::parse("registry.corp").unwrap();
    let guard = AddressGuard::new(own, Some(String::from("proxy.corp")), None, lookup);
    assert_eq!(guard.resolve("registry.corp".into()).await.unwrap().len(), 1);
    assert_eq!(guard.resolve("proxy.corp".into()).await.unwrap().len(), 1);
}

#[test]
fn messages_show_no_secrets_and_are_bounded() {
    let url = Url::parse("http://u:secret@h.test/p?token=x#y").unwrap();
    assert_eq!(shown(&url), "http://h.test/p");
    let url = Url::parse(&format!("http://h.test/{}", "a".repeat(9_000))).unwrap();
    assert!(shown(&url).len() < 210);
}

/// Every way to write an address that resolvers and parsers have been seen to take.
#[tokio::test]
async fn no_spelling_of_an_inner_address_gets_by() {
    let guard = guard("registry.test", fake(&[("registry.test", &["1.1.1.1"])]));
    for host in [
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7F000001",
        "017700000001",
        "2130706433",
        "127.0.0.1.",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
        "0xa.1",
        "012.0.0.1",
        "0",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::7f00:1]",
        "[::ffff:7f00:1]",
        "[::ffff:0:7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::a00:1]",
        "[2002:a00:1::]",
        "[fe80::1]",
        "[febf::1]",
        "[fec0::1]",
        "[fd12:3456::1]",
        "[ff02::1]",
        "[2001::1]",
    ] {
        let url = Url::parse(&format!("http://{host}/x")).unwrap();
        assert!(!matches!(url.host(), Some(Host::Domain(_))), "{host} is read as a name");
        assert!(guard.check(&url).await.is_err(), "{host}");
    }
    // a zone is no part of an address that can be asked at all
    for host in ["[fe80::1%25eth0]", "[fe80::1%eth0]", "1.2.3.4.5", "0x", "256.1.1.1"] {
        let url = Url::parse(&format!("http://{host}/x"));
        let refused = match &url {
            Ok(url) => guard.check(url).await.is_err(),
            Err(_) => true,
        };
        assert!(refused, "{host}: {url:?}");
    }
}

#[tokio::test]
async fn nobody_can_make_a_registry_of_where_a_cloud_gives_out_credentials() {
    let lookup = fake(&[
        ("metadata.test", &["169.254.169.254"]),
        ("mapped.test", &["::ffff:169.254.169.254"]),
        ("six.test", &["1.1.1.1", "fd00:ec2::254"]),
        ("tasks.test", &["169.254.170.2"]),
    ]);
    for own in ["metadata.test", "mapped.test", "six.test", "tasks.test"] {
        let guard = guard(own, Arc::clone(&lookup));
        let error = guard.resolve(own.into()).await.unwrap_err().to_string();
        assert!(error.contains("gives out credentials"), "{own}: {error}");
    }
    let near = guard("169.254.1.1", Arc::clone(&lookup));
    check(&near, "http://169.254.1.1/x").await.unwrap();
    check(&near, "http://169.254.171.9/x").await.unwrap();
    for host in ["169.254.169.254", "[64:ff9b::a9fe:a9fe]", "2852039166"] {
        assert!(check(&near, &format!("http://{host}/x")).await.is_err(), "{host}");
    }
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"] {
        let own = guard(host, Arc::clone(&lookup));
        assert!(check(&own, &format!("http://{host}/x")).await.is_err(), "{host}");
    }
}

/// The proxy looks names up by itself: what is not refused here is refused by nobody.
#[tokio::test]
async fn a_proxy_is_not_sent_inside() {
    let lookup = fake(&[
        ("registry.test", &["1.1.1.1"]),
        ("files.test", &["2.2.2.2"]),
        ("rebound.test", &["10.0.0.7"]),
        ("mixed.test", &["2.2.2.2", "127.0.0.1"]),
        ("proxy.test", &["192.168.3.3"]),
    ]);
    let behind = |own: &str| {
        let proxy = Some(String::from("proxy.test"));
        AddressGuard::new(Host::parse(own).unwrap(), proxy, None, Arc::clone(&lookup))
    };
    let guard = behind("registry.test");
    for host in [
        "rebound.test",
        "mixed.test",
        "proxy.test",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "metadata.google.internal",
        "printer.local",
        "router.home.arpa",
        "intranet",
        "127.0.0.1",
    ] {
        assert!(check(&guard, &format!("http://{host}/x")).await.is_err(), "{host}");
    }
    // known here, and known to the proxy alone
    for host in ["registry.test", "files.test", "far.test"] {
        check(&guard, &format!("http://{host}/x")).await.unwrap();
    }
    let inside = behind("registry.corp");
    check(&inside, "http://files.corp/x").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_answer_is_waited_for_once() {
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |name| {
        let foreign = name != "registry.test";
        counted.fetch_add(u32::from(foreign), Ordering::Relaxed);
        Box::pin(async move {
            if foreign {
                std::future::pending::<()>().await;
            }
            Ok(vec!["1.1.1.1".parse().unwrap()])
        })
    });
    let proxy = Some(String::from("proxy.test"));
    let own = Host::parse("registry.test").unwrap();
    let guard = AddressGuard::new(own, proxy, None, lookup);
    for _ in 0..20 {
        check(&guard, "http://files.test/x").await.unwrap();
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::advance(SILENT_FOR).await;
    check(&guard, "http://files.test/x").await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}
