//! The statements that differ between the databases, and those too hot for the query builder.
//!
//! [`sqlite`] and [`postgres`] hold the same names side by side; the functions here choose. What is
//! one text for both (upserts) stands with its caller as a [`RowsStatement`].

mod postgres;
mod rows;
mod sqlite;

use std::time::{SystemTime, UNIX_EPOCH};

use diesel::Connection;
use diesel::connection::{AnsiTransactionManager, TransactionManager};

pub(crate) use rows::{RowsStatement, Value};

use crate::{AnyConnection, StoreError};

/// The backend type behind [`AnyConnection`].
pub(crate) type AnyBackend = <AnyConnection as Connection>::Backend;

macro_rules! choose {
    ($($(#[$meta:meta])* $function:ident = $constant:ident;)+) => { $(
        $(#[$meta])*
        pub(crate) fn $function(connection: &AnyConnection) -> RowsStatement {
            match connection {
                AnyConnection::Pg(_) => postgres::$constant,
                AnyConnection::Sqlite(_) => sqlite::$constant,
            }
        }
    )+ };
}

choose! {
    /// All columns of the packages with these names, kept from changing until the commit.
    packages_for_change = PACKAGES_FOR_CHANGE;
    /// Which of these digests are stored, kept from being deleted until the commit.
    blobs_for_reuse = BLOBS_FOR_REUSE;
    /// Waiting tasks by (registry, name), kept from being claimed until the commit.
    waiting_for_merge = WAITING_FOR_MERGE;
    /// Leases due tasks: (registry, worker, lease ms, wanted).
    claim_tasks = CLAIM_TASKS;
    /// Leases named waiting tasks: rows of (id, worker, lease ms).
    claim_these = CLAIM_THESE;
    /// Prolongs leases: rows of (id, worker, lease ms).
    renew_tasks = RENEW_TASKS;
    /// Leases hooks for which something can be sent: (worker, now ms, lease ms, wanted).
    claim_hooks = CLAIM_HOOKS;
    /// What waits first for a hook of packages: rows of (hook, package, most of it).
    beginnings_of_lines = BEGINNINGS_OF_LINES;
}

/// Milliseconds since 1970 by the clock of the database, which all nodes share.
pub(crate) fn now_ms(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    use diesel::RunQueryDsl;
    use diesel::dsl::sql;
    use diesel::sql_types::BigInt;
    match connection {
        AnyConnection::Pg(_) => {
            Ok(diesel::select(sql::<BigInt>(postgres::NOW_MS)).get_result(connection)?)
        }
        // SQLite reads the clock of this machine; asked for it, it would prepare a statement
        AnyConnection::Sqlite(_) => Ok(machine_ms()),
    }
}

fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// One write transaction: all of `work`, or nothing.
///
/// SQLite takes its write lock at the start; a transaction that begins by reading could not get it
/// later, however long it waits.
pub(crate) fn write_transaction<T>(
    connection: &mut AnyConnection,
    work: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    match connection {
        AnyConnection::Sqlite(sqlite) => {
            AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?;
        }
        AnyConnection::Pg(postgres) => AnsiTransactionManager::begin_transaction(postgres)?,
    }
    type Manager = <AnyConnection as Connection>::TransactionManager;
    let answer = work(connection).and_then(|answer| {
        Manager::commit_transaction(connection)?;
        Ok(answer)
    });
    if answer.is_err() && is_open(connection) {
        // Should this fail too, the transaction counts as open and the connection is given up.
        let _ = Manager::rollback_transaction(connection);
    }
    answer
}

/// Whether a transaction is open on the connection (or its state cannot be told).
pub(crate) fn is_open(connection: &mut AnyConnection) -> bool {
    type Manager = <AnyConnection as Connection>::TransactionManager;
    !matches!(Manager::transaction_manager_status_mut(connection).transaction_depth(), Ok(None))
}
