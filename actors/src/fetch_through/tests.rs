//! Misses against a scripted upstream, a real store and real commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use npm::{PackageName, Sha512Digest};
use parking_lot::Mutex;
use store::versions::{self, TarballRow};
use store::{
    BlobSettings, CommitBatch, DatabaseSettings, Keeping, PackageChange, Store, StoreError,
    StoreSettings, VersionState, packages,
};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::*;
use crate::policy::{SignaturePolicy, SyncPolicy};
use crate::signing_keys::{SigningKeys, WriteRows};
use crate::upstream::raw_server::{Act, RawRequest, RawServer, answer, ok, raw};
use crate::upstream::{RetryPolicy, UpstreamSettings};

const SMALL: usize = 20_000;
const LARGE: usize = 3 << 20;

/// A store, a server and the misses between them.
struct World {
    server: RawServer,
    store: Store,
    fetch: FetchThrough,
    is_parked: Arc<AtomicBool>,
    commits_fail: Arc<AtomicBool>,
    _folder: TempDir,
}

/// Bytes that repeat nowhere near a chunk's length.
fn bytes_of(length: usize) -> Bytes {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn name() -> PackageName {
    PackageName::parse("left-pad").unwrap()
}

/// One version of a document.
fn version(server: &str, package: &str, version: &str, bytes: &[u8]) -> String {
    let integrity = Sha512Digest::of(bytes).to_sri();
    let file = package.rsplit('/').next().unwrap();
    format!(
        "\"{version}\":{{\"name\":\"{package}\",\"version\":\"{version}\",\"dist\":{{\"tarball\":\
         \"http://{server}/{package}/-/{file}-{version}.tgz\",\"integrity\":\"{integrity}\"}}}}"
    )
}

fn document(package: &str, versions: &[String]) -> Vec<u8> {
    let versions = versions.join(",");
    format!("{{\"name\":\"{package}\",\"dist-tags\":{{}},\"versions\":{{{versions}}}}}")
        .into_bytes()
}

/// The usual document: a small and a large version, both as they should be.
fn usual(request: &RawRequest) -> Vec<Act> {
    let host = request.header("host").unwrap();
    match request.path.as_str() {
        "/left-pad" => {
            let versions = [
                version(host, "left-pad", "1.0.0", &bytes_of(SMALL)),
                version(host, "left-pad", "2.0.0", &bytes_of(LARGE)),
            ];
            ok(&[("ETag", "\"1\"")], &document("left-pad", &versions))
        }
        "/left-pad/-/left-pad-1.0.0.tgz" => ok(&[], &bytes_of(SMALL)),
        "/left-pad/-/left-pad-2.0.0.tgz" => ok(&[], &bytes_of(LARGE)),
        _ => answer("404 Not Found", &[], b"{}"),
    }
}

fn no_writes() -> WriteRows {
    Arc::new(|_| Box::pin(async { Err(CommitError::Restarted) }))
}

impl World {
    async fn new(script: impl Fn(&RawRequest) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with(script, Duration::from_secs(3_600)).await
    }

    async fn with(
        script: impl Fn(&RawRequest) -> Vec<Act> + Send + Sync + 'static,
        negative_for: Duration,
    ) -> Self {
        let server = RawServer::start(script).await;
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        let (is_parked, commits_fail) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let mut settings = UpstreamSettings::new("default", server.url("/"));
        settings.retry =
            RetryPolicy { attempts: 2, first_delay: Duration::from_millis(1), ..settings.retry };
        let upstream = Upstream::new(settings).unwrap();
        let parked = is_parked.clone();
        let fetch = FetchThrough::new(FetchThroughDeps {
            runtime: Handle::current(),
            upstream: Arc::new(move |_, _| Ok(Some(upstream.clone()))),
            commit: committing(&store, commits_fail.clone()),
            store: store.clone(),
            negative_for,
            parked: Arc::new(move || {
                parked.load(Ordering::Relaxed).then(|| String::from("the disk is full"))
            }),
            rules: Rules {
                max_tarball_bytes: 50 << 20,
                policy: SyncPolicy { signatures: SignaturePolicy::Off, ..SyncPolicy::default() },
                keys: SigningKeys::new(store.clone(), no_writes()),
                store: store.clone(),
                write: no_writes(),
            },
        });
        Self { server, store, fetch, is_parked, commits_fail, _folder: folder }
    }

    async fn document(&self) -> Result<Arc<MissDocument>, MissError> {
        self.fetch.fetch_document(&name()).await
    }

    /// The document is here, as after an earlier read.
    async fn hold_document(&self) {
        assert!(self.document().await.unwrap().committed().await);
    }

    /// What a reader of a large tarball sees of it; it may have failed before the first byte.
    async fn drained(&self, version: &str) -> (usize, Result<(), MissError>) {
        match self.tarball(version).await {
            Ok(fetch) => drain(fetch, &bytes_of(LARGE)).await,
            Err(error) => (0, Err(error)),
        }
    }

    async fn tarball(&self, version: &str) -> Result<TarballFetch, MissError> {
        self.fetch.fetch_tarball(&name(), version).await
    }

    async fn row(&self, version: &str) -> TarballRow {
        let version = version.to_owned();
        let read = self.store.read(move |connection| versions::find(connection, &name(), &version));
        read.await.unwrap().expect("the version has a row")
    }

    async fn wait_until_held(&self, version: &str) -> TarballRow {
        loop {
            let row = self.row(version).await;
            if row.row.state == VersionState::Held {
                return row;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn package(&self) -> Option<packages::PackageRow> {
        self.store.read(|connection| packages::find(connection, &name())).await.unwrap()
    }

    async fn stored_bytes(&self, fetched: TarballFetch) -> Bytes {
        let TarballFetch::Stored { digest, location } = fetched else { panic!("it streams") };
        let reader = self.store.blobs().reader(&digest, location).await.unwrap();
        reader.read_all().await.unwrap()
    }

    /// No version was made visible and no blob row but that of the document exists.
    async fn assert_nothing_held(&self, version: &str) {
        let row = self.row(version).await;
        assert_eq!((row.row.state, row.row.blob), (VersionState::Remote, None));
        let totals = self.store.read(packages::totals).await.unwrap();
        let document = self.package().await.unwrap().document.unwrap();
        assert_eq!((totals.held, totals.bytes), (0, document.stored_bytes));
    }
}

fn open(folder: &TempDir) -> Store {
    Store::open_blocking(&StoreSettings {
        database: DatabaseSettings::Sqlite { path: folder.path().join("db.sqlite") },
        blobs: BlobSettings::Local { folder: folder.path().join("blobs"), segment_bytes: 64 << 20 },
    })
    .unwrap()
}

fn committing(store: &Store, fails: Arc<AtomicBool>) -> CommitFn {
    let writer = Arc::new(Mutex::new(store.writer_blocking().unwrap()));
    Arc::new(move |change: PackageChange| {
        let (writer, fails) = (writer.clone(), fails.clone());
        Box::pin(async move {
            if fails.load(Ordering::Relaxed) {
                return Err(CommitError::DiskFull(String::from("no room for rows")));
            }
            let mut batch = CommitBatch { writes: Vec::new(), changes: vec![change] };
            let done =
                tokio::task::spawn_blocking(move || writer.lock().commit_blocking(&mut batch));
            let mut outcome = done.await.unwrap()?;
            outcome.changes.remove(0).map_err(CommitError::from)
        })
    })
}

/// Reads a stream to its end or its error without keeping it: (bytes, how it ended).
async fn drain(fetched: TarballFetch, expected: &[u8]) -> (usize, Result<(), MissError>) {
    let TarballFetch::Streaming { length, mut body } = fetched else { panic!("it is stored") };
    assert_eq!(length, expected.len() as u64);
    let mut at = 0;
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => {
                assert!(expected[at..].starts_with(&piece), "wrong bytes at {at}");
                at += piece.len();
            }
            Err(error) => return (at, Err(error)),
        }
    }
    (at, Ok(()))
}

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
