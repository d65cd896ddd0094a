//! Tests of maintenance: on each database, against stores that keep working.

mod backup;
mod compaction;
mod database;
mod gc;
mod totals;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use npm::Sha512Digest;

use super::*;
use crate::blobs::{BlobLocation, BlobSettings};
use crate::testing::{TestStore, bare_change, block_on, package, remote};
use crate::{DatabaseSettings, PackageChange, Store, StoreSettings, VersionChange, VersionState};
use crate::{blob_rows, versions};

/// Grace of nothing, an hour ahead: everything there is is old.
fn everything() -> GcOptions {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    GcOptions { grace_ms: 0, ..GcOptions::new(now.as_millis() as i64 + 3_600_000) }
}

fn bytes(seed: u8, length: usize) -> Bytes {
    (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

/// A package whose versions `1.0.0`, `1.0.1`, … hold these tarballs.
fn hold(mirror: &TestStore, name: &str, tarballs: &[Bytes]) -> Vec<Sha512Digest> {
    hold_in(&mirror.store, name, tarballs)
}

fn hold_in(store: &Store, name: &str, tarballs: &[Bytes]) -> Vec<Sha512Digest> {
    let change = holding(store, name, tarballs);
    let digests = change.versions.iter().filter_map(|version| version.blob).collect();
    let mut batch = CommitBatch { writes: Vec::new(), changes: vec![change] };
    let mut writer = store.writer_blocking().unwrap();
    for committed in writer.commit_blocking(&mut batch).unwrap().changes {
        committed.unwrap();
    }
    digests
}

/// The change of [`hold`]: the tarballs are put, the rows not written yet.
fn holding(store: &Store, name: &str, tarballs: &[Bytes]) -> PackageChange {
    let mut change = bare_change(name, None);
    for (patch, tarball) in tarballs.iter().enumerate() {
        let digest = Sha512Digest::of(tarball);
        let location = block_on_runtime(store.blobs().put(digest, tarball.clone())).unwrap();
        change.blobs.push((digest, location));
        let version = format!("1.0.{patch}");
        change.versions.push(VersionChange {
            expected: Some(digest.to_sri()),
            state: VersionState::Held,
            blob: Some(digest),
            size_bytes: Some(tarball.len() as i64),
            ..remote(&version)
        });
    }
    change
}

fn block_on_runtime<T>(work: impl Future<Output = T>) -> T {
    crate::blobs::BlockingRuntime::new().unwrap().wait(work)
}

/// Takes versions of a package out of the rows, as a block with deletion does.
fn drop_version(mirror: &TestStore, name: &str, version: &str) {
    use crate::schema::versions::dsl;
    use diesel::prelude::*;
    let id = mirror.read(|c| crate::packages::find(c, &package(name))).unwrap().id;
    let version = version.to_owned();
    mirror.write(move |connection| {
        let row = dsl::versions.filter(dsl::package_id.eq(id)).filter(dsl::version.eq(version));
        Ok(diesel::delete(row).execute(connection)?)
    });
}

fn place(store: &Store, digest: &Sha512Digest) -> Option<BlobLocation> {
    store.read_blocking(|c| blob_rows::find(c, digest)).unwrap()
}

fn read(store: &Store, digest: &Sha512Digest) -> Bytes {
    let location = place(store, digest).expect("the blob has no row");
    read_at(store, digest, location).unwrap()
}

fn read_at(
    store: &Store,
    digest: &Sha512Digest,
    location: BlobLocation,
) -> Result<Bytes, crate::blobs::BlobError> {
    block_on_runtime(async { store.blobs().reader(digest, location).await?.read_all().await })
}

fn verified(store: &Store) -> VerifyReport {
    verify_blocking(store, &VerifyOptions::default(), &mut |_| {}).unwrap()
}

fn seal(mirror: &TestStore) {
    mirror.store.blobs().flush_blocking().unwrap();
    mirror.store.blobs().local().unwrap().seal_open();
    // The next commit tells the database.
    let mut writer = mirror.writer();
    Writes::write_blocking(&mut writer, Box::new(|_| Ok(()))).unwrap();
}

fn blobs_folder(settings: &StoreSettings) -> PathBuf {
    match &settings.blobs {
        BlobSettings::Local { folder, .. } => folder.clone(),
        other => panic!("not local: {other:?}"),
    }
}

fn segment_file(settings: &StoreSettings, id: i64) -> PathBuf {
    bundle::segment_path(&blobs_folder(settings), id)
}

/// Changes one byte of a blob where it lies.
fn damage(mirror: &TestStore, digest: &Sha512Digest) {
    let location = place(&mirror.store, digest).unwrap();
    let path = match location.segment {
        0 => bundle::large_path(&blobs_folder(&mirror.settings), digest),
        id => segment_file(&mirror.settings, id),
    };
    let mut file = fs::read(&path).unwrap();
    file[location.offset as usize + location.length as usize / 2] ^= 1;
    fs::write(&path, file).unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// The folder of a store that is all files.
fn data_folder(settings: &StoreSettings) -> Option<PathBuf> {
    match &settings.database {
        DatabaseSettings::Sqlite { path } => Some(path.parent().unwrap().to_path_buf()),
        DatabaseSettings::Postgres { .. } => None,
    }
}

/// Settings of the same store in another folder.
fn moved_to(settings: &StoreSettings, folder: &Path) -> StoreSettings {
    let mut moved = settings.clone();
    if let DatabaseSettings::Sqlite { path } = &mut moved.database {
        *path = folder.join("espejo.db");
    }
    if let BlobSettings::Local { folder: blobs, .. } = &mut moved.blobs {
        *blobs = folder.join("blobs");
    }
    moved
}

fn state_of(store: &Store, name: &str, version: &str) -> VersionState {
    let found = store.read_blocking(|c| versions::find(c, &package(name), version)).unwrap();
    found.unwrap().row.state
}
