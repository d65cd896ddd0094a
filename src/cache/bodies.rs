//! Rendered documents: from memory, else from their blob, else made once.
//!
//! Owns the memory cache, bounded by bytes. A form is made on its first read under single
//! flight, kept as a blob with a row in `renderings`, and never made again for the same
//! revision, encoding and base address, also after a restart. Rows and blobs are losable:
//! what is missing or damaged is made again. Work runs in tasks of its own, so a reader
//! going away stops nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::header::HeaderValue;
use actors::EngineHandle;
use bytes::Bytes;
use moka::future::Cache;
use npm::{PackageName, Sha512Digest};
use store::blobs::{BlobError, BlobLocation, BlobReader, SMALL_BLOB_BYTES};
use store::renderings::{self, Rendering, RenderingKey};
use tokio::runtime::Handle;

use super::fresh::{FreshDocuments, FreshKey};
use super::packages::Package;
use super::render::{Made, MakeError, Source, Wanted, make};
use super::verified::Verified;
use super::work_pool::WorkPool;
use crate::base_url::Base;
use crate::error::ApiError;

/// Bodies above this are not kept in memory but streamed from their blob.
pub const KEPT_IN_MEMORY: u64 = 8 << 20;

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 320;

/// Blocks and holds will raise it; a rendering made under another epoch is another rendering.
const POLICY_EPOCH: i64 = 0;

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
    base: u32,
    wanted: Wanted,
}

/// The rendered documents.
#[derive(Clone)]
pub struct Bodies {
    cache: Cache<BodyKey, Arc<Body>>,
    jobs: Arc<Jobs>,
    runtime: Handle,
}

/// What making a body needs.
struct Jobs {
    engine: EngineHandle,
    pool: Arc<WorkPool>,
    verified: Verified,
    fresh: FreshDocuments,
    made: AtomicU64,
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
        let jobs =
            Jobs { engine, pool, verified, fresh: FreshDocuments::new(), made: AtomicU64::new(0) };
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
        let key =
            BodyKey { package_id: package.id, revision: package.revision, base: base_id, wanted };
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
    ) -> Result<Arc<Body>, NoBody> {
        let source = Source::Body(document.clone());
        let Some(base_id) = base.id else {
            return self.jobs.make(name, source, &wanted, &base.url).await.map(Body::in_memory);
        };
        let key = FreshKey::new(name, etag, document.len() as u64, base_id, wanted);
        let (jobs, base) = (Arc::clone(&self.jobs), Arc::clone(base));
        let fetch = self.runtime.spawn(async move {
            let job = jobs.make(key.name(), source, key.wanted(), &base.url);
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
        let (package_id, revision) = (package.id, package.revision);
        let wanted = wanted.clone();
        self.cache.invalidate(&BodyKey { package_id, revision, base, wanted }).await;
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
        self.jobs.make(&package.name, source, &wanted, &base.url).await.map(Body::in_memory)
    }
}

impl Jobs {
    /// From its blob when it was made before, from the answer to a miss when that is the same
    /// document, else from the stored document.
    async fn fetch(
        &self,
        package: &Package,
        wanted: &Wanted,
        base: &Base,
    ) -> Result<Arc<Body>, NoBody> {
        let Some(key) = rendering_key(package, wanted, base) else {
            let source = self.read_document(package).await?;
            return self.make(&package.name, source, wanted, &base.url).await.map(Body::in_memory);
        };
        if let Some(body) = self.find(&key).await {
            return Ok(Arc::new(body));
        }
        let fresh = FreshKey::of_package(package, base.id.unwrap_or(0), wanted.clone());
        let made = match self.fresh.take(&fresh).await {
            Some(made) => made,
            None => {
                let source = self.read_document(package).await?;
                self.make(&package.name, source, wanted, &base.url).await?
            }
        };
        self.keep(key, made).await
    }

    async fn find(&self, key: &RenderingKey) -> Option<Body> {
        let wanted = key.clone();
        let found = self.engine.store().read(move |rows| renderings::find(rows, &wanted)).await;
        let row = found.ok().flatten()?;
        match self.load(&row).await {
            Ok(body) => Some(body),
            Err(error) => {
                tracing::warn!(%error, "a rendered document was lost and is made again");
                None
            }
        }
    }

    async fn load(&self, row: &Rendering) -> Result<Body, BlobError> {
        let reader = self.open(&row.digest, row.location).await?;
        let place = if reader.len() <= KEPT_IN_MEMORY {
            BodyPlace::Memory(reader.read_all().await?)
        } else {
            BodyPlace::Blob(row.digest, row.location)
        };
        Ok(Body { etag: etag(&row.etag), place })
    }

    /// Opens a blob that is what it should be: a small one is compared when it is read.
    async fn open(
        &self,
        digest: &Sha512Digest,
        location: BlobLocation,
    ) -> Result<BlobReader, BlobError> {
        let reader = self.engine.store().blobs().reader(digest, location).await?;
        if i64::try_from(reader.len()) != Ok(location.length) {
            let what = format!("{} bytes instead of {}", reader.len(), location.length);
            return Err(BlobError::Damaged { digest: *digest, what });
        }
        if reader.len() > SMALL_BLOB_BYTES as u64 {
            self.verified.check(digest, &reader).await?;
        }
        Ok(reader)
    }

    async fn read_document(&self, package: &Package) -> Result<Source, NoBody> {
        let document = &package.document;
        let read = async {
            let reader = self.open(&document.digest, document.location).await?;
            reader.read_all().await
        };
        let bytes = read.await.map_err(|error| match error {
            BlobError::Missing { .. } | BlobError::Damaged { .. } => {
                NoBody::Damaged(error.to_string())
            }
            other => NoBody::Failed(ApiError::Internal(other.to_string())),
        })?;
        Ok(Source::Stored {
            bytes,
            encoding: document.encoding,
            body_bytes: u64::try_from(document.body_bytes).unwrap_or(0),
        })
    }

    async fn make(
        &self,
        name: &PackageName,
        source: Source,
        wanted: &Wanted,
        base_url: &str,
    ) -> Result<Made, NoBody> {
        let body_bytes = source.body_bytes();
        let (name, wanted, base_url) = (name.clone(), wanted.clone(), base_url.to_owned());
        let made = move || make(&source, &name, &wanted, &base_url);
        let made = self.pool.run(body_bytes, made).await.map_err(NoBody::Failed)??;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(made)
    }

    /// Small bodies are answered from memory while they are being stored; huge ones are
    /// stored first, so that they are in memory only once.
    async fn keep(&self, key: RenderingKey, made: Made) -> Result<Arc<Body>, NoBody> {
        if made.bytes.len() as u64 <= KEPT_IN_MEMORY {
            let body = Body::in_memory(made.clone());
            let engine = self.engine.clone();
            tokio::spawn(async move {
                if let Err(error) = store_rendering(&engine, key, made).await {
                    tracing::warn!(%error, "a rendered document is not kept");
                }
            });
            return Ok(body);
        }
        match store_rendering(&self.engine, key, made.clone()).await {
            Ok((digest, location)) => Ok(Arc::new(Body {
                etag: etag(&made.etag),
                place: BodyPlace::Blob(digest, location),
            })),
            // A full disk must not stop serving: this reader gets it from memory.
            Err(error) => {
                tracing::warn!(%error, "a huge rendered document is not kept");
                Ok(Body::in_memory(made))
            }
        }
    }
}

/// Puts the bytes and writes the row that names them.
async fn store_rendering(
    engine: &EngineHandle,
    key: RenderingKey,
    made: Made,
) -> Result<(Sha512Digest, BlobLocation), ApiError> {
    let bytes = made.bytes;
    let hashed = tokio::task::spawn_blocking({
        let bytes = bytes.clone();
        move || Sha512Digest::of(&bytes)
    });
    let digest = hashed.await.map_err(|error| ApiError::Internal(error.to_string()))?;
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let put = engine.store().blobs().put(digest, bytes).await;
    let location = put.map_err(|error| ApiError::Internal(error.to_string()))?;
    let rendering = Rendering { digest, location, etag: made.etag, bytes: length };
    let write = Box::new(move |rows: &mut store::AnyConnection| {
        renderings::insert(rows, &key, &rendering).map(drop)
    });
    engine.write(write).await?;
    Ok((digest, location))
}

/// Only whole packuments are kept on disk: a manifest is a slice of one.
fn rendering_key(package: &Package, wanted: &Wanted, base: &Base) -> Option<RenderingKey> {
    let Wanted::Packument(form, encoding) = wanted else { return None };
    Some(RenderingKey {
        package_id: package.id,
        revision: package.revision,
        form: form.as_str(),
        encoding: encoding.as_str(),
        base: base.url.clone(),
        policy_epoch: POLICY_EPOCH,
    })
}

impl Body {
    fn in_memory(made: Made) -> Arc<Self> {
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
fn etag(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("W/\"unknown\""))
}

impl Source {
    fn body_bytes(&self) -> u64 {
        match self {
            Self::Stored { body_bytes, .. } => *body_bytes,
            Self::Body(body) => body.len() as u64,
        }
    }
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
