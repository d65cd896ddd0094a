//! The local home: small blobs appended to large segment files, big ones a file each.
//!
//! A put queues the caller's bytes under a short lock; a flush writes all that waits with
//! one vectored write and one `fdatasync`, while further puts queue behind it. A segment
//! that is full is sealed and never changed again. After a failed flush nothing unflushed
//! is trusted: those puts are lost, the segment ends at its last flushed byte and a new one
//! begins. Space of deleted blobs comes back by compaction (`maintenance::compaction`).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use npm::Sha512Digest;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;

use super::flush::Disk;
use super::folder::{Folder, failed, sync_dir};
use super::handles::{FileKey, Handles};
use super::io::{DiskIo, RealDisk};
use super::large::{self, LocalUpload};
use super::record::{FILE_HEADER_BYTES, HEADER_BYTES, HEADER_LENGTH, RecordHeader};
use super::state::State;
use super::{
    BlobError, BlobLocation, BlobReader, BlobStore, BlobUpload, OwnBlob, ResumeReport,
    SMALL_BLOB_BYTES, SegmentState,
};

/// Size at which a segment is sealed: few files even for terabytes, and rewriting one that
/// is mostly dead takes about a second.
pub const DEFAULT_SEGMENT_BYTES: u64 = 256 << 20;
/// Waiting bytes from which a write-out starts without anyone asking for a flush.
const SPILL_BYTES: usize = 4 << 20;
/// Waiting bytes from which a put waits for the write-out: the bound on our memory.
const WAIT_BYTES: usize = 16 << 20;

/// See the module.
#[derive(Debug, Clone)]
pub struct Segments {
    pub(crate) inner: Arc<Inner>,
}

/// What uploads and flushes share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub folder: Folder,
    pub io: Arc<dyn DiskIo>,
    pub state: Mutex<State>,
    pub disk: Mutex<Disk>,
    pub handles: Handles,
    /// Held while a large file gets its name or loses it.
    pub naming: Mutex<()>,
    maintenance: Mutex<()>,
}

impl Segments {
    /// Opens the home in this folder, made if missing. Unfinished uploads are removed.
    ///
    /// # Errors
    /// When the folders cannot be made or listed.
    pub fn open_blocking(folder: &Path, segment_bytes: u64) -> Result<Self, BlobError> {
        Self::open_with_blocking(folder, segment_bytes, Arc::new(RealDisk))
    }

    /// As [`open_blocking`](Self::open_blocking), with another disk underneath.
    ///
    /// # Errors
    /// When the folders cannot be made or listed.
    pub fn open_with_blocking(
        folder: &Path,
        segment_bytes: u64,
        io: Arc<dyn DiskIo>,
    ) -> Result<Self, BlobError> {
        let folder = Folder::open(folder)?;
        let next_id = folder.segment_ids()?.last().map_or(1, |id| id + 1);
        let least = FILE_HEADER_BYTES + (SMALL_BLOB_BYTES + HEADER_BYTES) as u64;
        let state = Mutex::new(State::new(segment_bytes.max(least), next_id));
        let inner = Inner {
            folder,
            io,
            state,
            disk: Mutex::default(),
            handles: Handles::default(),
            naming: Mutex::default(),
            maintenance: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Held by backup, garbage collection and compaction, so that none removes what another
    /// is copying.
    pub fn maintenance_lock(&self) -> MutexGuard<'_, ()> {
        self.inner.maintenance.lock()
    }

    /// All segments with their durable ends.
    #[must_use]
    pub fn states(&self) -> Vec<SegmentState> {
        self.inner.state.lock().states()
    }

    /// Ends the open segment; the next put starts a new one.
    pub fn seal_open(&self) {
        self.inner.state.lock().seal_open();
    }

    /// From now on no row may name this segment; `false` if it is not sealed.
    #[must_use]
    pub fn retire(&self, id: i64) -> bool {
        self.inner.state.lock().set_retired(id, true)
    }

    /// Takes [`retire`](Self::retire) back.
    pub fn unretire(&self, id: i64) {
        self.inner.state.lock().set_retired(id, false);
    }

    /// Removes a retired segment no row names any more. Open readers keep their handle.
    ///
    /// # Errors
    /// When the file cannot be removed; it stays retired until the next start.
    pub fn remove_blocking(&self, id: i64) -> Result<(), BlobError> {
        self.inner.handles.remove(&FileKey::Segment(id));
        let path = self.inner.folder.segment(id);
        remove_file(&path)?;
        sync_dir(&self.inner.folder.segments())?;
        self.inner.state.lock().forget(id);
        Ok(())
    }

    /// When a segment file was last written, unix milliseconds.
    pub(crate) fn written_at_ms(&self, id: i64) -> Option<i64> {
        let path = self.inner.folder.segment(id);
        large::written_at_ms(&path, &fs::metadata(&path).ok()?).ok()
    }

    /// The path of a segment file, for backup and scrub.
    pub(crate) fn segment_path(&self, id: i64) -> std::path::PathBuf {
        self.inner.folder.segment(id)
    }

    /// The path of a large blob, for backup.
    pub(crate) fn own_path(&self, digest: &Sha512Digest) -> std::path::PathBuf {
        self.inner.folder.own_file(digest)
    }

    /// Queues one small blob for the open segment.
    pub(crate) async fn put_small(
        &self,
        digest: Sha512Digest,
        bytes: Bytes,
    ) -> Result<BlobLocation, BlobError> {
        self.make_room().await?;
        let length = u32::try_from(bytes.len())
            .map_err(|_| BlobError::Failed(format!("blob {digest} does not fit a segment")))?;
        let header = RecordHeader::new(digest, length, &bytes);
        self.inner.state.lock().append(digest, bytes, &header)
    }

    /// Starts a write-out when much waits, and waits for it when too much does.
    async fn make_room(&self) -> Result<(), BlobError> {
        let (waiting, full) = {
            let state = self.inner.state.lock();
            (state.pending.bytes(), state.full.is_some())
        };
        if waiting < SPILL_BYTES {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        if waiting < WAIT_BYTES && !full {
            // One at a time: whoever holds the disk lock takes all that waits.
            if self.inner.disk.is_locked() {
                return Ok(());
            }
            spawn_blocking(move || inner.spill());
            return Ok(());
        }
        blocking(move || inner.spill()).await
    }

    fn find_pending(&self, location: BlobLocation) -> Option<Bytes> {
        let header_at = header_at(location)?;
        self.inner.state.lock().pending.find(location.segment, header_at)
    }

    async fn open_reader(
        &self,
        digest: Sha512Digest,
        location: BlobLocation,
    ) -> Result<BlobReader, BlobError> {
        let missing = || BlobError::Missing { digest, location };
        let length = u64::try_from(location.length).map_err(|_| missing())?;
        if location.segment == 0 {
            let path = self.inner.folder.own_file(&digest);
            let file = self.open(FileKey::Own(digest), &path, digest, location).await?;
            return Ok(BlobReader::own_file(digest, file, length));
        }
        if let Some(bytes) = self.find_pending(location) {
            return Ok(BlobReader::memory(digest, bytes));
        }
        let end = u64::try_from(location.end()).map_err(|_| missing())?;
        let header_at = header_at(location).ok_or_else(missing)?;
        let known = self.inner.state.lock().segment(location.segment).map(|s| s.written);
        if known.is_none_or(|written| end > written) {
            return Err(missing());
        }
        let path = self.inner.folder.segment(location.segment);
        let key = FileKey::Segment(location.segment);
        let file = self.open(key, &path, digest, location).await?;
        Ok(BlobReader::record(digest, file, location.segment, header_at, length))
    }

    async fn open(
        &self,
        key: FileKey,
        path: &Path,
        digest: Sha512Digest,
        location: BlobLocation,
    ) -> Result<Arc<fs::File>, BlobError> {
        if let Some(file) = self.inner.handles.get(&key) {
            return Ok(file);
        }
        let (inner, path) = (Arc::clone(&self.inner), path.to_path_buf());
        blocking(move || match inner.handles.open_blocking(key, &path) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BlobError::Missing { digest, location })
            }
            Err(error) => Err(failed("open", &path, &error)),
        })
        .await
    }
}

impl BlobStore for Segments {
    fn put<'a>(
        &'a self,
        digest: Sha512Digest,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<BlobLocation, BlobError>> {
        Box::pin(async move {
            if bytes.len() <= SMALL_BLOB_BYTES {
                return self.put_small(digest, bytes).await;
            }
            let inner = Arc::clone(&self.inner);
            blocking(move || large::write_whole(&inner, digest, &bytes)).await
        })
    }

    fn upload<'a>(&'a self) -> BoxFuture<'a, Result<Box<dyn BlobUpload>, BlobError>> {
        Box::pin(async { Ok(Box::new(LocalUpload::new(self.clone())) as Box<dyn BlobUpload>) })
    }

    fn flush_blocking(&self) -> Result<(), BlobError> {
        self.inner.flush()
    }

    fn is_durable(&self, location: BlobLocation) -> bool {
        if location.segment == 0 {
            return true;
        }
        let Ok(end) = u64::try_from(location.end()) else { return false };
        header_at(location).is_some()
            && self
                .inner
                .state
                .lock()
                .segment(location.segment)
                .is_some_and(|segment| !segment.retired && end <= segment.durable)
    }

    fn segments(&self) -> Vec<SegmentState> {
        self.inner.state.lock().unrecorded()
    }

    fn segments_recorded(&self, recorded: &[SegmentState]) {
        self.inner.state.lock().recorded(recorded);
    }

    fn resume_blocking(&self, known: &[SegmentState]) -> Result<ResumeReport, BlobError> {
        super::recovery::resume(&self.inner, known)
    }

    fn reader<'a>(
        &'a self,
        digest: &'a Sha512Digest,
        location: BlobLocation,
    ) -> BoxFuture<'a, Result<BlobReader, BlobError>> {
        Box::pin(self.open_reader(*digest, location))
    }

    fn delete_own_blocking(
        &self,
        digest: &Sha512Digest,
        written_before_ms: i64,
    ) -> Result<bool, BlobError> {
        large::delete(&self.inner, digest, written_before_ms)
    }

    fn list_own_blocking(&self, visit: &mut dyn FnMut(OwnBlob)) -> Result<(), BlobError> {
        large::list(&self.inner.folder, visit)
    }

    fn local(&self) -> Option<&Segments> {
        Some(self)
    }
}

/// Where the header of a record stands whose bytes are at this location.
fn header_at(location: BlobLocation) -> Option<u64> {
    let at = u64::try_from(location.offset).ok()?.checked_sub(HEADER_LENGTH)?;
    (at >= FILE_HEADER_BYTES && location.length >= 0).then_some(at)
}

/// Removes a file; `false` if there is none.
pub(crate) fn remove_file(path: &Path) -> Result<bool, BlobError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path, &error)),
    }
}

/// Runs disk work on the blocking pool.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BlobError::Failed(format!("disk work did not end: {error}"))),
    }
}
