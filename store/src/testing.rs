//! Stores for tests: every test runs on SQLite and, where `TEST_DATABASE_URL` names a server, also
//! on PostgreSQL in a schema of its own.

use bytes::Bytes;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use npm::{ManifestDigest, PackageName, Sha512Digest};
use tempfile::TempDir;

use crate::blobs::{BlobLocation, BlobSettings};
use crate::ownership::Ownership;
use crate::scopes::ScopeRow;
use crate::{
    CommitBatch, Committed, DatabaseSettings, DocumentChange, DocumentEncoding, Keeping,
    PackageChange, PackageStatus, Store, StoreError, StoreSettings, StoreWriter, Validators,
    VersionChange, VersionState,
};

/// A store in a scratch place that goes away with it.
pub(crate) struct TestStore {
    pub store: Store,
    pub settings: StoreSettings,
    _folder: TempDir,
    _schema: Option<Schema>,
}

/// A schema of a test's own, dropped in the end.
pub(crate) struct Schema {
    url: String,
    name: String,
}

impl Drop for Schema {
    fn drop(&mut self) {
        let mut connection = PgConnection::establish(&self.url).unwrap();
        connection.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name)).unwrap();
    }
}

/// Runs a test on each database there is.
pub(crate) fn on_each_database(test: impl Fn(&TestStore)) {
    for (folder, settings, schema) in each_database() {
        let store = Store::open_blocking(&settings).unwrap();
        test(&TestStore { store, settings, _folder: folder, _schema: schema });
    }
}

/// Settings of databases that nobody opened yet.
pub(crate) fn each_database() -> Vec<(TempDir, StoreSettings, Option<Schema>)> {
    let mut all = vec![on(DatabaseSettings::Sqlite { path: "".into() }, None)];
    let Ok(url) = std::env::var("TEST_DATABASE_URL") else {
        eprintln!("TEST_DATABASE_URL is not set: left out on PostgreSQL");
        return all;
    };
    let name = format!("t{}", uuid::Uuid::now_v7().simple());
    let schema = Schema { url: url.clone(), name: name.clone() };
    let database = DatabaseSettings::Postgres { url, schema: Some(name) };
    all.push(on(database, Some(schema)));
    all
}

fn on(
    database: DatabaseSettings,
    schema: Option<Schema>,
) -> (TempDir, StoreSettings, Option<Schema>) {
    let folder = tempfile::tempdir().unwrap();
    let database = match database {
        DatabaseSettings::Sqlite { .. } => {
            DatabaseSettings::Sqlite { path: folder.path().join("espejo.db") }
        }
        postgres @ DatabaseSettings::Postgres { .. } => postgres,
    };
    let blobs =
        BlobSettings::Local { folder: folder.path().join("blobs"), segment_bytes: 64 << 20 };
    (folder, StoreSettings { database, blobs }, schema)
}

impl TestStore {
    pub fn writer(&self) -> StoreWriter {
        self.store.writer_blocking().unwrap()
    }

    /// Waits until more than so many milliseconds have passed by the clock of the database.
    pub fn wait_ms(&self, milliseconds: i64) {
        let from = self.read(crate::dialect::now_ms);
        while self.read(crate::dialect::now_ms) <= from + milliseconds {
            std::thread::yield_now();
        }
    }

    /// Puts bytes and says where they went.
    pub fn put(&self, bytes: &str) -> (Sha512Digest, BlobLocation) {
        let digest = Sha512Digest::of(bytes.as_bytes());
        let bytes = Bytes::copy_from_slice(bytes.as_bytes());
        let location = block_on(self.store.blobs().put(digest, bytes)).unwrap();
        (digest, location)
    }

    /// Commits one change.
    pub fn commit(&self, change: PackageChange) -> Result<Committed, StoreError> {
        let mut batch = CommitBatch { writes: Vec::new(), changes: vec![change] };
        self.writer().commit_blocking(&mut batch).unwrap().changes.remove(0)
    }

    /// Runs one write that must succeed.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&mut crate::AnyConnection) -> Result<T, StoreError>,
    ) -> T {
        self.writer().write_blocking(work).unwrap()
    }

    /// Runs one query that must succeed.
    pub fn read<T>(
        &self,
        query: impl FnOnce(&mut crate::AnyConnection) -> Result<T, StoreError>,
    ) -> T {
        self.store.read_blocking(query).unwrap()
    }

    /// A change with a document whose bytes are `body`.
    pub fn change(&self, name: &str, base_revision: Option<i64>, body: &str) -> PackageChange {
        let (digest, location) = self.put(body);
        let size = i64::try_from(body.len()).unwrap();
        PackageChange {
            document: Some(DocumentChange {
                digest,
                location,
                encoding: DocumentEncoding::Gzip,
                stored_bytes: size,
                body_bytes: size * 3,
                added_version: None,
                upstream_rev: Some("7-abc".into()),
                dist_tags: vec![("latest".into(), "1.0.0".into())],
                modified: Some("2026-01-01T00:00:00.000Z".into()),
                status: PackageStatus::Live,
            }),
            blobs: vec![(digest, location)],
            validators: Validators { etag: Some(format!("\"{body}\"")), last_modified: None },
            ..bare_change(name, base_revision)
        }
    }
}

/// A change that brings nothing yet.
pub(crate) fn bare_change(name: &str, base_revision: Option<i64>) -> PackageChange {
    PackageChange {
        keep: Keeping::Mirrored,
        base_revision,
        checked_at_ms: 1_000,
        ..PackageChange::new(package(name), "sync")
    }
}

/// Scopes and the registries they are bound to.
pub(crate) fn binding(scopes: &[(&str, &str)]) -> Ownership {
    let row = |(scope, registry): &(&str, &str)| ScopeRow::new(scope, registry, 0);
    Ownership::new(scopes.iter().map(row).collect(), &[])
}

pub(crate) fn package(name: &str) -> PackageName {
    PackageName::parse(name).unwrap()
}

/// A version that is upstream.
pub(crate) fn remote(version: &str) -> VersionChange {
    VersionChange {
        version: version.into(),
        manifest: ManifestDigest([1; 16]),
        tarball_url: Some(format!("http://upstream.test/p/-/p-{version}.tgz")),
        tarball_file: format!("p-{version}.tgz"),
        expected: Some(format!("sha512-of-{version}")),
        state: VersionState::Remote,
        blob: None,
        size_bytes: None,
        reason: None,
        signature: None,
        published_at_ms: None,
        facts: None,
    }
}

/// A version whose tarball is the blob.
pub(crate) fn held(version: &str, blob: Sha512Digest) -> VersionChange {
    VersionChange {
        state: VersionState::Held,
        blob: Some(blob),
        size_bytes: Some(9),
        ..remote(version)
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
