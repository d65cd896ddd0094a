//! Records put but not yet written to their segment file.

use std::sync::Arc;

use bytes::Bytes;

use super::record::{HEADER_BYTES, HEADER_LENGTH};

/// One record waiting to be written. The bytes are shared with the caller, not copied.
#[derive(Debug, Clone)]
pub(crate) struct PendingRecord {
    pub segment: i64,
    /// Offset of the header in the segment.
    pub header_at: u64,
    pub header: [u8; HEADER_BYTES],
    pub bytes: Bytes,
}

impl PendingRecord {
    /// First byte behind the record.
    pub(crate) fn end(&self) -> u64 {
        self.header_at + HEADER_LENGTH + self.bytes.len() as u64
    }
}

/// The queue: what waits, and what is being written right now. Both are in file order.
#[derive(Debug, Default)]
pub(crate) struct PendingRecords {
    waiting: Vec<PendingRecord>,
    waiting_bytes: usize,
    writing: Option<Arc<Vec<PendingRecord>>>,
}

impl PendingRecords {
    pub(crate) fn push(&mut self, record: PendingRecord) {
        self.waiting_bytes += record.bytes.len() + HEADER_BYTES;
        self.waiting.push(record);
    }

    /// Bytes waiting, without the batch being written.
    pub(crate) fn bytes(&self) -> usize {
        self.waiting_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all that waits; readers find it here until [`written`](Self::written).
    pub(crate) fn take_batch(&mut self) -> Option<Arc<Vec<PendingRecord>>> {
        if self.waiting.is_empty() {
            return None;
        }
        self.waiting_bytes = 0;
        let room = Vec::with_capacity(self.waiting.len());
        let batch = Arc::new(std::mem::replace(&mut self.waiting, room));
        self.writing = Some(Arc::clone(&batch));
        Some(batch)
    }

    /// The batch is in its files.
    pub(crate) fn written(&mut self) {
        self.writing = None;
    }

    /// The batch could not be written for lack of space: it waits again, before the others.
    pub(crate) fn put_back(&mut self, batch: Arc<Vec<PendingRecord>>) {
        self.writing = None;
        let mut all = Arc::try_unwrap(batch).unwrap_or_else(|shared| (*shared).clone());
        self.waiting_bytes += all.iter().map(|r| r.bytes.len() + HEADER_BYTES).sum::<usize>();
        all.append(&mut self.waiting);
        self.waiting = all;
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The bytes of the record at this place, if it is not in its file yet.
    pub(crate) fn find(&self, segment: i64, header_at: u64) -> Option<Bytes> {
        let find = |records: &[PendingRecord]| {
            let at = records
                .binary_search_by_key(&(segment, header_at), |r| (r.segment, r.header_at))
                .ok()?;
            records.get(at).map(|record| record.bytes.clone())
        };
        find(&self.waiting).or_else(|| find(self.writing.as_ref()?))
    }
}
