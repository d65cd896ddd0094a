//! The `readmes` table: the text for people of each version that was published here.
//!
//! A document carries that of its newest version alone. When another one becomes the newest, its
//! text comes from here; readers of packages never do. Written with a package's change
//! ([`Publication`](crate::Publication)).

use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
use crate::schema::readmes;
use crate::{AnyConnection, StoreError};

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO readmes (package_id, version, body) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (package_id, version) DO UPDATE SET body = excluded.body",
};

/// The text of a version; `None` where none was kept.
///
/// # Errors
/// Those of the database, and when it is no UTF-8.
pub fn find(
    connection: &mut AnyConnection,
    package_id: i64,
    version: &str,
) -> Result<Option<String>, StoreError> {
    let row = readmes::table.find((package_id, version)).select(readmes::body);
    let body = row.get_result::<Vec<u8>>(connection).optional()?;
    let text = |body| String::from_utf8(body).map_err(|_| StoreError::damaged("a readme"));
    body.map(text).transpose()
}

/// Keeps the texts of versions (a write).
///
/// # Errors
/// Those of the database.
pub(crate) fn save(
    connection: &mut AnyConnection,
    package_id: i64,
    texts: &[(String, String)],
) -> Result<(), StoreError> {
    let values = texts.iter().flat_map(|(version, text)| {
        [Value::BigInt(package_id), Value::Text(version), Value::Binary(text.as_bytes())]
    });
    UPSERT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

/// Forgets those of versions that are gone (a write).
///
/// # Errors
/// Those of the database.
pub(crate) fn forget(
    connection: &mut AnyConnection,
    package_id: i64,
    versions: &[String],
) -> Result<(), StoreError> {
    let rows = readmes::table
        .filter(readmes::package_id.eq(package_id))
        .filter(readmes::version.eq_any(versions));
    diesel::delete(rows).execute(connection)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    #[test]
    fn texts_are_kept_replaced_and_forgotten_with_their_versions() {
        on_each_database(|test| {
            let texts = |list: &[(&str, &str)]| -> Vec<(String, String)> {
                list.iter().map(|(of, text)| ((*of).to_owned(), (*text).to_owned())).collect()
            };
            let save = |package, list| test.write(|rows| save(rows, package, &texts(list)));
            save(1, &[("1.0.0", "one\0 \u{e9}"), ("1.1.0", "")]);
            save(2, &[("1.0.0", "of another")]);
            save(1, &[("1.1.0", "two")]);
            save(1, &[]);
            let found = |package, version: &str| test.read(|rows| find(rows, package, version));
            assert_eq!(found(1, "1.0.0").as_deref(), Some("one\0 \u{e9}"));
            assert_eq!(found(1, "1.1.0").as_deref(), Some("two"));
            test.write(|rows| forget(rows, 1, &["1.0.0".to_owned(), "9.9.9".to_owned()]));
            assert_eq!(found(1, "1.0.0"), None);
            assert_eq!(found(2, "1.0.0").as_deref(), Some("of another"));
        });
    }
}
