//! Whether the database itself is in order.

use diesel::RunQueryDsl;
use diesel::sql_types::Text;

use crate::{AnyConnection, Store, StoreError};

#[derive(diesel::QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

/// Reads every page and index of an SQLite database; a PostgreSQL server checks its own pages
/// when it reads them, so there it is only asked for an answer.
///
/// # Errors
/// [`StoreError::Damaged`] with what was found, or why it could not be read.
pub fn check_database_blocking(store: &Store) -> Result<(), StoreError> {
    store.read_blocking(|connection| match connection {
        AnyConnection::Sqlite(sqlite) => {
            let found = diesel::sql_query("PRAGMA integrity_check(10)").load::<Finding>(sqlite)?;
            let texts: Vec<_> = found.into_iter().map(|finding| finding.integrity_check).collect();
            if texts == ["ok"] { Ok(()) } else { Err(StoreError::damaged(texts.join("; "))) }
        }
        AnyConnection::Pg(server) => {
            diesel::sql_query("SELECT 1").execute(server)?;
            Ok(())
        }
    })
}
