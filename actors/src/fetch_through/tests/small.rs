//! Tarballs that are verified before the first byte leaves.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_one_cold_small_tarball_make_one_request() {
    let world = World::new(usual).await;
    world.hold_document().await;
    let readers: Vec<_> = (0..1_000)
        .map(|_| {
            let fetch = world.fetch.clone();
            tokio::spawn(async move { fetch.fetch_tarball(&name(), "1.0.0").await })
        })
        .collect();
    for reader in join_all(readers).await {
        let fetched = reader.unwrap().unwrap();
        assert!(matches!(fetched, TarballFetch::Stored { .. }));
        assert_eq!(world.stored_bytes(fetched).await, bytes_of(SMALL));
    }
    assert_eq!(world.server.count("/left-pad/-/left-pad-1.0.0.tgz"), 1);
    let row = world.row("1.0.0").await;
    assert_eq!(row.row.state, VersionState::Held);
    assert_eq!(row.row.size_bytes, Some(SMALL as i64));
}

#[tokio::test]
async fn bad_small_tarballs_leave_nothing() {
    for (case, acts) in [
        ("empty", ok(&[], b"")),
        ("one byte more", ok(&[], &bytes_of(SMALL + 1))),
        ("doubled", ok(&[], &[bytes_of(SMALL), bytes_of(SMALL)].concat())),
        ("html", ok(&[], b"<html>504</html>")),
        (
            "cut",
            raw([b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n", &bytes_of(9_999)[..]]
                .concat()),
        ),
        ("gone", answer("410 Gone", &[], b"")),
        ("error page", answer("504 Late", &[], b"<html>")),
    ] {
        let world = World::new(move |request| match request.path.as_str() {
            "/left-pad" => usual(request),
            _ => acts.clone(),
        })
        .await;
        world.hold_document().await;
        assert!(world.tarball("1.0.0").await.is_err(), "{case}");
        world.assert_nothing_held("1.0.0").await;
    }
}

#[tokio::test]
async fn a_passing_failure_of_a_small_tarball_is_repeated() {
    let world = World::new(|request| match (request.path.as_str(), request.nth) {
        ("/left-pad", _) => usual(request),
        (_, 0) => raw("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\nabc"),
        _ => usual(request),
    })
    .await;
    world.hold_document().await;
    let fetched = world.tarball("1.0.0").await.unwrap();
    assert_eq!(world.stored_bytes(fetched).await, bytes_of(SMALL));
}

#[tokio::test]
async fn equal_bytes_under_another_name_are_not_fetched_twice() {
    let world = World::new(|request| match request.path.as_str() {
        "/twin" => {
            let host = request.header("host").unwrap();
            ok(&[], &document("twin", &[version(host, "twin", "9.0.0", &bytes_of(SMALL))]))
        }
        _ => usual(request),
    })
    .await;
    world.hold_document().await;
    world.tarball("1.0.0").await.unwrap();
    let twin = PackageName::parse("twin").unwrap();
    assert!(world.fetch.fetch_document(&twin).await.unwrap().committed().await);
    let fetched = world.fetch.fetch_tarball(&twin, "9.0.0").await.unwrap();
    assert_eq!(world.stored_bytes(fetched).await, bytes_of(SMALL));
    assert_eq!(world.server.count("/twin/-/twin-9.0.0.tgz"), 0);
    let found = world.store.read(move |connection| versions::find(connection, &twin, "9.0.0"));
    assert_eq!(found.await.unwrap().unwrap().row.state, VersionState::Held);
}

#[tokio::test]
async fn a_lockfile_that_asks_for_a_tarball_only_brings_the_package() {
    let world = World::new(usual).await;
    let fetched = world.tarball("1.0.0").await.unwrap();
    assert_eq!(world.stored_bytes(fetched).await, bytes_of(SMALL));
    assert_eq!(world.server.count("/left-pad"), 1);
    assert_eq!(world.tarball("7.7.7").await.err(), Some(MissError::NotFound));
    assert_eq!(world.server.count("/left-pad"), 1);
    let unknown = PackageName::parse("unknown").unwrap();
    let error = world.fetch.fetch_tarball(&unknown, "1.0.0").await.err();
    assert_eq!(error, Some(MissError::NotFound));
}

#[tokio::test]
async fn a_version_without_a_digest_is_not_fetched() {
    let world = World::new(|request| {
        let host = request.header("host").unwrap();
        let entry = format!("\"1.0.0\":{{\"dist\":{{\"tarball\":\"http://{host}/a.tgz\"}}}}");
        ok(&[], &document("left-pad", &[entry]))
    })
    .await;
    world.hold_document().await;
    let error = world.tarball("1.0.0").await.err().unwrap();
    let MissError::Integrity(text) = error else { panic!("{error}") };
    assert!(text.contains("neither integrity nor shasum"), "{text}");
    assert_eq!(world.server.requests().len(), 1);
}

#[tokio::test]
async fn a_version_gone_upstream_stays_gone_when_its_tarball_is_fetched() {
    let world = World::new(|request| match (request.path.as_str(), request.nth) {
        ("/left-pad", 0) | ("/left-pad/-/left-pad-1.0.0.tgz", _) => usual(request),
        _ => ok(&[], &document("left-pad", &[])),
    })
    .await;
    world.hold_document().await;
    world.fetch.revalidate_now(&name()).await.unwrap();
    let fetched = world.tarball("1.0.0").await.unwrap();
    assert_eq!(world.stored_bytes(fetched).await, bytes_of(SMALL));
    let row = world.row("1.0.0").await.row;
    assert!(row.state == VersionState::Held && row.removed_at_ms.is_some());
}
