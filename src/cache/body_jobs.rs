//! How a body comes about: found as a blob, taken over from a miss, or made and kept.
//!
//! What survives a restart are the blobs and their rows in `renderings`; both are losable.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actors::EngineHandle;
use npm::{PackageName, Sha512Digest};
use store::blobs::{BlobError, BlobLocation, BlobReader, SMALL_BLOB_BYTES};
use store::renderings::{self, Rendering, RenderingKey};

use super::bodies::{Body, BodyPlace, KEPT_IN_MEMORY, NoBody, etag};
use super::fresh::{FreshDocuments, FreshKey};
use super::packages::Package;
use super::render::{Made, Source, Wanted, make};
use super::verified::Verified;
use super::withheld::Hidden;
use super::work_pool::WorkPool;
use crate::base_url::Base;
use crate::error::ApiError;

/// What making a body needs.
pub(super) struct BodyJobs {
    engine: EngineHandle,
    pool: Arc<WorkPool>,
    verified: Verified,
    pub(super) fresh: FreshDocuments,
    pub(super) made: AtomicU64,
}

impl BodyJobs {
    pub(super) fn new(engine: EngineHandle, pool: Arc<WorkPool>, verified: Verified) -> Self {
        Self { engine, pool, verified, fresh: FreshDocuments::new(), made: AtomicU64::new(0) }
    }

    /// From its blob when it was made before, from the answer to a miss when that is the same
    /// document, else from the stored document.
    pub(super) async fn fetch(
        &self,
        package: &Package,
        wanted: &Wanted,
        base: &Base,
    ) -> Result<Arc<Body>, NoBody> {
        let Some(key) = self.rendering_key(package, wanted, base) else {
            let source = self.read_document(package).await?;
            let made = self.make(&package.name, source, wanted, &base.url, &package.hidden);
            return made.await.map(Body::in_memory);
        };
        if let Some(body) = self.find(&key).await {
            return Ok(Arc::new(body));
        }
        let made = match self.take_fresh(package, wanted, base).await {
            Some(made) => made,
            None => {
                let source = self.read_document(package).await?;
                self.make(&package.name, source, wanted, &base.url, &package.hidden).await?
            }
        };
        self.keep(key, made).await
    }

    /// What was rendered for the first reader was rendered whole.
    async fn take_fresh(&self, package: &Package, wanted: &Wanted, base: &Base) -> Option<Made> {
        if !package.hidden.is_empty() {
            return None;
        }
        let key = FreshKey::of_package(package, base.id.unwrap_or(0), wanted.clone());
        self.fresh.take(&key).await
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
    pub(super) async fn open(
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

    pub(super) async fn read_document(&self, package: &Package) -> Result<Source, NoBody> {
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

    /// Only whole packuments are kept on disk: a manifest is a slice of one.
    fn rendering_key(
        &self,
        package: &Package,
        wanted: &Wanted,
        base: &Base,
    ) -> Option<RenderingKey> {
        let Wanted::Packument(form, encoding) = wanted else { return None };
        Some(RenderingKey {
            package_id: package.id,
            revision: package.revision,
            form: form.as_str(),
            encoding: encoding.as_str(),
            base: base.url.clone(),
            policy_epoch: package.hidden_print,
        })
    }

    pub(super) async fn make(
        &self,
        name: &PackageName,
        source: Source,
        wanted: &Wanted,
        base_url: &str,
        hidden: &Hidden,
    ) -> Result<Made, NoBody> {
        let body_bytes = source.body_bytes();
        let (name, wanted, base_url) = (name.clone(), wanted.clone(), base_url.to_owned());
        let hidden = Arc::clone(hidden);
        let made = move || make(&source, &name, &wanted, &base_url, &hidden);
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

impl Source {
    fn body_bytes(&self) -> u64 {
        match self {
            Self::Stored { body_bytes, .. } => *body_bytes,
            Self::Body(body) => body.len() as u64,
        }
    }
}
