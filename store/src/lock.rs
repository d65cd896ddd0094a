//! [`FolderLock`]: one process at a time works in a data folder.
//!
//! The operating system holds the lock for as long as the file is open, so `kill -9` releases it.
//! The process id inside is only for the message to whoever comes second.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::StoreError;

/// Name of the file in the data folder.
const FILE: &str = "espejo.lock";

/// The right to work in a data folder; released when dropped or when the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock of a folder, which is made when missing.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it.
    pub fn acquire(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| failed("create", folder, &error))?;
        let path = folder.join(FILE);
        // Never truncated on opening: until the lock is ours the process id belongs to its holder.
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let mut file = opened.map_err(|error| failed("open", &path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StoreError::InUse { pid: holder(&mut file) });
            }
            Err(error) => return Err(failed("lock", &path, &error.into())),
        }
        note_process_id(&mut file).map_err(|error| failed("write", &path, &error))?;
        Ok(Self { _file: file })
    }
}

fn note_process_id(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> u32 {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) => text.trim().parse().unwrap_or(0),
        Err(_) => 0,
    }
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Other(format!("cannot {verb} {}: {error}", path.display()))
}
