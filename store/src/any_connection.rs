//! [`AnyConnection`]: one type for connections to both databases.

use diesel::{MultiConnection, PgConnection, SqliteConnection};

/// A connection to either database. Opened by scheme, never by trying an address.
#[derive(MultiConnection)]
pub enum AnyConnection {
    /// PostgreSQL.
    Pg(PgConnection),
    /// SQLite; last, because diesel's trial would take any text as a path.
    Sqlite(SqliteConnection),
}
