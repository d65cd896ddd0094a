//! Misses: what a reader asks for and is not here is fetched once for all who wait.
//!
//! Every upstream request runs on the engine's runtime; callers only await its answer, so a
//! reader that goes away stops nobody. Documents are answered as soon as they are scanned and
//! committed behind the answer, small tarballs once they are verified and stored, large ones
//! while they stream in. Nothing survives a restart: what was not committed is fetched again.
//!
//! Reads the store, asks [`Upstream`], sends changes through the given commit function.

mod document;
mod error;
mod flight;
mod rows;
mod spool;
mod tarball;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use npm::{PackageName, Sha512Digest};
use store::blobs::BlobLocation;
use store::{Committed, PackageChange, Store};
use tokio::runtime::Handle;

use crate::committer::CommitError;
use crate::known::Known;
use crate::registries::NotAsked;
use crate::rules::Rules;
use crate::upstream::{Upstream, Urgency};

pub use document::MissDocument;
pub use error::MissError;

use flight::Flights;
use spool::{Spool, Stored};

/// The upstream to ask for a name, of which the second is the owner written down so far; `None`
/// while none is known.
pub type FindUpstream =
    Arc<dyn Fn(&PackageName, Option<&str>) -> Result<Option<Upstream>, NotAsked> + Send + Sync>;

/// Makes a change durable.
pub type CommitFn =
    Arc<dyn Fn(PackageChange) -> BoxFuture<'static, Result<Committed, CommitError>> + Send + Sync>;

/// Why fetching is parked, `None` while it is not.
pub type FindParked = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What misses need of the rest of the engine.
#[derive(Clone)]
pub struct FetchThroughDeps {
    /// Where requests, hashing and scanning run.
    pub runtime: Handle,
    /// Whom to ask.
    pub upstream: FindUpstream,
    /// Rows and blobs.
    pub store: Store,
    /// The way into the store.
    pub commit: CommitFn,
    /// How long "not there" is believed.
    pub negative_for: Duration,
    /// Whether fetching is parked.
    pub parked: FindParked,
    /// What is accepted of a document.
    pub rules: Rules,
}

/// A tarball that was not here when it was asked for.
pub enum TarballFetch {
    /// It is now, verified.
    Stored {
        /// Its sha512.
        digest: Sha512Digest,
        /// Where its bytes are.
        location: BlobLocation,
    },
    /// It is large and on its way; the last 64 KiB come once the digest agrees, else an error
    /// ends the stream and the connection is to be cut.
    Streaming {
        /// Exact length of the body.
        length: u64,
        /// The bytes.
        body: BoxStream<'static, Result<Bytes, MissError>>,
    },
}

/// How far a tarball has come.
#[derive(Clone)]
enum Landed {
    Stored(Stored),
    Streaming(Arc<Spool>),
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct FetchThrough {
    shared: Arc<Shared>,
}

struct Shared {
    deps: FetchThroughDeps,
    documents: Flights<PackageName, Arc<MissDocument>>,
    /// A person does not wait behind the background limit, so the two fly apart.
    revalidations: Flights<(PackageName, bool), ()>,
    /// By expected digest: one download however many names and versions share it.
    tarballs: Flights<String, Landed>,
}

impl FetchThrough {
    /// Nothing runs before the first miss.
    #[must_use]
    pub fn new(deps: FetchThroughDeps) -> Self {
        let (runtime, negative_for) = (deps.runtime.clone(), deps.negative_for);
        let shared = Shared {
            documents: Flights::new(runtime.clone(), negative_for),
            revalidations: Flights::new(runtime.clone(), negative_for),
            tarballs: Flights::new(runtime, negative_for),
            deps,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The document of a package that is not here: scanned, not committed yet.
    ///
    /// While fetching is parked it is passed through without being kept.
    ///
    /// # Errors
    /// See [`MissError`]; all who wait get the same.
    pub async fn fetch_document(&self, name: &PackageName) -> Result<Arc<MissDocument>, MissError> {
        let deps = &self.shared.deps;
        self.shared
            .documents
            .join(name, |landing| document::fetch(deps.clone(), name.clone(), landing))
            .await
    }

    /// Asks in the background whether a held document is still current.
    pub fn revalidate(&self, name: &PackageName) {
        let deps = &self.shared.deps;
        self.shared.revalidations.start(&(name.clone(), false), |landing| {
            document::revalidate(deps.clone(), name.clone(), Urgency::Popular, landing)
        });
    }

    /// The same for somebody who waits; what is new is committed when it answers.
    ///
    /// # Errors
    /// See [`MissError`]; what is held stays as it was.
    pub async fn revalidate_now(&self, name: &PackageName) -> Result<(), MissError> {
        let deps = &self.shared.deps;
        self.shared
            .revalidations
            .join(&(name.clone(), true), |landing| {
                document::revalidate(deps.clone(), name.clone(), Urgency::Person, landing)
            })
            .await
    }

    /// The tarball of a known version; a large one streams.
    ///
    /// A package that is not known at all has its document fetched first.
    ///
    /// # Errors
    /// [`MissError::NotFound`] for a version that no row knows; see [`MissError`].
    pub async fn fetch_tarball(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<TarballFetch, MissError> {
        match self.land_tarball(name, version).await? {
            Landed::Streaming(spool) if spool.has_beginning() => {
                Ok(TarballFetch::Streaming { length: spool.length(), body: spool.read() })
            }
            // too late to follow from memory: what is missing comes with the stored blob
            Landed::Streaming(spool) => spool.outcome().await.map(stored),
            Landed::Stored(found) => Ok(stored(found)),
        }
    }

    /// The same for callers that need the whole blob: `HEAD`, `Range`.
    ///
    /// # Errors
    /// As [`FetchThrough::fetch_tarball`].
    pub async fn fetch_tarball_stored(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<(Sha512Digest, BlobLocation), MissError> {
        let found = match self.land_tarball(name, version).await? {
            Landed::Streaming(spool) => spool.outcome().await?,
            Landed::Stored(found) => found,
        };
        Ok((found.digest, found.location))
    }

    async fn land_tarball(&self, name: &PackageName, version: &str) -> Result<Landed, MissError> {
        let asked = self.ask(name, version).await?.ok_or(MissError::NotFound)?;
        if let Some(found) = asked.stored() {
            return Ok(Landed::Stored(found));
        }
        let wanted = tarball::Wanted::new(&asked)?;
        let deps = &self.shared.deps;
        let key = wanted.expected.text();
        let version = version.to_owned();
        self.shared
            .tarballs
            .join(&key, |landing| {
                tarball::fetch(deps.clone(), name.clone(), version, wanted, landing)
            })
            .await
    }

    /// The row of a version. A package that just arrived may not be committed yet, and one
    /// that nobody knows is fetched, because lockfiles ask for tarballs and nothing else.
    async fn ask(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<Option<rows::Asked>, MissError> {
        let store = self.shared.deps.store.clone();
        let (to_read, of) = (name.clone(), version.to_owned());
        let found = self.on_runtime(async move { rows::Asked::read(&store, &to_read, &of).await });
        if let Some(found) = found.await? {
            return Ok(Some(found));
        }
        let store = self.shared.deps.store.clone();
        let to_read = name.clone();
        let known = self.on_runtime(async move { Known::read(&store, &to_read).await });
        if known.await?.row.is_some() {
            return Ok(None);
        }
        self.fetch_document(name).await?.committed().await;
        let store = self.shared.deps.store.clone();
        let (name, version) = (name.clone(), version.to_owned());
        self.on_runtime(async move { rows::Asked::read(&store, &name, &version).await }).await
    }

    /// Store queries use the runtime's blocking pool, which a handler's thread need not have.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, store::StoreError>> + Send + 'static,
    ) -> Result<T, MissError> {
        match self.shared.deps.runtime.spawn(work).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(MissError::unavailable("the engine is being stopped")),
        }
    }
}

fn stored(found: Stored) -> TarballFetch {
    TarballFetch::Stored { digest: found.digest, location: found.location }
}

impl FetchThroughDeps {
    /// Whom to ask for a name.
    fn upstream(&self, name: &PackageName, set: Option<&str>) -> Result<Upstream, MissError> {
        (self.upstream)(name, set)?.ok_or_else(MissError::no_upstream)
    }

    fn check_parked(&self) -> Result<(), MissError> {
        match (self.parked)() {
            Some(reason) => Err(MissError::Parked(reason)),
            None => Ok(()),
        }
    }
}
