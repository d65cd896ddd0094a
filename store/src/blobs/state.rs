//! What is appended where: the bookkeeping behind one short lock, no disk access.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use npm::Sha512Digest;

use super::pending::{PendingRecord, PendingRecords};
use super::record::{FILE_HEADER_BYTES, HEADER_LENGTH, RecordHeader};
use super::{BlobError, BlobLocation, SegmentState};

/// One segment as this process knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    /// Appended to up to here, in memory or in the file.
    pub end: u64,
    /// On the disk for certain.
    pub durable: u64,
    /// In the file, though perhaps only in the page cache.
    pub written: u64,
    pub sealed: bool,
    /// About to be removed by compaction: no new row may name it.
    pub retired: bool,
    /// What the database last said it holds.
    pub recorded: Option<SegmentState>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    segments: BTreeMap<i64, Segment>,
    /// The segment that takes appends.
    open: Option<i64>,
    next_id: i64,
    segment_bytes: u64,
    pub pending: PendingRecords,
    /// Puts were lost whose callers no flush has told yet.
    pub failure: Option<BlobError>,
    /// The last write met a full disk.
    pub full: Option<BlobError>,
}

impl State {
    pub(crate) fn new(segment_bytes: u64, next_id: i64) -> Self {
        Self {
            segments: BTreeMap::new(),
            open: None,
            next_id,
            segment_bytes,
            pending: PendingRecords::default(),
            failure: None,
            full: None,
        }
    }

    /// Queues one record behind the last.
    pub(crate) fn append(
        &mut self,
        digest: Sha512Digest,
        bytes: Bytes,
        header: &RecordHeader,
    ) -> Result<BlobLocation, BlobError> {
        let record_bytes = HEADER_LENGTH + bytes.len() as u64;
        let (segment, header_at) = self.room_for(record_bytes);
        let location = location(digest, segment, header_at + HEADER_LENGTH, bytes.len())?;
        if let Some(open) = self.segments.get_mut(&segment) {
            open.end = header_at + record_bytes;
        }
        let header = header.encode(segment, header_at);
        self.pending.push(PendingRecord { segment, header_at, header, bytes });
        Ok(location)
    }

    /// Id and end of the open segment if the record fits, else of a new one, whose file is
    /// made when it is written.
    fn room_for(&mut self, record_bytes: u64) -> (i64, u64) {
        if let Some(id) = self.open
            && let Some(segment) = self.segments.get(&id)
            && segment.end + record_bytes <= self.segment_bytes
        {
            return (id, segment.end);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.open = Some(id);
        self.segments.insert(
            id,
            Segment {
                end: FILE_HEADER_BYTES,
                durable: 0,
                written: 0,
                sealed: false,
                retired: false,
                recorded: None,
            },
        );
        (id, FILE_HEADER_BYTES)
    }

    /// The batch is in its files.
    pub(crate) fn batch_written(&mut self, batch: &[PendingRecord]) {
        self.pending.written();
        self.full = None;
        for record in batch {
            if let Some(segment) = self.segments.get_mut(&record.segment) {
                segment.written = record.end();
            }
        }
    }

    /// The file is on the disk up to `end`.
    pub(crate) fn synced(&mut self, id: i64, end: u64) {
        let is_open = self.open == Some(id);
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.durable = segment.durable.max(end);
            segment.sealed = !is_open && segment.durable == segment.end;
        }
    }

    /// Gives up everything not durable: open segments end where they were last flushed and
    /// are never appended to again. Returns the segments that held nothing durable.
    ///
    /// After a failed `fdatasync` the kernel may have dropped the pages and reports the
    /// error only once, so a second try would succeed without the bytes being there.
    pub(crate) fn give_up(&mut self) -> Vec<i64> {
        self.pending.clear();
        self.open = None;
        let empty: Vec<i64> =
            self.segments.iter().filter(|(_, s)| s.durable == 0).map(|(id, _)| *id).collect();
        for id in &empty {
            self.segments.remove(id);
        }
        for segment in self.segments.values_mut() {
            segment.written = segment.durable;
            segment.end = segment.durable;
            segment.sealed = true;
        }
        empty
    }

    /// States the database has not recorded yet; those about to go are not worth a row.
    pub(crate) fn unrecorded(&self) -> Vec<SegmentState> {
        self.segments
            .iter()
            .filter(|(_, segment)| segment.durable > 0 && !segment.retired)
            .filter_map(|(id, segment)| {
                let state = segment.state(*id);
                (segment.recorded != Some(state)).then_some(state)
            })
            .collect()
    }

    pub(crate) fn recorded(&mut self, states: &[SegmentState]) {
        for state in states {
            if let Some(segment) = self.segments.get_mut(&state.id) {
                segment.recorded = Some(*state);
            }
        }
    }

    /// Adds a segment found at start; an unsealed one continues to be appended to.
    pub(crate) fn adopt(&mut self, state: SegmentState, recorded: bool) {
        let durable = u64::try_from(state.durable_bytes).unwrap_or(0);
        let full = durable >= self.segment_bytes;
        let segment = Segment {
            end: durable.max(FILE_HEADER_BYTES),
            durable,
            written: durable,
            sealed: state.sealed || full,
            retired: false,
            recorded: recorded.then_some(state),
        };
        self.segments.insert(state.id, segment);
        self.next_id = self.next_id.max(state.id + 1);
        if !segment.sealed {
            self.open = Some(state.id);
        }
    }

    /// Ends the open segment where it is; the next put starts another one.
    pub(crate) fn seal_open(&mut self) {
        let Some(id) = self.open.take() else { return };
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.sealed = segment.durable == segment.end;
        }
    }

    pub(crate) fn segment(&self, id: i64) -> Option<&Segment> {
        self.segments.get(&id)
    }

    pub(crate) fn states(&self) -> Vec<SegmentState> {
        self.segments.iter().map(|(id, segment)| segment.state(*id)).collect()
    }

    /// Marks a segment as about to go, or takes that back; `false` if it cannot go.
    pub(crate) fn set_retired(&mut self, id: i64, retired: bool) -> bool {
        match self.segments.get_mut(&id) {
            Some(segment) if segment.sealed => {
                segment.retired = retired;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn forget(&mut self, id: i64) {
        self.segments.remove(&id);
    }
}

impl Segment {
    fn state(&self, id: i64) -> SegmentState {
        let durable_bytes = i64::try_from(self.durable).unwrap_or(i64::MAX);
        SegmentState { id, durable_bytes, sealed: self.sealed }
    }
}

fn location(
    digest: Sha512Digest,
    segment: i64,
    offset: u64,
    length: usize,
) -> Result<BlobLocation, BlobError> {
    match (i64::try_from(offset), i64::try_from(length)) {
        (Ok(offset), Ok(length)) => Ok(BlobLocation { segment, offset, length }),
        _ => Err(BlobError::Failed(format!(
            "blob {digest} of {length} bytes at {offset} is beyond what a row can name"
        ))),
    }
}

/// A batch handed to the disk; see [`PendingRecords::take_batch`].
pub(crate) type Batch = Arc<Vec<PendingRecord>>;
