//! The disk side of the segments: writing what waits, flushing it, giving up when that fails.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::IoSlice;
use std::sync::Arc;

use super::BlobError;
use super::folder::{failed, sync_dir};
use super::handles::FileKey;
use super::io::write_all_at;
use super::pending::PendingRecord;
use super::record::{FILE_HEADER_BYTES, FILE_MAGIC};
use super::segments::Inner;
use super::state::Batch;

/// Files being written; held by whoever writes or flushes, never while appending.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: BTreeMap<i64, Arc<File>>,
    /// Segments with bytes not flushed yet, and where those end.
    dirty: BTreeMap<i64, u64>,
    /// A segment file was created and its name is not on the disk yet.
    created: bool,
}

impl Inner {
    /// See [`super::BlobStore::flush_blocking`].
    pub(crate) fn flush(&self) -> Result<(), BlobError> {
        let mut disk = self.disk.lock();
        let failure = self.state.lock().failure.take();
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.write_out(&mut disk, true)?;
        let synced = self.sync(&mut disk);
        if let Err(error) = &synced {
            self.give_up(&mut disk, error, true);
        }
        synced
    }

    /// Moves what waits into the page cache, so that it takes no memory of ours.
    pub(crate) fn spill(&self) -> Result<(), BlobError> {
        let mut disk = self.disk.lock();
        self.write_out(&mut disk, false)
    }

    fn write_out(&self, disk: &mut Disk, in_flush: bool) -> Result<(), BlobError> {
        let Some(batch) = self.state.lock().pending.take_batch() else { return Ok(()) };
        match self.write_batch(disk, &batch) {
            Ok(()) => {
                self.state.lock().batch_written(&batch);
                Ok(())
            }
            Err(error) if error.is_disk_full() => {
                self.keep_for_later(batch, &error);
                Err(error)
            }
            Err(error) => {
                drop(batch);
                self.give_up(disk, &error, in_flush);
                Err(error)
            }
        }
    }

    /// A full disk has written nothing wrong: the same bytes go to the same place later.
    fn keep_for_later(&self, batch: Batch, error: &BlobError) {
        let mut state = self.state.lock();
        state.pending.put_back(batch);
        state.full = Some(error.clone());
    }

    fn write_batch(&self, disk: &mut Disk, batch: &[PendingRecord]) -> Result<(), BlobError> {
        for records in batch.chunk_by(|a, b| a.segment == b.segment) {
            let (Some(first), Some(last)) = (records.first(), records.last()) else { continue };
            let is_new = first.header_at == FILE_HEADER_BYTES;
            let file = self.file(disk, first.segment, is_new)?;
            let mut parts = Vec::with_capacity(records.len() * 2 + 1);
            let mut offset = first.header_at;
            if is_new {
                parts.push(IoSlice::new(&FILE_MAGIC));
                offset = 0;
            }
            for record in records {
                parts.push(IoSlice::new(&record.header));
                parts.push(IoSlice::new(&record.bytes));
            }
            write_all_at(self.io.as_ref(), &file, &mut parts, offset)
                .map_err(|e| failed("write", &self.folder.segment(first.segment), &e))?;
            disk.dirty.insert(first.segment, last.end());
        }
        Ok(())
    }

    /// The handle a segment is written through; readers share it.
    fn file(&self, disk: &mut Disk, id: i64, is_new: bool) -> Result<Arc<File>, BlobError> {
        if let Some(file) = disk.files.get(&id) {
            return Ok(Arc::clone(file));
        }
        let path = self.folder.segment(id);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(is_new)
            .open(&path)
            .map_err(|e| failed("open segment", &path, &e))?;
        let file = Arc::new(file);
        disk.created |= is_new;
        disk.files.insert(id, Arc::clone(&file));
        self.handles.insert(FileKey::Segment(id), Arc::clone(&file));
        Ok(file)
    }

    fn sync(&self, disk: &mut Disk) -> Result<(), BlobError> {
        for id in disk.dirty.keys() {
            if let Some(file) = disk.files.get(id) {
                self.io
                    .sync(file)
                    .map_err(|e| failed("flush segment", &self.folder.segment(*id), &e))?;
            }
        }
        if disk.created {
            sync_dir(&self.folder.segments())?;
            disk.created = false;
        }
        let mut state = self.state.lock();
        for (id, end) in std::mem::take(&mut disk.dirty) {
            state.synced(id, end);
            if state.segment(id).is_some_and(|segment| segment.sealed) {
                disk.files.remove(&id);
            }
        }
        Ok(())
    }

    /// Forgets every put that is not durable. The caller of this flush learns it from its
    /// result; if others are concerned too, so does the next flush.
    fn give_up(&self, disk: &mut Disk, error: &BlobError, in_flush: bool) {
        *disk = Disk::default();
        let mut state = self.state.lock();
        if !in_flush || !state.pending.is_empty() {
            state.failure = Some(error.clone());
        }
        let empty = state.give_up();
        drop(state);
        for id in empty {
            self.handles.remove(&FileKey::Segment(id));
            // May fail as everything does now; the next start finds and reports the file.
            let _ = fs::remove_file(self.folder.segment(id));
        }
        tracing::error!(error = %error, "blobs not flushed yet are lost; a new segment begins");
    }
}
