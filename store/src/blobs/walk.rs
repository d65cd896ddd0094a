//! Going through a segment file record by record, without the database.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use npm::Sha512Digest;

use super::folder::failed;
use super::record::{
    FILE_HEADER_BYTES, FILE_MAGIC, HEADER_BYTES, HEADER_LENGTH, RECORD_MAGIC, RecordHeader,
};
use super::{BlobError, BlobLocation, Segments};

/// How much is read at once while looking for the next record after damage.
const SEARCH_BYTES: usize = 1 << 20;

/// What stands in a segment, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A record with a good header that lies wholly before the end.
    Record {
        /// The digest its header names.
        digest: Sha512Digest,
        /// Where its bytes are.
        location: BlobLocation,
    },
    /// Bytes that are no record.
    Damaged {
        /// First of them.
        from: u64,
        /// First byte behind them.
        to: u64,
    },
}

/// See the module.
pub struct SegmentWalk {
    file: File,
    path: PathBuf,
    id: i64,
    at: u64,
    end: u64,
}

impl SegmentWalk {
    /// Starts at the first record; goes to `end` or the end of the file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, id: i64, end: u64) -> Result<Self, BlobError> {
        let open = || -> io::Result<(File, u64)> {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (file, length) = open().map_err(|e| failed("open segment", path, &e))?;
        Ok(Self { file, path: path.to_path_buf(), id, at: 0, end: end.min(length) })
    }

    /// Where the last good record ends; 0 if the file is not a segment.
    pub(crate) fn last_good_end(mut self) -> Result<u64, BlobError> {
        let mut end = 0;
        while let Some(found) = self.next_blocking()? {
            if let Found::Record { location, .. } = found {
                end = u64::try_from(location.end()).unwrap_or(end);
            }
        }
        Ok(end)
    }

    /// The next record or damaged stretch; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_blocking(&mut self) -> Result<Option<Found>, BlobError> {
        if self.at == 0 {
            self.at = FILE_HEADER_BYTES.min(self.end);
            let mut magic = FILE_MAGIC;
            let whole = self.fill(&mut magic, 0)? == FILE_MAGIC.len();
            if !whole || magic != FILE_MAGIC {
                return Ok((self.end > 0).then_some(Found::Damaged { from: 0, to: self.at }));
            }
        }
        if self.at >= self.end {
            return Ok(None);
        }
        if let Some(found) = self.record_at(self.at)? {
            return Ok(Some(found));
        }
        let from = self.at;
        self.at = self.find_record(from + 1)?;
        Ok(Some(Found::Damaged { from, to: self.at }))
    }

    /// The bytes of a record this walk found.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_blocking(&self, location: BlobLocation) -> Result<Vec<u8>, BlobError> {
        let length = usize::try_from(location.length).unwrap_or(0);
        let mut bytes = vec![0; length];
        let at = u64::try_from(location.offset).unwrap_or(u64::MAX);
        let read = self.fill(&mut bytes, at)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn record_at(&mut self, at: u64) -> Result<Option<Found>, BlobError> {
        let mut head = [0; HEADER_BYTES];
        if self.fill(&mut head, at)? < HEADER_BYTES {
            return Ok(None);
        }
        let Some(header) = RecordHeader::decode(&head, self.id, at) else { return Ok(None) };
        let start = at + HEADER_LENGTH;
        let end = start + u64::from(header.length);
        let (true, Ok(offset)) = (end <= self.end, i64::try_from(start)) else { return Ok(None) };
        self.at = end;
        let location = BlobLocation { segment: self.id, offset, length: header.length.into() };
        Ok(Some(Found::Record { digest: header.digest, location }))
    }

    /// Start of the next good record from `at`, or the end.
    fn find_record(&mut self, mut at: u64) -> Result<u64, BlobError> {
        let mut window = vec![0; SEARCH_BYTES];
        while at < self.end {
            let read = self.fill(&mut window, at)?;
            let seen = window.get(..read).unwrap_or_default();
            for (index, candidate) in seen.windows(RECORD_MAGIC.len()).enumerate() {
                let place = at + index as u64;
                if candidate == RECORD_MAGIC && self.record_at(place)?.is_some() {
                    return Ok(place);
                }
            }
            if read < SEARCH_BYTES {
                break;
            }
            // Overlap, so that a magic across two windows is seen.
            at += (SEARCH_BYTES - RECORD_MAGIC.len() + 1) as u64;
        }
        Ok(self.end)
    }

    /// Reads as much as there is before the end.
    fn fill(&self, bytes: &mut [u8], at: u64) -> Result<usize, BlobError> {
        let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
        let wanted = bytes.len().min(left);
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..wanted).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read segment", &self.path, &error)),
            }
        }
        Ok(done)
    }
}

/// What a scrub of the segment files found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Records whose bytes have the digest of their header.
    pub good: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Records whose bytes differ from their digest.
    pub wrong: Vec<(Sha512Digest, BlobLocation)>,
    /// Stretches that are no record: segment, first byte, first byte behind.
    pub damaged: Vec<(i64, u64, u64)>,
}

/// Re-hashes every record of every segment up to its durable end. Needs no database.
///
/// # Errors
/// When a file cannot be read.
pub fn scrub_blocking(segments: &Segments) -> Result<ScrubReport, BlobError> {
    let mut report = ScrubReport::default();
    for state in segments.states() {
        let end = u64::try_from(state.durable_bytes).unwrap_or(0);
        let mut walk = SegmentWalk::open(&segments.segment_path(state.id), state.id, end)?;
        while let Some(found) = walk.next_blocking()? {
            match found {
                Found::Damaged { from, to } => report.damaged.push((state.id, from, to)),
                Found::Record { digest, location } => {
                    let bytes = walk.read_blocking(location)?;
                    if Sha512Digest::of(&bytes) == digest {
                        report.good += 1;
                        report.bytes += bytes.len() as u64;
                    } else {
                        report.wrong.push((digest, location));
                    }
                }
            }
        }
    }
    Ok(report)
}
