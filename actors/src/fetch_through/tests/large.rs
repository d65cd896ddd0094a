//! Tarballs that stream while they come.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_readers_of_one_cold_large_tarball_make_one_request() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new(large_with_gates([(100_000, gate.clone())])).await;
    world.hold_document().await;
    let expected = bytes_of(LARGE);
    let readers: Vec<_> = (0..1_000)
        .map(|_| {
            let (fetch, gate) = (world.fetch.clone(), gate.clone());
            let expected = expected.clone();
            tokio::spawn(async move {
                match fetch.fetch_tarball(&name(), "2.0.0").await.unwrap() {
                    streaming @ TarballFetch::Streaming { .. } => {
                        gate.add_permits(1);
                        assert_eq!(drain(streaming, &expected).await, (LARGE, Ok(())));
                        true
                    }
                    TarballFetch::Stored { location, .. } => {
                        assert_eq!(location.length, LARGE as i64);
                        false
                    }
                }
            })
        })
        .collect();
    let streamed = join_all(readers).await.into_iter().filter(|reader| *reader.as_ref().unwrap());
    assert!(streamed.count() > 0);
    assert_eq!(world.server.count("/left-pad/-/left-pad-2.0.0.tgz"), 1);
    let row = world.wait_until_held("2.0.0").await;
    assert_eq!(row.row.blob, Some(Sha512Digest::of(&expected)));
    let fetched = world.tarball("2.0.0").await.unwrap();
    assert_eq!(world.stored_bytes(fetched).await, expected);
}

/// The large tarball with stops: after so many bytes, upstream waits for the gate.
fn large_with_gates<const N: usize>(
    stops: [(usize, Arc<Semaphore>); N],
) -> impl Fn(&RawRequest) -> Vec<Act> {
    move |request| {
        if request.path != "/left-pad/-/left-pad-2.0.0.tgz" {
            return usual(request);
        }
        let bytes = bytes_of(LARGE);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
        let mut acts = vec![Act::Send(head.into_bytes())];
        let mut sent = 0;
        for (stop, gate) in &stops {
            acts.push(Act::Send(bytes[sent..*stop].to_vec()));
            acts.push(Act::Wait(gate.clone()));
            sent = *stop;
        }
        acts.push(Act::Send(bytes[sent..].to_vec()));
        acts
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_tarball_streams_while_it_comes_and_survives_its_first_reader() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new(large_with_gates([(200_000, gate.clone())])).await;
    world.hold_document().await;
    let leader = world.tarball("2.0.0").await.unwrap();
    let TarballFetch::Streaming { mut body, .. } = leader else { panic!("it is stored") };
    let first = body.next().await.unwrap().unwrap();
    assert!(bytes_of(LARGE).starts_with(&first));
    let follower = world.tarball("2.0.0").await.unwrap();
    drop(body);
    gate.add_permits(1);
    assert_eq!(drain(follower, &bytes_of(LARGE)).await, (LARGE, Ok(())));
    assert_eq!(world.server.count("/left-pad/-/left-pad-2.0.0.tgz"), 1);
    world.wait_until_held("2.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stands_still_stalls_nobody_and_still_gets_everything() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::new(large_with_gates([(100_000, gate.clone())])).await;
    world.hold_document().await;
    let slow = world.tarball("2.0.0").await.unwrap();
    gate.add_permits(1);
    world.wait_until_held("2.0.0").await;
    assert_eq!(drain(slow, &bytes_of(LARGE)).await, (LARGE, Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_comes_late_waits_for_the_stored_blob() {
    let (beginning, end) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let stops = [(100_000, beginning.clone()), (LARGE - 1_000, end.clone())];
    let world = World::new(large_with_gates(stops)).await;
    world.hold_document().await;
    // upstream goes on only when this reader is there, however late the machine wakes it
    let early = world.tarball("2.0.0").await.unwrap();
    let TarballFetch::Streaming { mut body, .. } = early else { panic!("it is stored") };
    beginning.add_permits(1);
    let mut seen = 0;
    let follow = async {
        while seen < (LARGE - 1_000).saturating_sub(200_000) {
            seen += body.next().await.unwrap().unwrap().len();
        }
    };
    // Either it saw that much, or it fell behind itself and waits for the stored blob: in both
    // cases the beginning has left memory.
    let _ = tokio::time::timeout(Duration::from_secs(10), follow).await;
    let (late, ()) = tokio::join!(world.tarball("2.0.0"), async { end.add_permits(1) });
    assert_eq!(world.stored_bytes(late.unwrap()).await, bytes_of(LARGE));
    let stored = world.fetch.fetch_tarball_stored(&name(), "2.0.0").await.unwrap();
    assert_eq!(stored.0, Sha512Digest::of(&bytes_of(LARGE)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_need_the_whole_blob_wait_for_it() {
    let world = World::new(usual).await;
    world.hold_document().await;
    let (digest, location) = world.fetch.fetch_tarball_stored(&name(), "2.0.0").await.unwrap();
    assert_eq!((digest, location.length), (Sha512Digest::of(&bytes_of(LARGE)), LARGE as i64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_fails_late_cuts_its_readers_and_leaves_nothing() {
    let cut = LARGE / 10 * 9;
    let world = World::new(move |request| match request.path.as_str() {
        "/left-pad/-/left-pad-2.0.0.tgz" => {
            let mut bytes =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").into_bytes();
            bytes.extend_from_slice(&bytes_of(LARGE)[..cut]);
            raw(bytes)
        }
        _ => usual(request),
    })
    .await;
    world.hold_document().await;
    let (seen, end) = world.drained("2.0.0").await;
    assert!(seen <= cut);
    assert!(matches!(end, Err(MissError::Unavailable { .. })), "{end:?}");
    world.assert_nothing_held("2.0.0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bytes_are_never_whole_and_never_kept() {
    let world = World::new(|request| {
        let mut wrong = match request.path.as_str() {
            "/left-pad/-/left-pad-1.0.0.tgz" => bytes_of(SMALL).to_vec(),
            "/left-pad/-/left-pad-2.0.0.tgz" => bytes_of(LARGE).to_vec(),
            _ => return usual(request),
        };
        *wrong.last_mut().unwrap() ^= 1;
        ok(&[], &wrong)
    })
    .await;
    world.hold_document().await;
    let small = world.tarball("1.0.0").await.err().unwrap();
    assert!(matches!(&small, MissError::Integrity(text) if text.contains("left-pad@1.0.0")));
    assert_eq!(world.server.count("/left-pad/-/left-pad-1.0.0.tgz"), 2);
    world.assert_nothing_held("1.0.0").await;
    let (seen, end) = world.drained("2.0.0").await;
    assert!(seen <= LARGE - (64 << 10), "{seen}");
    assert!(matches!(end, Err(MissError::Integrity(_))), "{end:?}");
    world.assert_nothing_held("2.0.0").await;
}

#[tokio::test]
async fn a_large_tarball_of_unknown_length_is_stored_first() {
    let world = World::new(|request| match request.path.as_str() {
        "/left-pad/-/left-pad-2.0.0.tgz" => {
            raw([b"HTTP/1.1 200 OK\r\n\r\n", &bytes_of(LARGE)[..]].concat())
        }
        _ => usual(request),
    })
    .await;
    world.hold_document().await;
    let fetched = world.tarball("2.0.0").await.unwrap();
    assert_eq!(world.stored_bytes(fetched).await, bytes_of(LARGE));
}

#[tokio::test]
async fn a_tarball_above_the_limit_is_refused() {
    let world = World::new(|request| match request.path.as_str() {
        "/left-pad" => usual(request),
        _ => vec![
            Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n".to_vec()),
            Act::Stall,
        ],
    })
    .await;
    world.hold_document().await;
    assert!(matches!(world.tarball("1.0.0").await, Err(MissError::TooLarge(_))));
}
