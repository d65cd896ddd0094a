//! Misses against a scripted upstream, a real store and real commits.

mod documents;
mod large;
mod small;

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
use crate::policy::{CurrentPolicy, SignaturePolicy, SyncPolicy};
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
                current: CurrentPolicy::new(SyncPolicy::default()),
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
