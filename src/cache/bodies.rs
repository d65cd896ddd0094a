//! Rendered documents: from memory, else from their blob, else made once.
//!
//! Owns the memory cache, bounded by bytes. A form is made on its first read under single
//! flight, kept as a blob with a row in `renderings`, and never made again for the same
//! revision, encoding and base address, also after a restart. Rows and blobs are losable:
//! what is missing or damaged is made again. Work runs in tasks of its own, so a reader
//! going away stops nobody else.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix_web::http::header::HeaderValue;
use actors::EngineHandle;
use bytes::Bytes;
use moka::future::Cache;
use npm::{PackageName, Sha512Digest};
use store::blobs::{BlobError, BlobLocation, BlobReader};
use tokio::runtime::Handle;

use super::body_jobs::BodyJobs;
use super::fresh::FreshKey;
use super::packages::Package;
use super::render::{Made, MakeError, Source, Wanted};
use super::verified::Verified;
use super::withheld::Hidden;
use super::work_pool::WorkPool;
use crate::base_url::Base;
use crate::error::ApiError;

/// Bodies above this are not kept in memory but streamed from their blob.
pub const KEPT_IN_MEMORY: u64 = 8 << 20;

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 320;

/// A document ready to be sent.
#[derive(Debug)]
pub struct Body {
    /// Strong entity tag.
    pub etag: HeaderValue,
    /// The bytes, or where they are.
    pub place: BodyPlace,
}

/// Where the bytes of a body are.
#[derive(Debug, Clone)]
pub enum BodyPlace {
    /// In memory.
    Memory(Bytes),
    /// In a blob, because they are many.
    Blob(Sha512Digest, BlobLocation),
}

/// A body opened for sending.
#[derive(Debug)]
pub enum OpenBody {
    /// All of it.
    Memory(Bytes),
    /// To be read piece by piece; with the blob's key.
    Blob(BlobReader, Sha512Digest),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct BodyKey {
    package_id: i64,
    revision: i64,
    /// Of what is left out.
    hidden: i64,
    base: u32,
    wanted: Wanted,
}

impl BodyKey {
    fn new(package: &Package, base: u32, wanted: Wanted) -> Self {
        let hidden = package.hidden_print;
        Self { package_id: package.id, revision: package.revision, hidden, base, wanted }
    }
}

/// The rendered documents.
#[derive(Clone)]
pub struct Bodies {
    cache: Cache<BodyKey, Arc<Body>>,
    jobs: Arc<BodyJobs>,
    runtime: Handle,
}

/// Why there is no body.
#[derive(Debug, Clone)]
pub enum NoBody {
    /// The document has no such version.
    NoVersion,
    /// The document in the store cannot be used; it has to come from upstream again.
    Damaged(String),
    /// Anything else.
    Failed(ApiError),
}

impl Bodies {
    /// Empty, with room for `cache_bytes`.
    #[must_use]
    pub fn new(
        engine: EngineHandle,
        runtime: Handle,
        pool: Arc<WorkPool>,
        verified: Verified,
        cache_bytes: u64,
    ) -> Self {
        let cache = Cache::builder()
            .max_capacity(cache_bytes)
            .weigher(|_, body: &Arc<Body>| body.weight())
            .build();
        let jobs = BodyJobs::new(engine, pool, verified);
        Self { cache, jobs: Arc::new(jobs), runtime }
    }

    /// The body of a package that is here.
    ///
    /// # Errors
    /// See [`NoBody`].
    pub async fn get(
        &self,
        package: &Arc<Package>,
        wanted: Wanted,
        base: &Arc<Base>,
    ) -> Result<Arc<Body>, NoBody> {
        let Some(base_id) = base.id else {
            return self.get_unkept(package, wanted, base).await;
        };
        let key = BodyKey::new(package, base_id, wanted);
        if let Some(body) = self.cache.get(&key).await {
            return Ok(body);
        }
        let (cache, jobs) = (self.cache.clone(), Arc::clone(&self.jobs));
        let (package, base) = (Arc::clone(package), Arc::clone(base));
        let fetch = self.runtime.spawn(async move {
            let job = jobs.fetch(&package, &key.wanted, &base);
            cache.try_get_with_by_ref(&key, job).await
        });
        fetch.await.map_err(|error| NoBody::internal(&error))?.map_err(Arc::unwrap_or_clone)
    }

    /// The body of a package that has just come from upstream and may not be committed yet.
    ///
    /// # Errors
    /// See [`NoBody`].
    pub async fn get_fresh(
        &self,
        name: &PackageName,
        document: &Bytes,
        etag: Option<&str>,
        wanted: Wanted,
        base: &Arc<Base>,
        hidden: &Hidden,
    ) -> Result<Arc<Body>, NoBody> {
        let source = Source::Body(document.clone());
        let base_id = match base.id {
            Some(base_id) if hidden.is_empty() => base_id,
            _ => {
                let made = self.jobs.make(name, source, &wanted, &base.url, hidden);
                return made.await.map(Body::in_memory);
            }
        };
        let key = FreshKey::new(name, etag, document.len() as u64, base_id, wanted);
        let (jobs, base) = (Arc::clone(&self.jobs), Arc::clone(base));
        let fetch = self.runtime.spawn(async move {
            let nothing = Hidden::default();
            let job = jobs.make(key.name(), source, key.wanted(), &base.url, &nothing);
            jobs.fresh.get_or_make(&key, async { job.await.map(Body::in_memory) }).await
        });
        fetch.await.map_err(|error| NoBody::internal(&error))?
    }

    /// Opens a body for sending.
    ///
    /// # Errors
    /// When its blob is gone or has another length; [`Bodies::forget`] it then and get it again.
    pub async fn open(&self, body: &Body) -> Result<OpenBody, BlobError> {
        match &body.place {
            BodyPlace::Memory(bytes) => Ok(OpenBody::Memory(bytes.clone())),
            BodyPlace::Blob(digest, location) => {
                Ok(OpenBody::Blob(self.jobs.open(digest, *location).await?, *digest))
            }
        }
    }

    /// Drops a body whose blob turned out to be gone.
    pub async fn forget(&self, package: &Package, wanted: &Wanted, base: &Base) {
        let Some(base) = base.id else { return };
        self.cache.invalidate(&BodyKey::new(package, base, wanted.clone())).await;
    }

    /// Bytes kept in memory.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        self.cache.weighted_size()
    }

    /// Documents made since start.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.jobs.made.load(Ordering::Relaxed)
    }

    async fn get_unkept(
        &self,
        package: &Arc<Package>,
        wanted: Wanted,
        base: &Arc<Base>,
    ) -> Result<Arc<Body>, NoBody> {
        let source = self.jobs.read_document(package).await?;
        let made = self.jobs.make(&package.name, source, &wanted, &base.url, &package.hidden);
        made.await.map(Body::in_memory)
    }
}

impl Body {
    pub(super) fn in_memory(made: Made) -> Arc<Self> {
        Arc::new(Self { etag: etag(&made.etag), place: BodyPlace::Memory(made.bytes) })
    }

    pub(super) fn weight(&self) -> u32 {
        let bytes = match &self.place {
            BodyPlace::Memory(bytes) => bytes.len(),
            BodyPlace::Blob(..) => 0,
        };
        u32::try_from(bytes + OVERHEAD).unwrap_or(u32::MAX)
    }
}

/// Tags are hex and quotes; one that came out of the table otherwise is not used.
pub(super) fn etag(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("W/\"unknown\""))
}

impl NoBody {
    fn internal(error: &tokio::task::JoinError) -> Self {
        Self::Failed(ApiError::Internal(format!("rendering: {error}")))
    }
}

impl From<MakeError> for NoBody {
    fn from(error: MakeError) -> Self {
        match error {
            MakeError::Damaged(what) => Self::Damaged(what),
            MakeError::NoVersion => Self::NoVersion,
            MakeError::BadSpec => Self::Failed(ApiError::Invalid(error.to_string())),
        }
    }
}
