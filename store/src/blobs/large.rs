//! Big blobs: streamed into `tmp/`, flushed, renamed to `large/ab/cd/<hex>`.
//!
//! An upload that turns out small never makes a file: it ends as a record of a segment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use npm::Sha512Digest;
use tokio::task::{JoinHandle, spawn_blocking};

use super::folder::{Folder, create_dir_durably, failed, read_dir, sync_dir};
use super::handles::FileKey;
use super::io::write_all_at;
use super::segments::{Inner, Segments, blocking, remove_file};
use super::{BlobError, BlobLocation, BlobUpload, OwnBlob, SMALL_BLOB_BYTES};

/// A file in `tmp/`; removed when dropped before it got its name.
#[derive(Debug)]
struct TemporaryFile {
    inner: Arc<Inner>,
    file: File,
    path: PathBuf,
    written: u64,
    named: bool,
}

impl TemporaryFile {
    fn create(inner: Arc<Inner>) -> Result<Self, BlobError> {
        let path = inner.folder.temporary();
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| failed("create", &path, &e))?;
        Ok(Self { inner, file, path, written: 0, named: false })
    }

    fn append(&mut self, chunks: &[Bytes]) -> Result<(), BlobError> {
        let mut parts: Vec<IoSlice<'_>> = chunks.iter().map(|c| IoSlice::new(c)).collect();
        write_all_at(self.inner.io.as_ref(), &self.file, &mut parts, self.written)
            .map_err(|e| failed("write", &self.path, &e))?;
        self.written += chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Bytes first, then the name, then the folder that holds the name.
    fn name(mut self, digest: Sha512Digest) -> Result<BlobLocation, BlobError> {
        let length = i64::try_from(self.written)
            .map_err(|_| BlobError::Failed(format!("blob {digest} is too long")))?;
        self.inner.io.sync(&self.file).map_err(|e| failed("flush", &self.path, &e))?;
        let target = self.inner.folder.own_file(&digest);
        let parents: Vec<_> = target.ancestors().skip(1).take(2).collect();
        for parent in parents.iter().rev() {
            create_dir_durably(parent)?;
        }
        let naming = self.inner.naming.lock();
        fs::rename(&self.path, &target).map_err(|e| failed("name blob", &target, &e))?;
        // What stood there before, perhaps damaged, is read no more.
        self.inner.handles.remove(&FileKey::Own(digest));
        drop(naming);
        self.named = true;
        if let Some(parent) = parents.first() {
            sync_dir(parent)?;
        }
        Ok(BlobLocation::own_file(length))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.named {
            // What stays here for whatever reason is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a blob that is in memory already into a file of its own.
pub(crate) fn write_whole(
    inner: &Arc<Inner>,
    digest: Sha512Digest,
    bytes: &Bytes,
) -> Result<BlobLocation, BlobError> {
    let mut file = TemporaryFile::create(Arc::clone(inner))?;
    file.append(std::slice::from_ref(bytes))?;
    file.name(digest)
}

/// An upload to the local home: up to 1 MiB collects while the 1 MiB before is written.
pub(crate) struct LocalUpload {
    home: Segments,
    held: Vec<Bytes>,
    held_bytes: usize,
    file: Progress,
}

enum Progress {
    NotStarted,
    Idle(TemporaryFile),
    Writing(JoinHandle<Result<TemporaryFile, BlobError>>),
    Failed(BlobError),
}

impl LocalUpload {
    pub(crate) fn new(home: Segments) -> Self {
        Self { home, held: Vec::new(), held_bytes: 0, file: Progress::NotStarted }
    }

    /// Waits for the write under way. A dropped call leaves it where it was.
    async fn settle(&mut self) -> Result<(), BlobError> {
        if let Progress::Writing(writing) = &mut self.file {
            self.file = match writing.await {
                Ok(Ok(file)) => Progress::Idle(file),
                Ok(Err(error)) => Progress::Failed(error),
                Err(error) => Progress::Failed(BlobError::Failed(format!(
                    "writing an upload did not end: {error}"
                ))),
            };
        }
        match &self.file {
            Progress::Failed(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Hands what is held to the blocking pool.
    async fn write_held(&mut self) -> Result<(), BlobError> {
        self.settle().await?;
        let chunks = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let inner = Arc::clone(&self.home.inner);
        let file = std::mem::replace(&mut self.file, Progress::NotStarted);
        self.file = Progress::Writing(spawn_blocking(move || {
            let mut file = match file {
                Progress::Idle(file) => file,
                _ => TemporaryFile::create(inner)?,
            };
            file.append(&chunks)?;
            Ok(file)
        }));
        Ok(())
    }

    async fn into_blob(mut self, digest: Sha512Digest) -> Result<BlobLocation, BlobError> {
        if matches!(self.file, Progress::NotStarted) {
            let bytes = join(std::mem::take(&mut self.held), self.held_bytes);
            return self.home.put_small(digest, bytes).await;
        }
        self.settle().await?;
        let chunks = std::mem::take(&mut self.held);
        let Progress::Idle(mut file) = self.file else {
            return Err(BlobError::Failed(format!("upload of {digest} has no file")));
        };
        blocking(move || {
            file.append(&chunks)?;
            file.name(digest)
        })
        .await
    }
}

impl BlobUpload for LocalUpload {
    fn write<'a>(&'a mut self, chunk: Bytes) -> BoxFuture<'a, Result<(), BlobError>> {
        Box::pin(async move {
            self.held_bytes += chunk.len();
            self.held.push(chunk);
            if self.held_bytes > SMALL_BLOB_BYTES {
                self.write_held().await?;
            }
            Ok(())
        })
    }

    fn finish(
        self: Box<Self>,
        digest: Sha512Digest,
    ) -> BoxFuture<'static, Result<BlobLocation, BlobError>> {
        Box::pin(self.into_blob(digest))
    }
}

/// One piece of memory for a record; a blob that came in one chunk is not copied.
fn join(mut chunks: Vec<Bytes>, length: usize) -> Bytes {
    if chunks.len() == 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut whole = Vec::with_capacity(length);
    for chunk in &chunks {
        whole.extend_from_slice(chunk);
    }
    whole.into()
}

/// Visits every file under `large/`; names that are no digest are left alone.
pub(crate) fn list(folder: &Folder, visit: &mut dyn FnMut(OwnBlob)) -> Result<(), BlobError> {
    for first in read_dir(&folder.large())? {
        let first = first.map_err(|e| failed("list folder", &folder.large(), &e))?.path();
        for second in read_dir(&first)? {
            let second = second.map_err(|e| failed("list folder", &first, &e))?.path();
            for entry in read_dir(&second)? {
                let entry = entry.map_err(|e| failed("list folder", &second, &e))?;
                if let Some(blob) = own_blob(&entry)? {
                    visit(blob);
                }
            }
        }
    }
    Ok(())
}

/// Removes a large blob unless it was written again meanwhile.
pub(crate) fn delete(
    inner: &Inner,
    digest: &Sha512Digest,
    written_before_ms: i64,
) -> Result<bool, BlobError> {
    let path = inner.folder.own_file(digest);
    let _naming = inner.naming.lock();
    match fs::metadata(&path) {
        Ok(facts) if written_at_ms(&path, &facts)? < written_before_ms => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("look at", &path, &error)),
    }
    inner.handles.remove(&FileKey::Own(*digest));
    remove_file(&path)
}

fn own_blob(entry: &fs::DirEntry) -> Result<Option<OwnBlob>, BlobError> {
    let name = entry.file_name();
    let Some(digest) = name.to_str().and_then(|hex| Sha512Digest::from_hex(hex).ok()) else {
        return Ok(None);
    };
    let facts = entry.metadata().map_err(|e| failed("look at", &entry.path(), &e))?;
    Ok(Some(OwnBlob {
        digest,
        length: i64::try_from(facts.len()).unwrap_or(i64::MAX),
        written_at_ms: written_at_ms(&entry.path(), &facts)?,
    }))
}

pub(crate) fn written_at_ms(path: &Path, facts: &fs::Metadata) -> Result<i64, BlobError> {
    let written = facts.modified().map_err(|e| failed("look at", path, &e))?;
    let age = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}
