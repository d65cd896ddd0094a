//! Which home blobs have, and opening it.

use std::path::PathBuf;
use std::sync::Arc;

use super::{BlobError, BlobStore, Objects, SegmentState, Segments};

/// Where the bytes are.
#[derive(Clone, Debug)]
pub enum BlobSettings {
    /// Segment files and large files in a folder of this machine.
    Local {
        /// The folder; made when missing.
        folder: PathBuf,
        /// Size at which a segment file is sealed.
        segment_bytes: u64,
    },
    /// In memory, lost at the end: for tests.
    Memory,
    /// S3 or what speaks like it.
    S3(S3Settings),
}

/// A bucket and how to reach it. What is `None` comes from the usual environment variables.
#[derive(Clone, Default)]
pub struct S3Settings {
    /// Name of the bucket.
    pub bucket: String,
    /// Put before every key, without slash at the ends; empty for none.
    pub prefix: String,
    /// Address of the service when it is not Amazon's.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// Id of the access key.
    pub access_key_id: Option<String>,
    /// Secret of the access key.
    pub secret_access_key: Option<String>,
}

impl std::fmt::Debug for S3Settings {
    /// Without the secret: settings end up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Opens the home and continues from the segment states of the database.
///
/// # Errors
/// When folders cannot be made or read, or the settings are incomplete.
pub fn open_blocking(
    settings: &BlobSettings,
    known: &[SegmentState],
) -> Result<Arc<dyn BlobStore>, BlobError> {
    let store: Arc<dyn BlobStore> = match settings {
        BlobSettings::Local { folder, segment_bytes } => {
            Arc::new(Segments::open_blocking(folder, *segment_bytes)?)
        }
        BlobSettings::Memory => Arc::new(Objects::memory()),
        BlobSettings::S3(settings) => Arc::new(Objects::s3(settings)?),
    };
    store.resume_blocking(known)?;
    Ok(store)
}
