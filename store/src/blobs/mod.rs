//! Blobs by sha512: one trait, two homes.
//!
//! [`Segments`] keeps them on the local disk (small ones appended to large files, big ones
//! a file each), [`Objects`] in S3 or, for tests, in memory. A blob is written once, never
//! changed, and visible to others only through the database row that names its
//! [`BlobLocation`]. The order is always: bytes durable, rows committed, old bytes deleted.
//!
//! What survives a restart: every byte whose put was covered by a successful
//! [`BlobStore::flush_blocking`]. What was only put is cut away when the store reopens.

mod error;
mod flush;
mod folder;
mod handles;
pub mod hashing;
mod io;
mod large;
pub mod objects;
mod pending;
mod reader;
mod record;
mod recovery;
mod runtime;
pub mod segments;
mod settings;
mod state;
#[cfg(test)]
mod tests;
pub mod walk;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use npm::Sha512Digest;

pub use error::BlobError;
pub(crate) use folder::{segment_file_name, sharded};
pub use hashing::{HashingError, HashingUpload};
pub use io::{DiskIo, RealDisk};
pub use objects::Objects;
pub use reader::BlobReader;
pub use recovery::ResumeReport;
pub use runtime::BlockingRuntime;
pub use segments::Segments;
pub use settings::{BlobSettings, S3Settings, open_blocking};

/// Blobs up to this size share segment files; above, each is a file or object of its own.
///
/// Nine of ten tarballs are far smaller, and a file created durably for each of those costs
/// more than everything else a sync does. Above 1 MiB the cost of a file no longer shows.
pub const SMALL_BLOB_BYTES: usize = 1 << 20;

/// What a blob costs in a segment besides its bytes.
pub(crate) const RECORD_HEADER_BYTES: i64 = record::HEADER_LENGTH.cast_signed();

/// Where the bytes of a blob are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BlobLocation {
    /// Segment file holding the bytes; 0 means a file or object of its own.
    pub segment: i64,
    /// Offset of the bytes themselves in the segment (not of the record header), else 0.
    pub offset: i64,
    /// Length in bytes.
    pub length: i64,
}

impl BlobLocation {
    /// The location of a blob that has a file or an object of its own.
    #[must_use]
    pub fn own_file(length: i64) -> Self {
        Self { segment: 0, offset: 0, length }
    }

    /// First byte behind the blob in its segment.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.offset.saturating_add(self.length)
    }
}

/// What the database knows about one segment file; written in the commit that needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentState {
    /// Number of the segment, never used twice while its file exists.
    pub id: i64,
    /// Bytes from the start of the file that are known to be on the disk.
    pub durable_bytes: i64,
    /// Nothing is ever appended again.
    pub sealed: bool,
}

/// A home for blobs.
///
/// Callers compare digests before they put (see [`HashingUpload`]), and ask the database
/// whether a digest is here already: putting it twice keeps it twice until compaction.
pub trait BlobStore: Send + Sync + 'static {
    /// Takes a whole blob whose digest the caller has verified.
    ///
    /// A small one is queued for the open segment and is readable at once, but durable only
    /// after the next [`flush_blocking`](Self::flush_blocking); others are durable on return.
    fn put<'a>(
        &'a self,
        digest: Sha512Digest,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<BlobLocation, BlobError>>;

    /// Starts a streamed upload of a blob whose digest is known only at its end.
    fn upload<'a>(&'a self) -> BoxFuture<'a, Result<Box<dyn BlobUpload>, BlobError>>;

    /// Starts a streamed upload of a blob that is to have this digest.
    ///
    /// A home that names objects by digest needs no second name then.
    fn upload_known<'a>(
        &'a self,
        digest: Sha512Digest,
    ) -> BoxFuture<'a, Result<Box<dyn BlobUpload>, BlobError>> {
        let _ = digest;
        self.upload()
    }

    /// Makes every put that returned before this call durable: one `fdatasync` if anything
    /// is pending.
    ///
    /// # Errors
    /// [`BlobError::DiskFull`] while writing: nothing is lost, a later flush tries the same
    /// bytes again. Anything else, or a failed `fdatasync`: the pending puts are lost, and
    /// [`is_durable`](Self::is_durable) says `false` for their locations from now on.
    fn flush_blocking(&self) -> Result<(), BlobError>;

    /// Whether a row may name this location: durable, and not in a segment about to go.
    ///
    /// Asked inside the commit's transaction for every new location. A failed flush or a
    /// compaction may have taken it since its put returned; then that one change fails.
    fn is_durable(&self, location: BlobLocation) -> bool;

    /// Segments whose state the database may not know yet, to be written in the commit that
    /// follows a flush.
    fn segments(&self) -> Vec<SegmentState>;

    /// Says that a commit holding these states succeeded; sealed ones are reported no more.
    fn segments_recorded(&self, recorded: &[SegmentState]);

    /// Continues from what the database knows: called once, when the store is opened and
    /// before anything is put.
    ///
    /// # Errors
    /// [`BlobError::Failed`] when the open segment cannot be cut at its durable end.
    fn resume_blocking(&self, known: &[SegmentState]) -> Result<ResumeReport, BlobError>;

    /// Opens a blob for reading; what was put but not flushed yet is readable too.
    ///
    /// # Errors
    /// [`BlobError::Missing`] when nothing is there. Compaction moves blobs: look the digest
    /// up in the database once more and try the new location before believing it.
    fn reader<'a>(
        &'a self,
        digest: &'a Sha512Digest,
        location: BlobLocation,
    ) -> BoxFuture<'a, Result<BlobReader, BlobError>>;

    /// Removes a blob with a file or object of its own that was last written before this
    /// time (unix milliseconds); its row is gone already. Returns whether there was one.
    ///
    /// The time protects a blob that was deleted and is just being stored again.
    ///
    /// # Errors
    /// [`BlobError::Failed`] when it is there and cannot be removed.
    fn delete_own_blocking(
        &self,
        digest: &Sha512Digest,
        written_before_ms: i64,
    ) -> Result<bool, BlobError>;

    /// Calls `visit` for each blob that has a file or object of its own, in no order.
    ///
    /// # Errors
    /// [`BlobError::Failed`] when a folder or listing cannot be read.
    fn list_own_blocking(&self, visit: &mut dyn FnMut(OwnBlob)) -> Result<(), BlobError>;

    /// The local segments behind this store, for compaction, backup and scrub.
    fn local(&self) -> Option<&Segments> {
        None
    }
}

/// A blob with a file or object of its own, as found in its home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnBlob {
    /// The digest its name says it has.
    pub digest: Sha512Digest,
    /// Length in bytes.
    pub length: i64,
    /// When it was last written, unix milliseconds.
    pub written_at_ms: i64,
}

/// A blob on its way in. Dropped without [`finish`](Self::finish) it leaves nothing behind.
pub trait BlobUpload: Send {
    /// Adds the next bytes.
    fn write<'a>(&'a mut self, chunk: Bytes) -> BoxFuture<'a, Result<(), BlobError>>;

    /// Makes the blob readable under the digest the caller has verified.
    ///
    /// Durable on return if it got a file of its own; if it turned out small, as after a put.
    fn finish(
        self: Box<Self>,
        digest: Sha512Digest,
    ) -> BoxFuture<'static, Result<BlobLocation, BlobError>>;
}
