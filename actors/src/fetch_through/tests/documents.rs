//! Documents that are not here: one request for all who wait, absence, failures.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_one_cold_document_make_one_request() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let world =
        World::new(move |request| [vec![Act::Wait(waits.clone())], usual(request)].concat()).await;
    let readers: Vec<_> = (0..1_000)
        .map(|_| {
            let fetch = world.fetch.clone();
            tokio::spawn(async move { fetch.fetch_document(&name()).await })
        })
        .collect();
    gate.add_permits(1);
    for reader in join_all(readers).await {
        let document = reader.unwrap().unwrap();
        assert!(document.body.starts_with(b"{\"name\":\"left-pad\""));
        assert!(document.committed().await);
        assert_eq!(document.revision(), Some(1));
    }
    // from here on it is found in the store
    let again = world.document().await.unwrap();
    assert!(again.body.starts_with(b"{\"name\":\"left-pad\"") && again.revision() == Some(1));
    assert_eq!(world.server.count("/left-pad"), 1);
    let package = world.package().await.unwrap();
    assert_eq!((package.keep, package.registry.as_str()), (Keeping::Cached, "default"));
    assert_eq!(package.validators.etag.as_deref(), Some("\"1\""));
    assert_eq!(world.row("1.0.0").await.row.tarball_file, "left-pad-1.0.0.tgz");
}

#[tokio::test]
async fn a_reader_that_goes_away_stops_nobody() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = gate.clone();
    let world =
        World::new(move |request| [vec![Act::Wait(waits.clone())], usual(request)].concat()).await;
    let mut leader = Box::pin(world.document());
    assert!(futures_util::poll!(leader.as_mut()).is_pending());
    let mut follower = Box::pin(world.document());
    assert!(futures_util::poll!(follower.as_mut()).is_pending());
    drop(leader);
    gate.add_permits(1);
    assert!(follower.await.is_ok());
    assert_eq!(world.server.count("/left-pad"), 1);
}

#[tokio::test]
async fn a_document_that_is_none_is_refused_and_not_kept() {
    for (body, text) in [
        (document("right-pad", &[]), "got the document of right-pad"),
        (document("Left-Pad", &[]), "got the document of Left-Pad"),
        (b"{\"error\":\"not_found\"}".to_vec(), "only error"),
        (b"{\"name\":\"left-pad\",\"versions\":}".to_vec(), "cannot be read"),
    ] {
        let world = World::new(move |_| ok(&[], &body)).await;
        let error = world.document().await.unwrap_err();
        assert!(matches!(error, MissError::BadUpstream(_)), "{error}");
        assert!(error.to_string().contains(text), "{error}");
        assert!(world.package().await.is_none());
    }
}

#[tokio::test]
async fn absence_is_believed_for_a_while() {
    for (believed, requests) in [(Duration::from_secs(3_600), 1), (Duration::ZERO, 3)] {
        let world = World::with(|_| answer("404 Not Found", &[], b"{}"), believed).await;
        for _ in 0..3 {
            assert_eq!(world.document().await.unwrap_err(), MissError::NotFound);
        }
        assert_eq!(world.server.count("/left-pad"), requests);
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_said_to_come_back() {
    let world = World::new(|_| answer("503 Busy", &[("Retry-After", "77")], b"")).await;
    let error = world.document().await.unwrap_err();
    let MissError::Unavailable { retry_after, .. } = error else { panic!("{error}") };
    assert_eq!(retry_after, Duration::from_secs(77));
}

#[tokio::test]
async fn a_parked_mirror_passes_documents_through_and_fetches_no_tarballs() {
    let world = World::new(usual).await;
    world.is_parked.store(true, Ordering::Relaxed);
    let document = world.document().await.unwrap();
    assert!(!document.committed().await && document.revision().is_none());
    assert!(world.package().await.is_none());
    world.is_parked.store(false, Ordering::Relaxed);
    world.hold_document().await;
    world.is_parked.store(true, Ordering::Relaxed);
    let error = world.tarball("1.0.0").await.err().unwrap();
    assert_eq!(error, MissError::Parked(String::from("the disk is full")));
    let error = world.fetch.revalidate_now(&name()).await.unwrap_err();
    assert!(matches!(error, MissError::Parked(_)));
    assert_eq!(world.server.requests().len(), 2);
}

#[test]
fn no_failure_of_the_store_is_taken_for_absence() {
    for error in [
        StoreError::Retry(String::from("busy")),
        StoreError::DiskFull(String::from("full")),
        StoreError::Other(String::from("other")),
    ] {
        assert_ne!(MissError::from(error), MissError::NotFound);
    }
}

#[tokio::test]
async fn a_failed_commit_takes_nothing_from_the_reader() {
    let world = World::new(usual).await;
    world.commits_fail.store(true, Ordering::Relaxed);
    let document = world.document().await.unwrap();
    assert!(!document.committed().await);
    world.commits_fail.store(false, Ordering::Relaxed);
    world.hold_document().await;
    assert_eq!(world.server.count("/left-pad"), 2);
    world.commits_fail.store(true, Ordering::Relaxed);
    let fetched = world.tarball("1.0.0").await.unwrap();
    assert_eq!(world.stored_bytes(fetched).await, bytes_of(SMALL));
}

#[tokio::test]
async fn revalidation_keeps_replaces_or_leaves_what_is_held() {
    let world = World::new(|request| {
        let host = request.header("host").unwrap().to_owned();
        match request.nth {
            0 => usual(request),
            1 => answer("304 Not Modified", &[], b""),
            2 => ok(&[], &document("left-pad", &[version(&host, "left-pad", "3.0.0", b"x")])),
            _ => answer("404 Not Found", &[], b"{}"),
        }
    })
    .await;
    assert_eq!(world.fetch.revalidate_now(&name()).await, Err(MissError::NotFound));
    assert!(world.server.requests().is_empty());
    let world = World { fetch: FetchThrough::new(world.fetch.shared.deps.clone()), ..world };
    world.hold_document().await;
    let first = world.package().await.unwrap();
    world.fetch.revalidate_now(&name()).await.unwrap();
    assert_eq!(world.server.requests()[1].header("if-none-match"), Some("\"1\""));
    let same = world.package().await.unwrap();
    assert_eq!(same.revision, first.revision);
    assert!(same.checked_at_ms >= first.checked_at_ms);
    world.fetch.revalidate(&name());
    while world.package().await.unwrap().revision == first.revision {
        tokio::task::yield_now().await;
    }
    assert!(world.row("1.0.0").await.row.removed_at_ms.is_some());
    assert_eq!(world.row("3.0.0").await.row.state, VersionState::Remote);
    let newest = world.package().await.unwrap();
    assert_eq!(world.fetch.revalidate_now(&name()).await, Err(MissError::NotFound));
    let left = world.package().await.unwrap();
    assert_eq!((left.revision, left.document), (newest.revision, newest.document));
}
