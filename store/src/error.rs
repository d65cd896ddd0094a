//! [`StoreError`]: what can go wrong here, grouped by what the caller does next.

use diesel::result::{ConnectionError, DatabaseErrorKind, Error as DieselError};
use npm::Sha512Digest;

use crate::blobs::BlobError;

/// A failure of the database or of the blobs.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is busy, unreachable or refused this attempt; the same call may succeed later.
    #[error("the database cannot be used right now: {0}")]
    Retry(String),
    /// The package changed between reading and committing; read again and repeat.
    #[error(
        "{name} changed meanwhile: the change was made against revision {expected:?}, stored is {found:?}"
    )]
    Conflict {
        /// The package.
        name: String,
        /// The revision that the change was made against; `None` = package unknown.
        expected: Option<i64>,
        /// The revision in the database; `None` = no such package.
        found: Option<i64>,
    },
    /// A change counts on a blob that has been deleted meanwhile; fetch it again.
    #[error("the blob {0} that a change counts on is not stored any more")]
    MissingBlob(Sha512Digest),
    /// Nothing can be written until space is freed.
    #[error("no space left where the store writes: {0}")]
    DiskFull(String),
    /// What is stored contradicts itself; an operator has to look.
    #[error("the store is damaged: {what}")]
    Damaged {
        /// What was found and which rule it breaks.
        what: String,
    },
    /// The database was migrated by a newer release.
    #[error(
        "the database holds migration {found}, which this release does not know (its newest is \
         {known}); start the newer release again or restore a backup"
    )]
    NewerSchema {
        /// The unknown migration in the database.
        found: String,
        /// The newest migration of this release.
        known: String,
    },
    /// Another process works in the data folder.
    #[error("the data folder is in use by {}", holder(*pid))]
    InUse {
        /// Its process id, 0 when it cannot be told.
        pid: u32,
    },
    /// Asked for something that the database must never hold.
    #[error("{0}")]
    Invalid(String),
    /// Everything else.
    #[error("{0}")]
    Other(String),
}

fn holder(pid: u32) -> String {
    if pid == 0 { "another process".to_owned() } else { format!("the process with id {pid}") }
}

impl StoreError {
    /// Whether the same call may succeed when it is repeated later.
    ///
    /// [`Conflict`](Self::Conflict) and [`MissingBlob`](Self::MissingBlob) are not: the caller has to
    /// read again first.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry(_))
    }

    /// Whether the database may have ended the transaction that this happened in.
    pub(crate) fn ends_transactions(&self) -> bool {
        matches!(self, Self::Retry(_) | Self::DiskFull(_) | Self::Damaged { .. })
    }

    /// Shorthand for [`StoreError::Damaged`].
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(kind, info) => from_database(&kind, info.message()),
            DieselError::BrokenTransactionManager => Self::Retry("the connection is broken".into()),
            other => Self::Other(format!("database: {other}")),
        }
    }
}

fn from_database(kind: &DatabaseErrorKind, message: &str) -> StoreError {
    match kind {
        DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::SerializationFailure => {
            StoreError::Retry(message.to_owned())
        }
        _ => from_message(message),
    }
}

/// diesel passes the text of SQLite and of PostgreSQL on, but not their codes.
fn from_message(message: &str) -> StoreError {
    const RETRY: [&str; 9] = [
        "database is locked",
        "database table is locked",
        "database schema is locked",
        "deadlock detected",
        "could not obtain lock",
        "terminating connection",
        "server closed the connection",
        "connection to server",
        "too many clients",
    ];
    const FULL: [&str; 3] =
        ["database or disk is full", "No space left on device", "could not extend file"];
    const DAMAGED: [&str; 3] =
        ["database disk image is malformed", "file is not a database", "invalid page in block"];
    let has = |patterns: &[&str]| patterns.iter().any(|pattern| message.contains(pattern));
    if has(&RETRY) {
        StoreError::Retry(message.to_owned())
    } else if has(&FULL) {
        StoreError::DiskFull(message.to_owned())
    } else if message.contains("disk I/O error") {
        // SQLite says this also when a file beside the database finds no space
        StoreError::Retry(format!("{message}; the disk may be full or failing"))
    } else if has(&DAMAGED) {
        StoreError::damaged(message)
    } else {
        StoreError::Other(format!("database: {message}"))
    }
}

impl From<ConnectionError> for StoreError {
    fn from(error: ConnectionError) -> Self {
        Self::Retry(format!("cannot connect to the database: {error}"))
    }
}

impl From<BlobError> for StoreError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::DiskFull(text) => Self::DiskFull(text),
            BlobError::Missing { digest, .. } => Self::MissingBlob(digest),
            damaged @ BlobError::Damaged { .. } => Self::damaged(damaged.to_string()),
            BlobError::Failed(text) => Self::Other(text),
        }
    }
}
