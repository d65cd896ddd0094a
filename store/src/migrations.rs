//! Brings a database to the schema of this release when it is opened.
//!
//! A new SQLite file is made under another name without flushing, flushed once, and renamed: it
//! exists whole or not at all. A database that a newer release migrated is refused.

use std::fs::File;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::connection::{Opener, open_sqlite};
use crate::{AnyConnection, StoreError};

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("../migrations/sqlite");
pub(crate) const POSTGRES: EmbeddedMigrations = embed_migrations!("../migrations/postgres");

/// Any number will do; nodes that start together wait for each other on it.
const MIGRATION_LOCK: i64 = 0x4553_5045_4a4f;

/// Makes the database if needed and applies what is missing.
pub(crate) fn migrate_blocking(opener: &Opener) -> Result<(), StoreError> {
    match opener {
        Opener::Sqlite { path } if is_new(path) => create_sqlite(path),
        Opener::Sqlite { .. } => apply(&mut opener.open_writer()?),
        Opener::Postgres { schema, .. } => {
            let mut connection = opener.open_writer()?;
            connection.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
            if let Some(schema) = schema {
                connection.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""))?;
            }
            apply(&mut connection) // the lock goes with the connection
        }
    }
}

fn is_new(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0)
}

fn create_sqlite(path: &Path) -> Result<(), StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed("create", folder, &error))?;
    }
    let unfinished = with_suffix(path, "-new");
    // A log of an earlier file of this name would be applied to the new one.
    for leftover in ["-new", "-new-wal", "-new-shm", "-wal", "-shm"] {
        remove_if_there(&with_suffix(path, leftover))?;
    }
    let mut connection = open_sqlite(&unfinished)?;
    connection.batch_execute("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")?;
    let mut connection = AnyConnection::Sqlite(connection);
    apply(&mut connection)?;
    connection.batch_execute("PRAGMA journal_mode=WAL;")?;
    drop(connection); // closing moves the last pages from the log into the file
    let flushed = File::open(&unfinished).and_then(|file| file.sync_all());
    flushed.map_err(|error| failed("flush", &unfinished, &error))?;
    std::fs::rename(&unfinished, path).map_err(|error| failed("rename", &unfinished, &error))?;
    // The folder entry is flushed by the first commit: SQLite flushes the folder with a new log.
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// `path` with something behind its last part.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(suffix);
    PathBuf::from(text)
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> StoreError {
    let text = format!("cannot {verb} {}: {error}", path.display());
    if error.kind() == std::io::ErrorKind::StorageFull {
        StoreError::DiskFull(text)
    } else {
        StoreError::Other(text)
    }
}

fn apply(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(sqlite) => {
            let known = versions_of(MigrationSource::<Sqlite>::migrations(&SQLITE))?;
            refuse_newer(applied_versions(sqlite)?, &known)?;
            sqlite.run_pending_migrations(SQLITE).map(drop).map_err(migration_failed)
        }
        AnyConnection::Pg(postgres) => {
            let known = versions_of(MigrationSource::<Pg>::migrations(&POSTGRES))?;
            refuse_newer(applied_versions(postgres)?, &known)?;
            postgres.run_pending_migrations(POSTGRES).map(drop).map_err(migration_failed)
        }
    }
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::needless_pass_by_value, reason = "shape of map_err")]
fn migration_failed(error: BoxedError) -> StoreError {
    StoreError::Other(format!("migrating the database failed: {error}"))
}

fn versions_of<DB: diesel::backend::Backend>(
    migrations: Result<Vec<Box<dyn Migration<DB>>>, BoxedError>,
) -> Result<Vec<String>, StoreError> {
    let migrations = migrations.map_err(migration_failed)?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}

fn applied_versions<DB: diesel::backend::Backend>(
    connection: &mut impl MigrationHarness<DB>,
) -> Result<Vec<String>, StoreError> {
    let applied = connection.applied_migrations().map_err(migration_failed)?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

fn refuse_newer(applied: Vec<String>, known: &[String]) -> Result<(), StoreError> {
    match applied.into_iter().find(|version| !known.contains(version)) {
        None => Ok(()),
        Some(found) => {
            Err(StoreError::NewerSchema { found, known: known.last().cloned().unwrap_or_default() })
        }
    }
}
