//! Blobs as objects: S3 and what speaks like it, or memory in tests.
//!
//! One object per blob under `blobs/ab/cd/<hex>`; a put is durable when it returns, so there
//! is nothing to flush. An upload whose digest is known only at its end collects up to 8 MiB
//! and then needs a second name under `tmp/`, from which the service copies it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use npm::Sha512Digest;
use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::folder::sharded;
use super::{
    BlobError, BlobLocation, BlobReader, BlobStore, BlobUpload, BlockingRuntime, OwnBlob,
    ResumeReport, S3Settings, SegmentState,
};

/// Up to this size an upload is one put; S3 wants parts of at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts of one upload under way at once; with the one being filled 40 MiB at most.
const PARTS_AT_ONCE: usize = 4;

/// See the module.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Objects {
    /// Objects in memory, lost at the end.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(Arc::new(InMemory::new()), String::new())
    }

    /// Objects in a bucket.
    ///
    /// # Errors
    /// [`BlobError::Failed`] when the settings are incomplete.
    pub fn s3(settings: &S3Settings) -> Result<Self, BlobError> {
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(&settings.bucket);
        if let Some(endpoint) = &settings.endpoint {
            builder =
                builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(id) = &settings.access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &settings.secret_access_key {
            builder = builder.with_secret_access_key(secret);
        }
        let doing = format!("open bucket {}", settings.bucket);
        let store = builder.build().map_err(|e| from_object_error(&doing, e))?;
        Ok(Self::new(Arc::new(store), settings.prefix.clone()))
    }

    /// Objects in any store, keys under `prefix` (empty for none).
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: String) -> Self {
        Self { store, prefix }
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}/{key}", self.prefix))
    }

    fn blob_path(&self, digest: &Sha512Digest) -> Path {
        self.path(&format!("blobs/{}", sharded(digest)))
    }

    async fn put_whole(
        &self,
        digest: Sha512Digest,
        payload: PutPayload,
    ) -> Result<BlobLocation, BlobError> {
        let path = self.blob_path(&digest);
        let length = own_length(digest, payload.content_length() as u64)?;
        let doing = format!("put {path}");
        self.store.put(&path, payload).await.map_err(|e| from_object_error(&doing, e))?;
        Ok(length)
    }

    fn start(&self, known: Option<Sha512Digest>) -> Box<dyn BlobUpload> {
        Box::new(ObjectUpload {
            home: self.clone(),
            known,
            held: Vec::new(),
            length: 0,
            parts: None,
        })
    }

    async fn delete_if_older(
        &self,
        digest: Sha512Digest,
        written_before_ms: i64,
    ) -> Result<bool, BlobError> {
        let path = self.blob_path(&digest);
        let facts = match self.store.head(&path).await {
            Ok(facts) => facts,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(from_object_error(&format!("look at {path}"), error)),
        };
        if facts.last_modified.timestamp_millis() >= written_before_ms {
            return Ok(false);
        }
        let doing = format!("delete {path}");
        self.store.delete(&path).await.map_err(|e| from_object_error(&doing, e))?;
        Ok(true)
    }
}

impl BlobStore for Objects {
    fn put<'a>(
        &'a self,
        digest: Sha512Digest,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<BlobLocation, BlobError>> {
        Box::pin(self.put_whole(digest, bytes.into()))
    }

    fn upload<'a>(&'a self) -> BoxFuture<'a, Result<Box<dyn BlobUpload>, BlobError>> {
        Box::pin(async { Ok(self.start(None)) })
    }

    fn upload_known<'a>(
        &'a self,
        digest: Sha512Digest,
    ) -> BoxFuture<'a, Result<Box<dyn BlobUpload>, BlobError>> {
        Box::pin(async move { Ok(self.start(Some(digest))) })
    }

    fn flush_blocking(&self) -> Result<(), BlobError> {
        Ok(())
    }

    fn is_durable(&self, location: BlobLocation) -> bool {
        location.segment == 0
    }

    fn segments(&self) -> Vec<SegmentState> {
        Vec::new()
    }

    fn segments_recorded(&self, _recorded: &[SegmentState]) {}

    fn resume_blocking(&self, known: &[SegmentState]) -> Result<ResumeReport, BlobError> {
        let short = known.iter().map(|state| state.id).collect();
        Ok(ResumeReport { short, ..ResumeReport::default() })
    }

    fn reader<'a>(
        &'a self,
        digest: &'a Sha512Digest,
        location: BlobLocation,
    ) -> BoxFuture<'a, Result<BlobReader, BlobError>> {
        Box::pin(async move {
            let missing = BlobError::Missing { digest: *digest, location };
            let path = self.blob_path(digest);
            let facts = match self.store.head(&path).await {
                Ok(facts) => facts,
                Err(object_store::Error::NotFound { .. }) => return Err(missing),
                Err(error) => return Err(from_object_error(&format!("look at {path}"), error)),
            };
            if location.segment != 0 {
                return Err(missing);
            }
            if i64::try_from(facts.size) != Ok(location.length) {
                let what = format!("{path} has {} bytes, not {}", facts.size, location.length);
                return Err(BlobError::Damaged { digest: *digest, what });
            }
            Ok(BlobReader::object(*digest, Arc::clone(&self.store), path, facts.size))
        })
    }

    fn delete_own_blocking(
        &self,
        digest: &Sha512Digest,
        written_before_ms: i64,
    ) -> Result<bool, BlobError> {
        BlockingRuntime::new()?.wait(self.delete_if_older(*digest, written_before_ms))
    }

    fn list_own_blocking(&self, visit: &mut dyn FnMut(OwnBlob)) -> Result<(), BlobError> {
        let root = self.path("blobs");
        let failed = |error| from_object_error(&format!("list {root}"), error);
        let mut list = self.store.list(Some(&root)).map_err(failed);
        let runtime = BlockingRuntime::new()?;
        while let Some(facts) = runtime.wait(list.try_next())? {
            let name = facts.location.filename();
            if let Some(digest) = name.and_then(|hex| Sha512Digest::from_hex(hex).ok()) {
                visit(OwnBlob {
                    digest,
                    length: i64::try_from(facts.size).unwrap_or(i64::MAX),
                    written_at_ms: facts.last_modified.timestamp_millis(),
                });
            }
        }
        Ok(())
    }
}

/// An upload of unknown length: one put if it stays small, else parts.
struct ObjectUpload {
    home: Objects,
    known: Option<Sha512Digest>,
    held: Vec<Bytes>,
    length: u64,
    parts: Option<Parts>,
}

/// A multipart upload under way; aborted when dropped unfinished.
struct Parts {
    path: Path,
    write: Option<WriteMultipart>,
}

impl ObjectUpload {
    async fn add(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        self.length += chunk.len() as u64;
        if let Some(parts) = &mut self.parts {
            return parts.add(chunk).await;
        }
        self.held.push(chunk);
        if self.length <= PART_BYTES as u64 {
            return Ok(());
        }
        let mut parts = Parts::start(&self.home, self.known).await?;
        for chunk in std::mem::take(&mut self.held) {
            parts.add(chunk).await?;
        }
        self.parts = Some(parts);
        Ok(())
    }

    async fn into_blob(self, digest: Sha512Digest) -> Result<BlobLocation, BlobError> {
        if let Some(known) = self.known.filter(|known| *known != digest) {
            return Err(BlobError::Failed(format!("upload of {known} ended as {digest}")));
        }
        let Some(parts) = self.parts else {
            return self.home.put_whole(digest, self.held.into_iter().collect()).await;
        };
        let written = parts.complete().await?;
        let target = self.home.blob_path(&digest);
        if written != target {
            let store = &self.home.store;
            let doing = format!("copy {written} to {target}");
            let copied = store.copy(&written, &target).await;
            // Best effort either way: a bucket rule may expire what is left under tmp/.
            let _ = store.delete(&written).await;
            copied.map_err(|e| from_object_error(&doing, e))?;
        }
        own_length(digest, self.length)
    }
}

impl BlobUpload for ObjectUpload {
    fn write<'a>(&'a mut self, chunk: Bytes) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(self.add(chunk))
    }

    fn finish(
        self: Box<Self>,
        digest: Sha512Digest,
    ) -> BoxFuture<'static, Result<BlobLocation, BlobError>> {
        Box::pin(self.into_blob(digest))
    }
}

impl Parts {
    /// Under the blob's own key when that is known already.
    async fn start(home: &Objects, known: Option<Sha512Digest>) -> Result<Self, BlobError> {
        let path = match &known {
            Some(digest) => home.blob_path(digest),
            None => home.path(&format!("tmp/{}", Uuid::now_v7().simple())),
        };
        let upload = home.store.put_multipart(&path).await;
        let upload = upload.map_err(|e| from_object_error(&format!("start {path}"), e))?;
        let write = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        Ok(Self { path, write: Some(write) })
    }

    async fn add(&mut self, chunk: Bytes) -> Result<(), BlobError> {
        let Some(write) = &mut self.write else { return Ok(()) };
        let room = write.wait_for_capacity(PARTS_AT_ONCE).await;
        room.map_err(|e| from_object_error(&format!("write {}", self.path), e))?;
        write.put(chunk);
        Ok(())
    }

    async fn complete(mut self) -> Result<Path, BlobError> {
        let doing = format!("finish {}", self.path);
        if let Some(write) = self.write.take() {
            write.finish().await.map_err(|e| from_object_error(&doing, e))?;
        }
        Ok(self.path.clone())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        if let (Some(write), Ok(runtime)) = (self.write.take(), Handle::try_current()) {
            let path = self.path.clone();
            runtime.spawn(async move {
                if let Err(error) = write.abort().await {
                    tracing::warn!(error = %error, key = %path, "upload could not be aborted");
                }
            });
        }
    }
}

fn own_length(digest: Sha512Digest, length: u64) -> Result<BlobLocation, BlobError> {
    i64::try_from(length)
        .map(BlobLocation::own_file)
        .map_err(|_| BlobError::Failed(format!("blob {digest} is too long")))
}

/// Wraps an error of the object store: `doing` is a verb phrase with its object.
pub(crate) fn from_object_error(doing: &str, error: object_store::Error) -> BlobError {
    let text = format!("{doing}: {error}");
    match error {
        object_store::Error::Generic { source, .. }
            if source.to_string().contains("EntityTooLarge")
                || source.to_string().contains("QuotaExceeded") =>
        {
            BlobError::DiskFull(text)
        }
        _ => BlobError::Failed(text),
    }
}
