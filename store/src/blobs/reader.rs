//! Reading a blob, whole or in slices.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use npm::Sha512Digest;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use rustix::io::{Errno, ReadWriteFlags};

use super::BlobError;
use super::objects::from_object_error;
use super::record::{HEADER_BYTES, HEADER_LENGTH, RecordHeader};
use super::segments::blocking;

/// Reads up to this long are tried on the calling thread; copying more would hold it up
/// (1 MiB takes about 0.1 ms).
const INLINE_BYTES: usize = 1 << 20;

/// An open blob. Stays readable while it is deleted or moved.
#[derive(Debug, Clone)]
pub struct BlobReader {
    digest: Sha512Digest,
    length: u64,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Memory(Bytes),
    Record(Record),
    OwnFile(Arc<File>),
    Object { store: Arc<dyn ObjectStore>, path: ObjectPath },
}

#[derive(Debug, Clone)]
struct Record {
    file: Arc<File>,
    segment: i64,
    header_at: u64,
}

impl BlobReader {
    pub(crate) fn memory(digest: Sha512Digest, bytes: Bytes) -> Self {
        Self { digest, length: bytes.len() as u64, source: Source::Memory(bytes) }
    }

    pub(crate) fn record(
        digest: Sha512Digest,
        file: Arc<File>,
        segment: i64,
        header_at: u64,
        length: u64,
    ) -> Self {
        Self { digest, length, source: Source::Record(Record { file, segment, header_at }) }
    }

    pub(crate) fn own_file(digest: Sha512Digest, file: Arc<File>, length: u64) -> Self {
        Self { digest, length, source: Source::OwnFile(file) }
    }

    pub(crate) fn object(
        digest: Sha512Digest,
        store: Arc<dyn ObjectStore>,
        path: ObjectPath,
        length: u64,
    ) -> Self {
        Self { digest, length, source: Source::Object { store, path } }
    }

    /// Length of the blob in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether the blob has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads `length` bytes from `offset`, fewer only at the end of the blob.
    ///
    /// What is in the page cache is copied at once on this thread; the rest goes to the
    /// blocking pool. A read of a whole small blob also compares its checksum, so a damaged
    /// one is an error instead of an answer.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when the bytes there are not the blob or end too early.
    pub async fn read(&self, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let left = self.length.saturating_sub(offset);
        let length = usize::try_from(left).map_or(length, |left| left.min(length));
        match &self.source {
            Source::Memory(bytes) => {
                let start = usize::try_from(offset.min(self.length)).unwrap_or(bytes.len());
                Ok(bytes.slice(start..start + length))
            }
            Source::Record(record) if length as u64 == self.length => {
                self.read_record(record, length).await
            }
            Source::Record(record) => {
                let at = record.header_at + HEADER_LENGTH + offset;
                self.read_part(&record.file, at, length).await
            }
            Source::OwnFile(file) => self.read_part(file, offset, length).await,
            Source::Object { store, path } => {
                if length == 0 {
                    return Ok(Bytes::new());
                }
                let bytes = store
                    .get_range(path, offset..offset + length as u64)
                    .await
                    .map_err(|e| from_object_error(&format!("read {path}"), e))?;
                if bytes.len() != length {
                    return Err(self.damaged(format!("{path} ends too early")));
                }
                Ok(bytes)
            }
        }
    }

    /// Reads the whole blob.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_all(&self) -> Result<Bytes, BlobError> {
        let length = usize::try_from(self.length)
            .map_err(|_| BlobError::Failed(format!("blob {} is too long", self.digest)))?;
        self.read(0, length).await
    }

    async fn read_part(
        &self,
        file: &Arc<File>,
        at: u64,
        length: usize,
    ) -> Result<Bytes, BlobError> {
        let mut bytes = vec![0; length];
        if read_cached(file, &mut [IoSliceMut::new(&mut bytes)], at, length) {
            return Ok(bytes.into());
        }
        let file = Arc::clone(file);
        let read = move || file.read_exact_at(&mut bytes, at).map(|()| bytes);
        let bytes = self.read_blocking(read).await?;
        Ok(bytes.into())
    }

    async fn read_record(&self, record: &Record, length: usize) -> Result<Bytes, BlobError> {
        let mut header = [0; HEADER_BYTES];
        let mut bytes = vec![0; length];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(&mut bytes)];
        if !read_cached(&record.file, &mut parts, record.header_at, HEADER_BYTES + length) {
            let (file, at) = (Arc::clone(&record.file), record.header_at);
            let read = move || {
                file.read_exact_at(&mut header, at)?;
                file.read_exact_at(&mut bytes, at + HEADER_LENGTH)?;
                Ok((header, bytes))
            };
            (header, bytes) = self.read_blocking(read).await?;
        }
        self.check_record(record, &header, &bytes)?;
        Ok(bytes.into())
    }

    fn check_record(&self, record: &Record, head: &[u8], bytes: &[u8]) -> Result<(), BlobError> {
        let place = || format!("segment {} offset {}", record.segment, record.header_at);
        let Some(header) = RecordHeader::decode(head, record.segment, record.header_at) else {
            return Err(self.damaged(format!("no record header at {}", place())));
        };
        if header.digest != self.digest {
            return Err(self.damaged(format!("{} holds {}", place(), header.digest)));
        }
        if !header.matches(bytes) {
            return Err(self.damaged(format!("checksum at {} differs", place())));
        }
        Ok(())
    }

    async fn read_blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, BlobError> {
        let digest = self.digest;
        blocking(move || {
            read().map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    BlobError::Damaged { digest, what: "its file ends too early".into() }
                }
                _ => BlobError::from_io(&format!("read blob {digest}"), &error),
            })
        })
        .await
    }

    fn damaged(&self, what: String) -> BlobError {
        BlobError::Damaged { digest: self.digest, what }
    }
}

/// Fills the parts if all of it is in memory; otherwise leaves it to the blocking pool.
fn read_cached(file: &File, parts: &mut [IoSliceMut<'_>], at: u64, length: usize) -> bool {
    if length > INLINE_BYTES {
        return false;
    }
    loop {
        match rustix::io::preadv2(file, parts, at, ReadWriteFlags::NOWAIT) {
            Ok(read) => return read == length,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
