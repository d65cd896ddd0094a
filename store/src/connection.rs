//! Connections: one type for both databases, how they are opened, and the pool of readers.
//!
//! Readers are pooled and cannot write. The writer is opened apart ([`open_writer`]) and belongs to
//! one thread. Nothing here survives a restart except the file that SQLite keeps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};
use diesel::{Connection, ConnectionError, PgConnection, SqliteConnection};

use crate::{AnyConnection, DatabaseSettings, StoreError};

/// The pool that [`crate::Store::read`] takes connections from.
pub(crate) type ReaderPool = Pool<Opener>;
/// A reader on loan; goes back when dropped.
pub(crate) type Reader = PooledConnection<Opener>;

/// More readers than cores bring nothing with SQLite, and PostgreSQL shares its connections.
const MIN_READERS: u32 = 4;
const MAX_READERS: u32 = 16;
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// How long a reader may wait for a connection before the call fails and may be repeated.
const READER_TIMEOUT: Duration = Duration::from_secs(10);

/// Shared by every connection: waits for a lock instead of failing, and never autocheckpoints in
/// the middle of a commit (the writer does it when idle).
const SQLITE_COMMON: &str = "PRAGMA foreign_keys=ON; PRAGMA wal_autocheckpoint=0; \
     PRAGMA temp_store=MEMORY;";

/// FULL: an answered commit survives a power cut; group commit makes it cheap. The cache (16 MiB)
/// holds a large batch, so that none of it is written before its commit. A log that grew is cut to
/// 16 MiB when it is started over.
const SQLITE_WRITER: &str = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; \
     PRAGMA cache_size=-16384; PRAGMA journal_size_limit=16777216;";

/// Opens connections of one database.
#[derive(Clone, Debug)]
pub(crate) enum Opener {
    Sqlite { path: PathBuf },
    Postgres { url: String, schema: Option<String> },
}

impl Opener {
    pub(crate) fn new(settings: &DatabaseSettings) -> Result<Self, StoreError> {
        Ok(match settings {
            DatabaseSettings::Sqlite { path } => Self::Sqlite { path: path.clone() },
            DatabaseSettings::Postgres { url, schema } => {
                if let Some(schema) = schema {
                    check_schema_name(schema)?;
                }
                Self::Postgres { url: url.clone(), schema: schema.clone() }
            }
        })
    }

    /// Whether the rows are in a file of this machine.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    /// The connection that may write.
    pub(crate) fn open_writer(&self) -> Result<AnyConnection, StoreError> {
        let mut connection = self.establish()?;
        if let AnyConnection::Sqlite(sqlite) = &mut connection {
            sqlite.batch_execute(SQLITE_WRITER)?;
        }
        Ok(connection)
    }

    fn open_reader(&self) -> Result<AnyConnection, StoreError> {
        let mut connection = self.establish()?;
        connection.batch_execute(match &connection {
            AnyConnection::Sqlite(_) => "PRAGMA query_only=ON;",
            AnyConnection::Pg(_) => "SET default_transaction_read_only = on;",
        })?;
        Ok(connection)
    }

    /// A connection for whatever is meant.
    pub(crate) fn establish(&self) -> Result<AnyConnection, StoreError> {
        match self {
            Self::Sqlite { path } => Ok(AnyConnection::Sqlite(open_sqlite(path)?)),
            Self::Postgres { url, schema } => {
                let connected = PgConnection::establish(url);
                let mut connection = connected.map_err(|error| unreachable(&error, url))?;
                if let Some(schema) = schema {
                    connection.batch_execute(&format!("SET search_path TO \"{schema}\";"))?;
                }
                Ok(AnyConnection::Pg(connection))
            }
        }
    }
}

/// The error of a connection without what is secret in its address: libpq repeats all or parts of an
/// address that it cannot read.
fn unreachable(error: &ConnectionError, url: &str) -> StoreError {
    let mut text = error.to_string().replace(url, "(the address)");
    let authority = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let password = authority.and_then(|(user, _)| user.split_once(':'));
    if let Some((_, password)) = password.filter(|(_, password)| !password.is_empty()) {
        text = text.replace(password, "(hidden)");
    }
    StoreError::Retry(format!("cannot connect to the database: {text}"))
}

/// Opens a SQLite file with what every connection needs; `busy_timeout` comes first, because the
/// next pragmas may already meet a lock.
pub(crate) fn open_sqlite(path: &Path) -> Result<SqliteConnection, StoreError> {
    let text = path.to_str().ok_or_else(|| {
        StoreError::Invalid(format!("the database path {} is not UTF-8", path.display()))
    })?;
    let mut connection = SqliteConnection::establish(text)?;
    connection.batch_execute(&format!("PRAGMA busy_timeout={BUSY_TIMEOUT_MS};"))?;
    connection.batch_execute(SQLITE_COMMON)?;
    Ok(connection)
}

/// A schema name is put into statements as it is, so only plain ones are taken.
fn check_schema_name(name: &str) -> Result<(), StoreError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        return Err(StoreError::Invalid(format!(
            "the schema {name:?} is not made of 1 to 63 characters a-z, 0-9 and _"
        )));
    }
    Ok(())
}

impl ManageConnection for Opener {
    type Connection = AnyConnection;
    type Error = StoreError;

    fn connect(&self) -> Result<AnyConnection, StoreError> {
        self.open_reader()
    }

    fn is_valid(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        Ok(connection.batch_execute("SELECT 1")?)
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        std::thread::panicking() || diesel::r2d2::R2D2Connection::is_broken(connection)
    }
}

/// A pool that opens its connections when they are first needed.
pub(crate) fn reader_pool(opener: &Opener) -> ReaderPool {
    let cores = std::thread::available_parallelism()
        .map_or(MIN_READERS, |cores| u32::try_from(cores.get()).unwrap_or(MAX_READERS));
    Pool::builder()
        .max_size((cores * 2).clamp(MIN_READERS, MAX_READERS))
        .min_idle(Some(0))
        // A local file does not go away; a server's connection may have.
        .test_on_check_out(!opener.is_file())
        .connection_timeout(READER_TIMEOUT)
        .error_handler(Box::new(NopErrorHandler))
        .build_unchecked(opener.clone())
}
