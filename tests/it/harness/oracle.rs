//! The plain truth: what is in a data folder, compared with what upstream published.

use std::collections::BTreeSet;
use std::path::Path;

use store::packages::PackageRow;
use store::versions::VersionRow;
use store::{
    BlobSettings, DatabaseSettings, Store, StoreSettings, VersionState, blob_rows, packages,
    versions,
};

use super::Package;

/// How much has to be there.
#[derive(Clone, Copy)]
pub enum Expect<'a> {
    /// Whatever is there is right, and these packages are there whole.
    AtLeast(&'a BTreeSet<String>),
    /// Everything upstream has.
    Everything,
}

/// Opens a data folder as a start would; none when there is no database yet.
fn open(data: &Path) -> Option<Store> {
    let path = data.join("espejo.db");
    let settings = StoreSettings {
        database: DatabaseSettings::Sqlite { path: path.clone() },
        blobs: BlobSettings::Local { folder: data.join("blobs"), segment_bytes: 256 << 20 },
    };
    path.exists().then(|| Store::open_blocking(&settings).expect("a store opens after anything"))
}

/// The rows of a data folder while a server works on it.
pub fn rows_of(data: &Path) -> Store {
    let database = DatabaseSettings::Sqlite { path: data.join("espejo.db") };
    let settings = StoreSettings { database, blobs: BlobSettings::Memory };
    Store::open_blocking(&settings).expect("rows that can be read")
}

/// All packages with their versions.
pub fn packages_in(store: &Store) -> Vec<(PackageRow, Vec<VersionRow>)> {
    let stored = store.read_blocking(|connection| {
        let mut rows = Vec::new();
        for name in packages::names_after(connection, "", 10_000)? {
            let package = packages::find(connection, &name)?.expect("a listed package");
            let versions = versions::of_package(connection, package.id)?;
            rows.push((package, versions));
        }
        Ok(rows)
    });
    stored.expect("readable rows")
}

/// Opens a data folder as a start would and compares it with `published`, where a version may be
/// listed more than once: whatever was ever published under it may be here.
pub fn compare(data: &Path, published: &[Package], expect: Expect<'_>) {
    let Some(store) = open(data) else {
        assert!(matches!(expect, Expect::AtLeast(whole) if whole.is_empty()), "nothing is here");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut whole = BTreeSet::new();
    for (package, rows) in packages_in(&store) {
        let name = package.name.as_str();
        let known: Vec<_> = published.iter().filter(|known| known.name == name).collect();
        assert!(!known.is_empty(), "{name} was never published");
        let document = package.document.expect("a package has its document");
        let read = async {
            store.blobs().reader(&document.digest, document.location).await?.read_all().await
        };
        let bytes = runtime.block_on(read).expect("the bytes of a document");
        assert_eq!(npm::Sha512Digest::of(&bytes), document.digest, "document of {name}");
        for row in &rows {
            let candidates: Vec<_> = known
                .iter()
                .flat_map(|package| &package.versions)
                .filter(|version| version.version == row.version)
                .collect();
            assert!(!candidates.is_empty(), "{name}@{} was never published", row.version);
            if row.state != VersionState::Held {
                continue;
            }
            let digest = row.blob.expect("a held version has its blob");
            let location = store.read_blocking(|connection| blob_rows::find(connection, &digest));
            let location = location.expect("readable rows").expect("a blob row");
            let read = async { store.blobs().reader(&digest, location).await?.read_all().await };
            let bytes = runtime.block_on(read).expect("the bytes of a held version");
            assert!(
                candidates.iter().any(|version| version.tarball == bytes),
                "{name}@{} holds other bytes than upstream's",
                row.version
            );
        }
        let newest = known.last().expect("a published package");
        let held = |version: &str| {
            rows.iter().any(|row| row.version == version && row.state == VersionState::Held)
        };
        if newest.versions.iter().all(|version| held(&version.version)) {
            whole.insert(name.to_owned());
        }
    }
    let needed: BTreeSet<_> = match expect {
        Expect::AtLeast(acknowledged) => acknowledged.clone(),
        Expect::Everything => published.iter().map(|package| package.name.clone()).collect(),
    };
    let lost: Vec<_> = needed.difference(&whole).collect();
    assert!(lost.is_empty(), "acknowledged or synced, and not here: {lost:?}");
}
