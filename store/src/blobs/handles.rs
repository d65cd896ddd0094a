//! Open file handles of segments and large blobs, bounded.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use npm::Sha512Digest;
use parking_lot::RwLock;

/// Handles kept. Far below the usual limit of 1,024 open files a process, of which sockets
/// need most; 256 segments are 64 GiB of small blobs.
const MAX_OPEN_FILES: usize = 256;

/// Which file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum FileKey {
    Segment(i64),
    Own(Sha512Digest),
}

#[derive(Debug)]
struct Handle {
    file: Arc<File>,
    used: AtomicU64,
}

/// The cache. Readers keep their handle when it leaves: a removed file stays readable.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    files: RwLock<HashMap<FileKey, Handle>>,
    clock: AtomicU64,
}

impl Handles {
    pub(crate) fn get(&self, key: &FileKey) -> Option<Arc<File>> {
        let files = self.files.read();
        let handle = files.get(key)?;
        handle.used.store(self.tick(), Ordering::Relaxed);
        Some(Arc::clone(&handle.file))
    }

    /// Opens the file for reading unless it is open already.
    pub(crate) fn open_blocking(&self, key: FileKey, path: &Path) -> io::Result<Arc<File>> {
        if let Some(file) = self.get(&key) {
            return Ok(file);
        }
        let file = Arc::new(File::open(path)?);
        self.insert(key, Arc::clone(&file));
        Ok(file)
    }

    pub(crate) fn insert(&self, key: FileKey, file: Arc<File>) {
        let used = AtomicU64::new(self.tick());
        let mut files = self.files.write();
        if files.len() >= MAX_OPEN_FILES
            && let Some(oldest) = files
                .iter()
                .min_by_key(|(_, handle)| handle.used.load(Ordering::Relaxed))
                .map(|(key, _)| *key)
        {
            files.remove(&oldest);
        }
        files.insert(key, Handle { file, used });
    }

    pub(crate) fn remove(&self, key: &FileKey) {
        self.files.write().remove(key);
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}
