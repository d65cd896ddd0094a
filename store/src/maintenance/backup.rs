//! A copy of the whole store that is consistent although the store keeps working.
//!
//! First a snapshot of the database, then the segments up to the durable ends the snapshot
//! knows and the large blobs it names: bytes are durable before their rows, so all of it is
//! there, and the maintenance lock keeps it there. What is never changed again is linked
//! instead of copied where the file system allows. The manifest comes last.

use std::fs;
use std::path::Path;

use diesel::connection::SimpleConnection;
use npm::Sha512Digest;

use super::bundle::{self, LargePiece, Manifest, SegmentPiece, failed};
use super::rows;
use crate::blobs::{BlobSettings, Segments};
use crate::connection::{Opener, open_sqlite};
use crate::{AnyConnection, DatabaseSettings, Store, StoreError, StoreSettings, segments};

/// Rows read in one page.
const PAGE: i64 = 5_000;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupReport {
    /// Segment files.
    pub segments: u64,
    /// Large blobs.
    pub large: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

impl BackupReport {
    fn of(manifest: &Manifest) -> Self {
        Self {
            segments: manifest.segments.len() as u64,
            large: manifest.large.len() as u64,
            bytes: manifest.bytes(),
        }
    }
}

/// Copies the store into a folder that is empty or not there yet. Safe while it works.
///
/// # Errors
/// [`StoreError::Invalid`] for a folder with something in it, and for stores whose database
/// or blobs are not files of this machine: those are backed up with their own tools.
pub fn backup_blocking(store: &Store, folder: &Path) -> Result<BackupReport, StoreError> {
    let (Opener::Sqlite { path }, Some(local)) = (&store.0.opener, store.blobs().local()) else {
        return Err(StoreError::Invalid(
            "only a store with a SQLite file and local blobs can be copied into a folder; back \
             up PostgreSQL with pg_dump first and then the bucket with its own tools"
                .into(),
        ));
    };
    refuse_filled(folder)?;
    fs::create_dir_all(folder).map_err(|e| failed("make", folder, &e))?;
    let _alone = local.maintenance_lock();
    let snapshot = bundle::database_path(folder);
    snapshot_blocking(path, &snapshot)?;
    let mut manifest = Manifest::new(bundle::hash(&snapshot)?);
    let mut snapshot = AnyConnection::Sqlite(open_sqlite(&snapshot)?);
    take_segments(local, &mut snapshot, folder, &mut manifest)?;
    take_large(local, &mut snapshot, folder, &mut manifest)?;
    bundle::sync_folders(folder)?;
    manifest.write(folder)?;
    Ok(BackupReport::of(&manifest))
}

fn snapshot_blocking(database: &Path, snapshot: &Path) -> Result<(), StoreError> {
    let text = snapshot.to_str().ok_or_else(|| {
        StoreError::Invalid(format!("the path {} is not UTF-8", snapshot.display()))
    })?;
    let mut connection = open_sqlite(database)?;
    connection.batch_execute(&format!("VACUUM INTO '{}'", text.replace('\'', "''")))?;
    let flushed = fs::File::open(snapshot).and_then(|file| file.sync_all());
    flushed.map_err(|e| failed("flush", snapshot, &e))
}

fn take_segments(
    local: &Segments,
    snapshot: &mut AnyConnection,
    folder: &Path,
    manifest: &mut Manifest,
) -> Result<(), StoreError> {
    for state in segments::all(snapshot)? {
        let bytes = state.durable_bytes.unsigned_abs();
        let from = local.segment_path(state.id);
        let to = bundle::segment_path(folder, state.id);
        let file = bundle::take(&from, &to, Some(bytes), state.sealed)?;
        if file.bytes < bytes {
            return Err(StoreError::damaged(format!(
                "{} has {} bytes instead of {bytes}; run verify",
                from.display(),
                file.bytes
            )));
        }
        manifest.segments.push(SegmentPiece { id: state.id, file });
    }
    Ok(())
}

fn take_large(
    local: &Segments,
    snapshot: &mut AnyConnection,
    folder: &Path,
    manifest: &mut Manifest,
) -> Result<(), StoreError> {
    let mut after = Vec::new();
    loop {
        let page = rows::blobs_after(snapshot, &after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.digest.as_bytes().to_vec();
        for row in page.iter().filter(|row| row.location.segment == 0) {
            let to = bundle::large_path(folder, &row.digest);
            let file = bundle::take(&local.own_path(&row.digest), &to, None, true)?;
            manifest.large.push(LargePiece { digest: row.digest.to_hex(), file });
        }
    }
}

/// Puts a backup in the place these settings name, every byte compared with the manifest.
///
/// Nothing is put in place unless all of it is good.
///
/// # Errors
/// [`StoreError::Invalid`] when something is in that place already;
/// [`StoreError::Damaged`] when the backup is not whole.
pub fn restore_blocking(
    folder: &Path,
    settings: &StoreSettings,
) -> Result<BackupReport, StoreError> {
    let (DatabaseSettings::Sqlite { path: database }, BlobSettings::Local { folder: blobs, .. }) =
        (&settings.database, &settings.blobs)
    else {
        return Err(StoreError::Invalid(
            "a backup folder can only be restored to a SQLite file and local blobs".into(),
        ));
    };
    if database.exists() {
        return Err(StoreError::Invalid(format!(
            "{} exists; a backup is restored only where nothing is",
            database.display()
        )));
    }
    refuse_filled(blobs)?;
    let manifest = Manifest::read(folder)?;
    let unfinished_blobs = beside(blobs);
    let unfinished_database = beside(database);
    for leftover in [&unfinished_blobs, &unfinished_database] {
        remove_all(leftover)?;
    }
    let given = give_back(folder, &manifest, &unfinished_blobs, &unfinished_database);
    if given.is_err() {
        remove_all(&unfinished_blobs)?;
        remove_all(&unfinished_database)?;
    }
    given?;
    put_in_place(&unfinished_blobs, blobs)?;
    // The database last: a restore without it is plainly not finished.
    put_in_place(&unfinished_database, database)?;
    Ok(BackupReport::of(&manifest))
}

fn give_back(
    folder: &Path,
    manifest: &Manifest,
    blobs: &Path,
    database: &Path,
) -> Result<(), StoreError> {
    fs::create_dir_all(blobs).map_err(|e| failed("make", blobs, &e))?;
    for segment in &manifest.segments {
        let (from, to) = (bundle::segment_path(folder, segment.id), blobs);
        bundle::give_back(&from, &bundle::segment_path(to, segment.id), &segment.file)?;
    }
    for blob in &manifest.large {
        let digest = Sha512Digest::from_hex(&blob.digest).map_err(|error| {
            StoreError::damaged(format!("the manifest names a large blob wrongly: {error}"))
        })?;
        let (from, to) = (bundle::large_path(folder, &digest), blobs);
        bundle::give_back(&from, &bundle::large_path(to, &digest), &blob.file)?;
    }
    bundle::give_back(&bundle::database_path(folder), database, &manifest.database)?;
    bundle::sync_folders(blobs)
}

/// Where things are collected before they get their name.
fn beside(path: &Path) -> std::path::PathBuf {
    crate::migrations::with_suffix(path, ".restoring")
}

fn put_in_place(from: &Path, to: &Path) -> Result<(), StoreError> {
    let rename = || -> std::io::Result<()> {
        if to.is_dir() {
            fs::remove_dir(to)?;
        }
        fs::rename(from, to)?;
        to.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    };
    rename().map_err(|e| failed("restore", to, &e))
}

fn remove_all(path: &Path) -> Result<(), StoreError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path, &error))
        }
        _ => Ok(()),
    }
}

fn refuse_filled(folder: &Path) -> Result<(), StoreError> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("list", folder, &error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::Invalid(format!(
            "{} is not empty; a backup goes into a folder of its own",
            folder.display()
        ))),
    }
}
