//! Where a test keeps its rows: a SQLite file, or a schema of its own in `TEST_DATABASE_URL`.

use std::path::Path;

use store::DatabaseSettings;

/// A database nobody else uses.
pub fn scratch(folder: &Path) -> DatabaseSettings {
    match std::env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => {
            let schema = format!("it_{}", uuid::Uuid::now_v7().simple());
            DatabaseSettings::Postgres { url, schema: Some(schema) }
        }
        _ => DatabaseSettings::Sqlite { path: folder.join("espejo.db") },
    }
}
