//! What a backup folder holds, and copying into and out of it with every byte compared.
//!
//! ```text
//! database.sqlite               a snapshot
//! segments/ large/              as in the store
//! manifest.json                 written last; second line: blake3 of the first
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use npm::Sha512Digest;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::blobs::{segment_file_name, sharded};

/// Raised when an older release could misread a folder.
const FORMAT: u32 = 1;
const COPY_BYTES: usize = 1 << 20;
const MANIFEST: &str = "manifest.json";

/// The list of a backup's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub format: u32,
    pub database: Piece,
    pub segments: Vec<SegmentPiece>,
    pub large: Vec<LargePiece>,
}

/// Length and blake3 of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Piece {
    pub bytes: u64,
    pub blake3: String,
}

/// A segment up to its durable end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentPiece {
    pub id: i64,
    pub file: Piece,
}

/// A large blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LargePiece {
    pub digest: String,
    pub file: Piece,
}

impl Manifest {
    pub(super) fn new(database: Piece) -> Self {
        Self { format: FORMAT, database, segments: Vec::new(), large: Vec::new() }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let segments = self.segments.iter().map(|segment| segment.file.bytes);
        let large = self.large.iter().map(|blob| blob.file.bytes);
        self.database.bytes + segments.chain(large).sum::<u64>()
    }

    /// Writes the manifest; with it the backup is complete.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let json = serde_json::to_string(self)
            .map_err(|error| StoreError::Other(format!("cannot write a manifest: {error}")))?;
        let text = format!("{json}\n{}\n", blake3::hash(json.as_bytes()).to_hex());
        let path = folder.join(MANIFEST);
        let unfinished = folder.join("manifest.json.unfinished");
        let write = || -> io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|e| failed("write", &path, &e))
    }

    /// Reads and checks the manifest of a backup.
    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|e| failed("read", &path, &e))?;
        let damaged = || StoreError::damaged(format!("{} is not a whole manifest", path.display()));
        let (json, check) = text.split_once('\n').ok_or_else(damaged)?;
        if check.strip_suffix('\n') != Some(blake3::hash(json.as_bytes()).to_hex().as_str()) {
            return Err(damaged());
        }
        let manifest: Self = serde_json::from_str(json).map_err(|_| damaged())?;
        if manifest.format != FORMAT {
            return Err(StoreError::Invalid(format!(
                "{} has format {}, this release reads format {FORMAT}",
                path.display(),
                manifest.format
            )));
        }
        Ok(manifest)
    }
}

pub(super) fn database_path(folder: &Path) -> PathBuf {
    folder.join("database.sqlite")
}

/// Where a segment stands under a store's or a backup's folder.
pub(super) fn segment_path(folder: &Path, id: i64) -> PathBuf {
    folder.join("segments").join(segment_file_name(id))
}

/// Where a large blob stands under a store's or a backup's folder.
pub(super) fn large_path(folder: &Path, digest: &Sha512Digest) -> PathBuf {
    folder.join("large").join(sharded(digest))
}

/// Makes `to` the first `bytes` of `from`, flushed. A file that never changes again may be
/// linked instead, if both are on one file system.
pub(super) fn take(
    from: &Path,
    to: &Path,
    bytes: Option<u64>,
    link: bool,
) -> Result<Piece, StoreError> {
    make_parent(to)?;
    if link && fs::hard_link(from, to).is_ok() {
        return hash(to);
    }
    copy(from, to, bytes.unwrap_or(u64::MAX)).map_err(|e| failed("copy", from, &e))
}

/// Copies one file out of a backup; its bytes must be those of the manifest.
pub(super) fn give_back(from: &Path, to: &Path, piece: &Piece) -> Result<(), StoreError> {
    make_parent(to)?;
    let copied = copy(from, to, u64::MAX).map_err(|e| failed("copy", from, &e))?;
    if copied == *piece {
        return Ok(());
    }
    Err(StoreError::damaged(format!(
        "{} has {} bytes with blake3 {}, its manifest says {} bytes with {}",
        from.display(),
        copied.bytes,
        copied.blake3,
        piece.bytes,
        piece.blake3
    )))
}

/// Length and hash of a file.
pub(super) fn hash(path: &Path) -> Result<Piece, StoreError> {
    let read = || pump(File::open(path)?, io::sink(), u64::MAX);
    read().map_err(|e| failed("read", path, &e))
}

fn copy(from: &Path, to: &Path, bytes: u64) -> io::Result<Piece> {
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    let piece = pump(File::open(from)?, &mut target, bytes)?;
    target.sync_all()?;
    Ok(piece)
}

fn pump(from: impl Read, mut to: impl Write, bytes: u64) -> io::Result<Piece> {
    let mut from = from.take(bytes);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; COPY_BYTES];
    let mut length = 0;
    loop {
        let read = from.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        to.write_all(part)?;
        length += read as u64;
    }
    Ok(Piece { bytes: length, blake3: hasher.finalize().to_hex().to_string() })
}

fn make_parent(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(|e| failed("make", parent, &e)),
        None => Ok(()),
    }
}

/// Makes the names in a folder and in all folders under it durable.
pub(super) fn sync_folders(folder: &Path) -> Result<(), StoreError> {
    let sync = || -> io::Result<Vec<PathBuf>> {
        let mut under = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                under.push(entry.path());
            }
        }
        File::open(folder)?.sync_all()?;
        Ok(under)
    };
    let under = sync().map_err(|e| failed("flush", folder, &e))?;
    under.iter().try_for_each(|folder| sync_folders(folder))
}

/// An error with the path it is about.
pub(super) fn failed(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    let text = format!("cannot {doing} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull(text),
        _ => StoreError::Other(text),
    }
}
