//! Where tarballs are: one look at the tables per file, then from memory.
//!
//! A row says by which version and digest a file name is known; the bytes stay where they
//! are. Losable, and read again after any commit about the package.

use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use actors::EngineHandle;
use moka::future::Cache;
use npm::{ExpectedDigest, PackageName, Sha512Digest};
use store::VersionState;
use store::blobs::BlobLocation;
use store::blocks::WHOLE_PACKAGE;
use store::versions::{self, TarballRow};

use super::generations::{Generations, Seen};
use super::withheld::{Ruling, learn, ruling};
use crate::access::rights::is_ours;
use crate::downloads::Unwritten;
use crate::error::ApiError;

/// Places kept; about 400 bytes each.
const KEPT: u64 = 20_000;

/// Hex digits of a digest in an ETag: 160 bits are plenty to tell tarballs apart.
const ETAG_DIGITS: usize = 40;

/// A tarball whose bytes are here.
#[derive(Debug)]
pub struct Held {
    /// The version it belongs to.
    pub version: String,
    /// Key of the blob.
    pub digest: Sha512Digest,
    /// Where it is.
    pub location: BlobLocation,
    /// Bytes.
    pub length: u64,
    /// Strong entity tag: the content's own hash.
    pub etag: HeaderValue,
    /// Downloads that were not written down yet.
    pub downloads: Unwritten,
    /// The package is ours, and may have readers of its own.
    pub is_ours: bool,
    seen: Seen,
}

/// What is known of a file name.
#[derive(Debug, Clone)]
pub enum Place {
    /// The bytes are here.
    Held(Arc<Held>),
    /// The version is known, its bytes are upstream.
    Remote {
        /// The version.
        version: String,
        /// Its entity tag, when the digest is known before the bytes.
        etag: Option<HeaderValue>,
    },
    /// No version of the package has such a file.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FileKey {
    name: PackageName,
    file: String,
}

/// The places.
#[derive(Clone)]
pub struct Tarballs {
    cache: Cache<FileKey, Arc<Held>>,
    generations: Arc<Generations>,
    engine: EngineHandle,
}

impl Tarballs {
    /// Empty.
    #[must_use]
    pub fn new(engine: EngineHandle, generations: Arc<Generations>) -> Self {
        Self { cache: Cache::new(KEPT), generations, engine }
    }

    /// Where the tarball of this name is.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn find(&self, name: &PackageName, file: &str) -> Result<Place, ApiError> {
        let key = FileKey { name: name.clone(), file: file.to_owned() };
        if let Some(held) = self.cache.get(&key).await
            && self.generations.is_current(held.seen)
        {
            return Ok(Place::Held(held));
        }
        let seen = self.generations.look(name);
        let is_private = self.engine.registries().ownership().is_private(name);
        let (mut row, mut ruled) = self.look(&key).await?;
        if matches!(ruled, Ruling::Unread) {
            learn(&self.engine, name).await;
            (row, ruled) = self.look(&key).await?;
        }
        if let Some(refused) = ruled.refusal(format_args!("{name}: {file}")) {
            return Err(refused);
        }
        let Some(row) = row else { return Ok(Place::Unknown) };
        let place = place(row, is_private, seen);
        if let Place::Held(held) = &place {
            self.cache.insert(key, Arc::clone(held)).await;
        }
        Ok(place)
    }

    async fn look(&self, key: &FileKey) -> Result<(Option<TarballRow>, Ruling), ApiError> {
        let (wanted, policy) = (key.clone(), self.engine.policy());
        let read = self.engine.store().read(move |rows| {
            let found = versions::find_by_file(rows, &wanted.name, &wanted.file)?;
            let version = found.as_ref().map_or(WHOLE_PACKAGE, |found| &found.row.version);
            let ruled = ruling(rows, &policy, &wanted.name, version, found.as_ref())?;
            Ok((found, ruled))
        });
        Ok(read.await?)
    }

    /// A tarball that has just been stored.
    #[must_use]
    pub fn stored(
        &self,
        name: &PackageName,
        version: &str,
        digest: Sha512Digest,
        location: BlobLocation,
    ) -> Arc<Held> {
        let seen = self.generations.look(name);
        // who fetched it was let in before, and the next reader reads the row
        Arc::new(held(version.to_owned(), digest, location, false, seen))
    }
}

fn place(row: TarballRow, is_private: bool, seen: Seen) -> Place {
    let is_ours = is_ours(&row.registry, is_private);
    match (row.row.blob, row.location) {
        (Some(digest), Some(location)) => {
            Place::Held(Arc::new(held(row.row.version, digest, location, is_ours, seen)))
        }
        _ if row.row.removed_at_ms.is_some() && row.row.state == VersionState::Skipped => {
            Place::Unknown // deleted after upstream took it away
        }
        _ => {
            let expected = row.row.expected.as_deref().map(ExpectedDigest::from_text);
            let digest = expected.and_then(|expected| expected.ok()?.sha512());
            Place::Remote { version: row.row.version, etag: digest.map(|digest| etag(&digest)) }
        }
    }
}

fn held(
    version: String,
    digest: Sha512Digest,
    location: BlobLocation,
    is_ours: bool,
    seen: Seen,
) -> Held {
    let length = u64::try_from(location.length).unwrap_or(0);
    let downloads = Unwritten::default();
    Held { version, digest, location, length, etag: etag(&digest), downloads, is_ours, seen }
}

fn etag(digest: &Sha512Digest) -> HeaderValue {
    let hex = digest.to_hex();
    let short = hex.get(..ETAG_DIGITS).unwrap_or(&hex);
    HeaderValue::from_str(&format!("\"{short}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("W/\"unknown\""))
}
