//! The `kept_answers` table: small answers of an upstream's API, such as attestations.
//!
//! They are a few KiB, asked for rarely and written once, so they live in their row. A row
//! without a body says that upstream does not have it.

use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
use crate::schema::kept_answers;
use crate::{AnyConnection, StoreError};

/// What is known of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptAnswer {
    /// The body; `None`: upstream does not have it.
    pub body: Option<Vec<u8>>,
    /// When upstream was asked.
    pub checked_at_ms: i64,
}

/// What was there once stays when upstream loses it: it is evidence, and clients verify it.
const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO kept_answers (registry, path, body, checked_at_ms) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (registry, path) DO UPDATE SET \
           body = COALESCE(excluded.body, kept_answers.body), \
           checked_at_ms = excluded.checked_at_ms",
};

/// What upstream said to this path.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    registry: &str,
    path: &str,
) -> Result<Option<KeptAnswer>, StoreError> {
    let found = kept_answers::table
        .find((registry, path))
        .select((kept_answers::body, kept_answers::checked_at_ms))
        .first::<(Option<Vec<u8>>, i64)>(connection)
        .optional()?;
    Ok(found.map(|(body, checked_at_ms)| KeptAnswer { body, checked_at_ms }))
}

/// Keeps an answer (a write).
///
/// # Errors
/// Those of the database.
pub fn keep(
    connection: &mut AnyConnection,
    registry: &str,
    path: &str,
    body: Option<&[u8]>,
    now_ms: i64,
) -> Result<(), StoreError> {
    let values = [
        Value::Text(registry),
        Value::Text(path),
        Value::OptionalBinary(body),
        Value::BigInt(now_ms),
    ];
    UPSERT.execute(connection, &values)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    #[test]
    fn an_answer_that_upstream_loses_stays() {
        on_each_database(|test| {
            for (body, at) in [(None, 1), (Some(b"one".as_slice()), 2), (None, 3)] {
                test.write(move |rows| keep(rows, "default", "/x", body, at));
            }
            let found = test.read(|rows| find(rows, "default", "/x"));
            assert_eq!(found, Some(KeptAnswer { body: Some(b"one".to_vec()), checked_at_ms: 3 }));
            assert_eq!(test.read(|rows| find(rows, "other", "/x")), None);
        });
    }
}
