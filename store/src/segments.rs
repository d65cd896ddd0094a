//! The `segments` table: how far each segment file is known to be durable.
//!
//! Written by the commit that follows a flush, so that after a crash everything behind that point
//! can be cut away.

use diesel::prelude::*;

use crate::blobs::SegmentState;
use crate::dialect::{RowsStatement, Value};
use crate::schema::segments;
use crate::{AnyConnection, StoreError};

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO segments (id, durable_bytes, sealed) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (id) DO UPDATE SET durable_bytes = excluded.durable_bytes, \
           sealed = excluded.sealed",
};

/// Every segment, by id.
///
/// # Errors
/// Those of the database.
pub fn all(connection: &mut AnyConnection) -> Result<Vec<SegmentState>, StoreError> {
    let rows = segments::table
        .order(segments::id)
        .select((segments::id, segments::durable_bytes, segments::sealed))
        .load::<(i64, i64, bool)>(connection)?;
    let state = |(id, durable_bytes, sealed)| SegmentState { id, durable_bytes, sealed };
    Ok(rows.into_iter().map(state).collect())
}

/// Remembers states (a write).
///
/// # Errors
/// Those of the database.
pub fn save(connection: &mut AnyConnection, states: &[SegmentState]) -> Result<(), StoreError> {
    let row = |state: &SegmentState| {
        [Value::BigInt(state.id), Value::BigInt(state.durable_bytes), Value::Bool(state.sealed)]
    };
    UPSERT.execute(connection, &states.iter().flat_map(row).collect::<Vec<_>>())?;
    Ok(())
}

/// Forgets a segment whose file is about to be removed (a write).
///
/// # Errors
/// Those of the database.
pub fn delete(connection: &mut AnyConnection, id: i64) -> Result<(), StoreError> {
    diesel::delete(segments::table.filter(segments::id.eq(id))).execute(connection)?;
    Ok(())
}
