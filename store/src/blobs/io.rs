//! The two disk calls whose failure decides what is durable, behind a trait so that tests
//! can make them fail.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice};

/// Most parts Linux takes in one vectored write.
const MAX_PARTS: usize = 1024;

/// Writes and flushes of segment files.
pub trait DiskIo: Send + Sync + Debug + 'static {
    /// Writes the parts one after the other at `offset`; may write less than all.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Returns when the bytes and the size of the file are on the disk.
    ///
    /// # Errors
    /// What the operating system says; nothing written since the last success may be trusted.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The real disk.
#[derive(Debug, Clone, Copy)]
pub struct RealDisk;

impl DiskIo for RealDisk {
    fn write_at(&self, file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(file, parts, offset)?)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(file)?)
    }
}

/// Writes all parts at `offset`; normally one call.
pub(crate) fn write_all_at(
    disk: &dyn DiskIo,
    file: &File,
    mut parts: &mut [IoSlice<'_>],
    mut offset: u64,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let now = parts.get(..MAX_PARTS).unwrap_or(parts);
        let written = match disk.write_at(file, now, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        offset += written as u64;
        IoSlice::advance_slices(&mut parts, written);
    }
    Ok(())
}
