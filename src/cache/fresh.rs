//! Documents rendered from the answer to a miss, before their commit gave them a revision.
//!
//! Kept for a minute. When the package turns up in the tables with the same document, its
//! rendering is taken over instead of made again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache;
use npm::PackageName;

use super::bodies::{Body, BodyPlace, NoBody};
use super::packages::Package;
use super::render::{Made, Wanted};

/// Time a commit may take, with room.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Bytes kept at most.
const KEPT_BYTES: u64 = 32 << 20;

/// One rendering of one answer of upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FreshKey {
    name: PackageName,
    etag: Option<String>,
    body_bytes: u64,
    base: u32,
    wanted: Wanted,
}

impl FreshKey {
    /// An answer is known by its validator and its length.
    #[must_use]
    pub fn new(
        name: &PackageName,
        etag: Option<&str>,
        body_bytes: u64,
        base: u32,
        wanted: Wanted,
    ) -> Self {
        Self { name: name.clone(), etag: etag.map(str::to_owned), body_bytes, base, wanted }
    }

    /// The key under which the same document would have been rendered.
    #[must_use]
    pub fn of_package(package: &Package, base: u32, wanted: Wanted) -> Self {
        let body_bytes = u64::try_from(package.document.body_bytes).unwrap_or(0);
        Self::new(&package.name, package.validators.etag.as_deref(), body_bytes, base, wanted)
    }

    /// The package.
    #[must_use]
    pub fn name(&self) -> &PackageName {
        &self.name
    }

    /// The form.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

/// The renderings.
#[derive(Debug, Clone)]
pub struct FreshDocuments {
    cache: Cache<FreshKey, Arc<Body>>,
}

impl FreshDocuments {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        let cache = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_, body: &Arc<Body>| body.weight())
            .time_to_live(KEPT_FOR)
            .build();
        Self { cache }
    }

    /// The rendering, made once for all who ask.
    ///
    /// # Errors
    /// What the job says.
    pub async fn get_or_make(
        &self,
        key: &FreshKey,
        job: impl Future<Output = Result<Arc<Body>, NoBody>>,
    ) -> Result<Arc<Body>, NoBody> {
        self.cache.try_get_with_by_ref(key, job).await.map_err(Arc::unwrap_or_clone)
    }

    /// Hands a rendering over. Without a validator two answers of one length cannot be told
    /// apart, so nothing is handed over then.
    pub async fn take(&self, key: &FreshKey) -> Option<Made> {
        key.etag.as_ref()?;
        let body = self.cache.remove(key).await?;
        let bytes: Bytes = match &body.place {
            BodyPlace::Memory(bytes) => bytes.clone(),
            BodyPlace::Blob(..) => return None,
        };
        Some(Made { bytes, etag: body.etag.to_str().ok()?.to_owned() })
    }
}

impl Default for FreshDocuments {
    fn default() -> Self {
        Self::new()
    }
}
