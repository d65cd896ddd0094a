//! Everything of the mirror that survives a restart: rows in a database, bytes in blobs.
//!
//! [`Store`] is what everybody holds: it reads through a pool and hands out the one writer. Queries
//! live in modules named like their table; [`commit`] is the one write path of a sync. Order on
//! disk: bytes durable, then rows, then old bytes deleted.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::needless_pass_by_value
    )
)]

// Their features say how diesel's C libraries are built: from source, without OpenSSL.
use libsqlite3_sys as _;
use pq_sys as _;

pub mod advisories;
pub mod alarms;
mod any_connection;
pub mod audit;
pub mod blob_rows;
pub mod blobs;
pub mod blocks;
pub mod change;
pub mod changes;
pub mod commit;
pub mod completeness;
mod connection;
mod dialect;
pub mod dist_tags;
pub mod downloads;
pub mod epochs;
mod error;
pub mod facts;
pub mod feeds;
pub mod gates;
pub mod grants;
mod home;
pub mod hooks;
pub mod kept_answers;
pub mod lock;
pub mod maintainers;
pub mod maintenance;
mod migrations;
pub mod missing_names;
pub mod notices;
pub mod orgs;
pub mod ownership;
pub mod packages;
#[cfg(test)]
mod plans;
pub mod publication;
pub mod readmes;
pub mod reconciliations;
pub mod registries;
pub mod registry_keys;
pub mod releases;
pub mod renderings;
pub mod request_budgets;
pub mod schema;
pub mod scopes;
pub mod segments;
pub mod settings;
pub mod sign_ins;
pub mod stars;
pub mod states;
pub mod sweeps;
pub mod tasks;
pub mod teams;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tokens;
pub mod users;
pub mod versions;
pub mod visibilities;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

pub use any_connection::AnyConnection;
pub use blobs::BlobSettings;
pub use change::{
    BatchOutcome, CommitBatch, Committed, DocumentChange, Gone, PackageChange, TaskEnd, TaskId,
    Validators, VersionChange, WriteFn,
};
pub use error::StoreError;
pub use lock::FolderLock;
pub use publication::{Act, Publication};
pub use states::{
    BlockKind, DocumentEncoding, Keeping, OrgRole, PackageStatus, Permission, TaskFailure,
    TaskState, TeamRole, TokenKind, VersionState, Visibility,
};
pub use writer::StoreWriter;

use crate::blobs::BlobStore;
use crate::connection::{Opener, Reader, ReaderPool};
use crate::hooks::watch::HookWatch;
use crate::notices::Notices;

/// Where everything is kept.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The rows.
    pub database: DatabaseSettings,
    /// The bytes.
    pub blobs: BlobSettings,
}

/// Which database, and where.
#[derive(Clone, Debug)]
pub enum DatabaseSettings {
    /// A file of our own; made when missing.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A server.
    Postgres {
        /// Connection address as libpq reads it.
        url: String,
        /// Schema to work in, made when missing; `None` = the server's default.
        schema: Option<String>,
    },
}

/// The database and the blobs of one mirror; cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    opener: Opener,
    readers: ReaderPool,
    /// As many permits as the pool has connections: waiting costs no thread.
    reading: Semaphore,
    blobs: Arc<dyn BlobStore>,
    hooks: Arc<HookWatch>,
    local: bool,
}

impl Store {
    /// Opens the store, migrates the database and cuts the open segment at its durable end.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`], [`StoreError::Retry`] when the database cannot be reached, or
    /// what the blobs report.
    pub fn open_blocking(settings: &StoreSettings) -> Result<Self, StoreError> {
        let opener = Opener::new(&settings.database)?;
        migrations::migrate_blocking(&opener)?;
        let readers = connection::reader_pool(&opener);
        let states = segments::all(&mut *get(&readers)?)?;
        if let BlobSettings::Local { folder, .. } = &settings.blobs {
            home::bind_blocking(&opener, folder)?;
        }
        let blobs = blobs::open_blocking(&settings.blobs, &states)?;
        let hooks = Arc::new(HookWatch::default());
        hooks.read_again(&mut *get(&readers)?)?;
        let permits = usize::try_from(readers.max_size()).unwrap_or(1);
        Ok(Self(Arc::new(Inner {
            opener,
            readers,
            reading: Semaphore::new(permits),
            blobs,
            hooks,
            local: matches!(settings.blobs, BlobSettings::Local { .. })
                || matches!(settings.database, DatabaseSettings::Sqlite { .. }),
        })))
    }

    /// Runs a query on a reader, in the blocking pool.
    ///
    /// A caller that goes away while the query runs leaves nothing behind: the query ends and its
    /// connection goes back by itself.
    ///
    /// # Errors
    /// Those of the query; [`StoreError::Retry`] when no connection can be had.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let waited = self.0.reading.acquire().await;
        let permit = waited.map_err(|_| StoreError::Other("the store is closed".into()))?;
        permit.forget(); // given back below, by whoever finishes last
        let running = GivesBack(store);
        let done = tokio::task::spawn_blocking(move || {
            let running = running;
            running.0.read_blocking(query)
        });
        done.await.map_err(|error| StoreError::Other(format!("a query did not finish: {error}")))?
    }

    /// Runs a short query on this thread where that is quicker than handing it over: rows in a
    /// local file and an idle reader. Otherwise as [`Store::read`].
    ///
    /// For the engine's threads only, which do such work in place; a lookup by key takes less
    /// time than two threads need to wake each other.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_here<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let idle = if self.0.opener.is_file() { self.0.readers.try_get() } else { None };
        match idle {
            Some(mut reader) => query(&mut reader),
            None => self.read(query).await,
        }
    }

    /// Runs a query on a reader, on this thread.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_blocking<T>(
        &self,
        query: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        query(&mut *get(&self.0.readers)?)
    }

    /// Opens a connection that may write; it belongs to the thread of the metadata writer.
    ///
    /// # Errors
    /// [`StoreError::Retry`] when the database cannot be reached.
    pub fn writer_blocking(&self) -> Result<StoreWriter, StoreError> {
        let (blobs, hooks) = (Arc::clone(&self.0.blobs), Arc::clone(&self.0.hooks));
        StoreWriter::open(self.0.opener.clone(), blobs, hooks)
    }

    /// Opens a connection that hears what is written; `None` where the database is a file.
    ///
    /// # Errors
    /// [`StoreError::Retry`] when the database cannot be reached.
    pub fn notices_blocking(&self) -> Result<Option<Notices>, StoreError> {
        Notices::open_blocking(&self.0.opener)
    }

    #[cfg(test)]
    pub(crate) fn free_reading_permits(&self) -> usize {
        self.0.reading.available_permits()
    }

    #[cfg(test)]
    pub(crate) fn reading_permits(&self) -> usize {
        usize::try_from(self.0.readers.max_size()).unwrap()
    }

    /// The bytes.
    #[must_use]
    pub fn blobs(&self) -> &Arc<dyn BlobStore> {
        &self.0.blobs
    }

    /// What hooks are about.
    #[must_use]
    pub fn hooks(&self) -> &Arc<HookWatch> {
        &self.0.hooks
    }

    /// Reads again what hooks are about; whoever made one is answered after this.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn reread_hooks(&self) -> Result<(), StoreError> {
        let hooks = Arc::clone(&self.0.hooks);
        self.read(move |rows| hooks.read_again(rows)).await
    }

    /// Whether database or blobs are files of this machine, so that only one node may use them.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.local
    }
}

/// Returns the reading permit when the query is over or was never started.
struct GivesBack(Store);

impl Drop for GivesBack {
    fn drop(&mut self) {
        self.0.0.reading.add_permits(1);
    }
}

fn get(readers: &ReaderPool) -> Result<Reader, StoreError> {
    readers.get().map_err(|error| StoreError::Retry(format!("no connection for reading: {error}")))
}
