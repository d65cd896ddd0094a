//! The `versions` table: one row for each version ever seen, also those gone upstream.

use std::collections::HashMap;

use diesel::prelude::*;
use npm::{ManifestDigest, PackageName, Sha512Digest, SignatureVerdict};

use crate::blob_rows::{self, LOCATION, RawLocation};
use crate::blobs::BlobLocation;
use crate::schema::{blobs, packages, versions};
use crate::states::{Keeping, VersionState};
use crate::{AnyConnection, StoreError};

/// Packages asked for in one statement.
const AT_ONCE: usize = 500;

/// A version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionRow {
    /// The version's key in the document.
    pub version: String,
    /// Fingerprint of its manifest, for the next comparison.
    pub manifest: ManifestDigest,
    /// Where upstream keeps the tarball.
    pub tarball_url: Option<String>,
    /// Upstream's file name.
    pub tarball_file: String,
    /// What the bytes must hash to (`ExpectedDigest::text`), written once.
    pub expected: Option<String>,
    /// Where the tarball is.
    pub state: VersionState,
    /// Its blob when held.
    pub blob: Option<Sha512Digest>,
    /// Its size.
    pub size_bytes: Option<i64>,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
    /// When upstream dropped it; such a version is no known one for a comparison.
    pub removed_at_ms: Option<i64>,
    /// What its registry signatures are worth; `None` when they were never judged.
    pub signature: Option<SignatureVerdict>,
    /// When it was published; `None` for rows from before that was kept.
    pub published_at_ms: Option<i64>,
}

/// A version with what serving its tarball needs.
#[derive(Clone, Debug)]
pub struct TarballRow {
    /// Row id of the package.
    pub package_id: i64,
    /// The package's revision.
    pub revision: i64,
    /// How much of the package is kept.
    pub keep: Keeping,
    /// Name of the registry that owns the package.
    pub registry: String,
    /// The version.
    pub row: VersionRow,
    /// Where the tarball's blob is; `None` when it is not here.
    pub location: Option<BlobLocation>,
}

#[derive(Queryable)]
struct RawVersion {
    version: String,
    manifest: Vec<u8>,
    tarball_url: Option<String>,
    tarball_file: String,
    expected: Option<String>,
    state: String,
    blob: Option<Vec<u8>>,
    size_bytes: Option<i64>,
    reason: Option<String>,
    removed_at_ms: Option<i64>,
    signature: Option<String>,
    published_at_ms: Option<i64>,
}

type Columns = (
    versions::version,
    versions::manifest,
    versions::tarball_url,
    versions::tarball_file,
    versions::expected,
    versions::state,
    versions::blob,
    versions::size_bytes,
    versions::reason,
    versions::removed_at_ms,
    versions::signature,
    versions::published_at_ms,
);

/// In the order of [`RawVersion`].
const COLUMNS: Columns = (
    versions::version,
    versions::manifest,
    versions::tarball_url,
    versions::tarball_file,
    versions::expected,
    versions::state,
    versions::blob,
    versions::size_bytes,
    versions::reason,
    versions::removed_at_ms,
    versions::signature,
    versions::published_at_ms,
);

type RawTarball = (i64, i64, String, String, RawVersion, Option<RawLocation>);

/// A version beside its package and the place of its blob.
macro_rules! tarballs {
    ($name:expr) => {
        versions::table
            .inner_join(packages::table.on(packages::id.eq(versions::package_id)))
            .left_join(blobs::table.on(versions::blob.eq(blobs::digest.nullable())))
            .filter(packages::name.eq($name.as_str()))
            .select((
                packages::id,
                packages::revision,
                packages::keep,
                packages::registry,
                COLUMNS,
                LOCATION.nullable(),
            ))
    };
}

fn row(raw: RawVersion) -> Result<VersionRow, StoreError> {
    let manifest = raw.manifest.as_slice().try_into().map_err(|_| {
        StoreError::damaged(format!(
            "the manifest digest of version {} has {} bytes instead of 16",
            raw.version,
            raw.manifest.len()
        ))
    })?;
    Ok(VersionRow {
        version: raw.version,
        manifest: ManifestDigest(manifest),
        tarball_url: raw.tarball_url,
        tarball_file: raw.tarball_file,
        expected: raw.expected,
        state: VersionState::from_text(&raw.state)?,
        blob: raw.blob.as_deref().map(blob_rows::digest).transpose()?,
        size_bytes: raw.size_bytes,
        reason: raw.reason,
        removed_at_ms: raw.removed_at_ms,
        signature: raw.signature.as_deref().map(signature).transpose()?,
        published_at_ms: raw.published_at_ms,
    })
}

fn signature(text: &str) -> Result<SignatureVerdict, StoreError> {
    SignatureVerdict::from_text(text)
        .ok_or_else(|| StoreError::damaged(format!("{text:?} is no verdict on a signature")))
}

fn tarball(
    (package_id, revision, keep, registry, raw, place): RawTarball,
) -> Result<TarballRow, StoreError> {
    Ok(TarballRow {
        package_id,
        revision,
        keep: Keeping::from_text(&keep)?,
        registry,
        row: row(raw)?,
        location: place.map(blob_rows::location),
    })
}

/// All versions of a package in byte order, removed ones included.
///
/// # Errors
/// Those of the database.
pub fn of_package(
    connection: &mut AnyConnection,
    package_id: i64,
) -> Result<Vec<VersionRow>, StoreError> {
    let rows = versions::table
        .filter(versions::package_id.eq(package_id))
        .order(versions::version)
        .select(COLUMNS)
        .load::<RawVersion>(connection)?;
    rows.into_iter().map(row).collect()
}

/// Versions of a package, in byte order, whose signature is not known to be valid.
///
/// # Errors
/// Those of the database.
pub fn not_valid(
    connection: &mut AnyConnection,
    package_id: i64,
) -> Result<Vec<String>, StoreError> {
    let valid = SignatureVerdict::Valid.as_str();
    let others = versions::signature.is_null().or(versions::signature.ne(valid));
    let found = versions::table
        .filter(versions::package_id.eq(package_id))
        .filter(others)
        .order(versions::version)
        .select(versions::version);
    Ok(found.load(connection)?)
}

/// Versions of a package that were published after a moment, and when.
///
/// # Errors
/// Those of the database.
pub fn published_after(
    connection: &mut AnyConnection,
    package_id: i64,
    at_ms: i64,
) -> Result<Vec<(String, i64)>, StoreError> {
    let found = versions::table
        .filter(versions::package_id.eq(package_id))
        .filter(versions::published_at_ms.gt(at_ms))
        .select((versions::version, versions::published_at_ms.assume_not_null()));
    Ok(found.load(connection)?)
}

/// As [`published_after`], without versions that are gone upstream and in byte order.
///
/// # Errors
/// Those of the database.
pub fn listed_published_after(
    connection: &mut AnyConnection,
    package_id: i64,
    at_ms: i64,
) -> Result<Vec<(String, i64)>, StoreError> {
    let found = versions::table
        .filter(versions::package_id.eq(package_id))
        .filter(versions::published_at_ms.gt(at_ms).and(versions::removed_at_ms.is_null()))
        .order(versions::version)
        .select((versions::version, versions::published_at_ms.assume_not_null()));
    Ok(found.load(connection)?)
}

/// As [`of_package`] for several packages; those without versions are left out.
///
/// # Errors
/// Those of the database.
pub fn of_packages(
    connection: &mut AnyConnection,
    package_ids: &[i64],
) -> Result<HashMap<i64, Vec<VersionRow>>, StoreError> {
    let mut found: HashMap<i64, Vec<VersionRow>> = HashMap::with_capacity(package_ids.len());
    for ids in package_ids.chunks(AT_ONCE) {
        let rows = versions::table
            .filter(versions::package_id.eq_any(ids))
            .order((versions::package_id, versions::version))
            .select((versions::package_id, COLUMNS))
            .load::<(i64, RawVersion)>(connection)?;
        for (package_id, raw) in rows {
            found.entry(package_id).or_default().push(row(raw)?);
        }
    }
    Ok(found)
}

/// One version of a package.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
) -> Result<Option<TarballRow>, StoreError> {
    let found = tarballs!(name)
        .filter(versions::version.eq(version))
        .get_result::<RawTarball>(connection)
        .optional()?;
    found.map(tarball).transpose()
}

/// The version that a tarball file name stands for: upstream's file names first, then the canonical
/// name that our documents carry.
///
/// Nearly always both are the same, and then this is one lookup by key.
///
/// # Errors
/// Those of the database.
pub fn find_by_file(
    connection: &mut AnyConnection,
    name: &PackageName,
    file: &str,
) -> Result<Option<TarballRow>, StoreError> {
    let canonical = match npm::version_of_tarball_file(name, file) {
        Some(version) => find(connection, name, version)?,
        None => None,
    };
    if canonical.as_ref().is_some_and(|found| found.row.tarball_file == file) {
        return Ok(canonical);
    }
    let upstream = tarballs!(name)
        .filter(versions::tarball_file.eq(file))
        .order(versions::version)
        .first::<RawTarball>(connection)
        .optional()?;
    Ok(upstream.map(tarball).transpose()?.or(canonical))
}
