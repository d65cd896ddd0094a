//! Names and folders of the local home.
//!
//! ```text
//! segments/0000000001.segment   small blobs, one after the other
//! large/ab/cd/<hex>             a big blob each
//! tmp/<random>                  uploads under way, removed at start
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use npm::Sha512Digest;
use uuid::Uuid;

use super::BlobError;

const SEGMENT_SUFFIX: &str = ".segment";

/// The folders of one local home.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folders where missing, durably, and removes what uploads left behind.
    pub(crate) fn open(root: &Path) -> Result<Self, BlobError> {
        let folder = Self { root: root.to_path_buf() };
        fs::create_dir_all(root).map_err(|e| failed("create folder", root, &e))?;
        for path in [folder.segments(), folder.large(), folder.tmp()] {
            create_dir_durably(&path)?;
        }
        for entry in read_dir(&folder.tmp())? {
            let path = entry.map_err(|e| failed("list folder", &folder.tmp(), &e))?.path();
            fs::remove_file(&path).map_err(|e| failed("remove unfinished upload", &path, &e))?;
        }
        Ok(folder)
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn large(&self) -> PathBuf {
        self.root.join("large")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn segment(&self, id: i64) -> PathBuf {
        self.segments().join(segment_file_name(id))
    }

    /// The file of a large blob, sharded so that no folder gets too long.
    pub(crate) fn own_file(&self, digest: &Sha512Digest) -> PathBuf {
        self.large().join(sharded(digest))
    }

    /// A name no other upload has.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.tmp().join(Uuid::now_v7().simple().to_string())
    }

    /// Numbers of all segment files, ascending.
    pub(crate) fn segment_ids(&self) -> Result<Vec<i64>, BlobError> {
        let folder = self.segments();
        let mut ids = Vec::new();
        for entry in read_dir(&folder)? {
            let name = entry.map_err(|e| failed("list folder", &folder, &e))?.file_name();
            ids.extend(name.to_str().and_then(segment_id));
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

/// `ab/cd/<hex>`: where a blob with a file of its own stands under its home.
pub(crate) fn sharded(digest: &Sha512Digest) -> String {
    let hex = digest.to_hex();
    let (first, rest) = hex.split_at(2);
    let (second, _) = rest.split_at(2);
    format!("{first}/{second}/{hex}")
}

/// `0000000001.segment`
pub(crate) fn segment_file_name(id: i64) -> String {
    format!("{id:010}{SEGMENT_SUFFIX}")
}

fn segment_id(name: &str) -> Option<i64> {
    name.strip_suffix(SEGMENT_SUFFIX)?.parse().ok().filter(|id| *id > 0)
}

/// Creates a folder if missing; the entry in its parent is on the disk on return.
pub(crate) fn create_dir_durably(path: &Path) -> Result<(), BlobError> {
    match fs::create_dir(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("create folder", path, &error)),
    }
}

/// Makes names created, renamed or removed in this folder durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), BlobError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| failed("flush folder", path, &e))
}

pub(crate) fn read_dir(path: &Path) -> Result<fs::ReadDir, BlobError> {
    fs::read_dir(path).map_err(|e| failed("list folder", path, &e))
}

/// An error with the path it is about.
pub(crate) fn failed(doing: &str, path: &Path, error: &io::Error) -> BlobError {
    BlobError::from_io(&format!("{doing} {}", path.display()), error)
}
