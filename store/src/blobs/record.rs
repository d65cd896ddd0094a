//! One record of a segment file: an 88-byte header, then the bytes.
//!
//! The header makes a segment readable without the database. Its own check covers segment
//! and offset as well, so bytes left over from another place never pass for a record. The
//! payload check is a CRC, fast enough to be compared on every whole read (a sha512 is not).

use npm::Sha512Digest;

/// First bytes of every segment file.
pub(crate) const FILE_MAGIC: [u8; 16] = *b"espejo segment 1";
/// Offset of the first record.
pub(crate) const FILE_HEADER_BYTES: u64 = FILE_MAGIC.len() as u64;
/// First bytes of every record; not text, so that tarballs and documents rarely hold it.
pub(crate) const RECORD_MAGIC: [u8; 4] = [0xE5, 0xBE, 0x10, 0x01];
/// Length of a record header.
pub(crate) const HEADER_BYTES: usize = 88;
/// [`HEADER_BYTES`] for arithmetic with offsets.
pub(crate) const HEADER_LENGTH: u64 = HEADER_BYTES as u64;

const LENGTH_AT: usize = 4;
const DIGEST_AT: usize = 8;
const PAYLOAD_CHECK_AT: usize = 72;
const HEADER_CHECK_AT: usize = 80;

/// What a record header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHeader {
    pub digest: Sha512Digest,
    pub length: u32,
    pub payload_check: u64,
}

impl RecordHeader {
    /// The header for these bytes.
    pub(crate) fn new(digest: Sha512Digest, length: u32, bytes: &[u8]) -> Self {
        Self { digest, length, payload_check: payload_check(bytes) }
    }

    /// The header as it stands at `offset` of `segment`.
    pub(crate) fn encode(&self, segment: i64, offset: u64) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let (body, check) = out.split_at_mut(HEADER_CHECK_AT);
        let parts: [&[u8]; 4] = [
            &RECORD_MAGIC,
            &self.length.to_le_bytes(),
            self.digest.as_bytes(),
            &self.payload_check.to_le_bytes(),
        ];
        let mut rest = &mut *body;
        for part in parts {
            let (here, after) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
        }
        check.copy_from_slice(&header_check(body, segment, offset).to_le_bytes());
        out
    }

    /// Reads a header found at `offset` of `segment`; `None` if it is not a whole good one.
    pub(crate) fn decode(bytes: &[u8], segment: i64, offset: u64) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let (body, check) = bytes.split_at(HEADER_CHECK_AT);
        if !body.starts_with(&RECORD_MAGIC)
            || check != header_check(body, segment, offset).to_le_bytes()
        {
            return None;
        }
        let length = u32::from_le_bytes(body.get(LENGTH_AT..DIGEST_AT)?.try_into().ok()?);
        let digest = Sha512Digest(body.get(DIGEST_AT..PAYLOAD_CHECK_AT)?.try_into().ok()?);
        let check = u64::from_le_bytes(body.get(PAYLOAD_CHECK_AT..)?.try_into().ok()?);
        Some(Self { digest, length, payload_check: check })
    }

    /// Whether the bytes are those the header was written for.
    pub(crate) fn matches(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == u64::from(self.length) && payload_check(bytes) == self.payload_check
    }
}

fn payload_check(bytes: &[u8]) -> u64 {
    crc_fast::crc64_nvme(bytes)
}

fn header_check(body: &[u8], segment: i64, offset: u64) -> u64 {
    let mut placed = [0; HEADER_CHECK_AT + 16];
    let (head, place) = placed.split_at_mut(HEADER_CHECK_AT);
    head.copy_from_slice(body);
    let (id, at) = place.split_at_mut(8);
    id.copy_from_slice(&segment.to_le_bytes());
    at.copy_from_slice(&offset.to_le_bytes());
    crc_fast::crc64_nvme(&placed)
}
