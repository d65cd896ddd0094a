//! The `changes` table: the log of what changed here, in the order it became visible.
//!
//! A seq is taken at the end of the transaction that needs it, under a lock that is held until the
//! commit: a reader that continues from a seq never misses a row that was committed late.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::dialect::{RowsStatement, Value};
use crate::schema::{changes, local_seq};
use crate::{AnyConnection, StoreError};

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeRow {
    /// Ours, never mixed with an upstream's.
    pub seq: i64,
    /// The package.
    pub name: String,
    /// What caused it: `sync`, `miss`, `tarball`.
    pub kind: String,
    /// When it was committed.
    pub at_ms: i64,
}

const TAKE: RowsStatement = RowsStatement {
    head: "UPDATE local_seq SET value = value + ",
    columns: 1,
    tail: " WHERE id = 1 RETURNING value",
};

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO changes (seq, name, kind, at_ms) VALUES ",
    columns: 4,
    tail: "",
};

/// Changes after a seq, oldest first, one for each package: its newest.
///
/// # Errors
/// Those of the database.
pub fn since(
    connection: &mut AnyConnection,
    seq: i64,
    limit: i64,
) -> Result<Vec<ChangeRow>, StoreError> {
    let later = diesel::alias!(changes as later);
    let newer = later
        .filter(later.field(changes::name).eq(changes::name))
        .filter(later.field(changes::seq).gt(changes::seq));
    let rows = changes::table
        .filter(changes::seq.gt(seq))
        .filter(not(exists(newer)))
        .order(changes::seq)
        .limit(limit)
        .select((changes::seq, changes::name, changes::kind, changes::at_ms))
        .load::<(i64, String, String, i64)>(connection)?;
    let row = |(seq, name, kind, at_ms)| ChangeRow { seq, name, kind, at_ms };
    Ok(rows.into_iter().map(row).collect())
}

/// The newest seq; 0 before the first change.
///
/// # Errors
/// Those of the database.
pub fn last_seq(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(local_seq::table.find(1).select(local_seq::value).first(connection)?)
}

/// Takes one seq for each name and writes the rows; answers with the first seq.
///
/// Must be the last that a transaction does: everybody who commits waits from here on.
pub(crate) fn append(
    connection: &mut AnyConnection,
    rows: &[(&str, &str)],
    at_ms: i64,
) -> Result<i64, StoreError> {
    let count = i64::try_from(rows.len())
        .map_err(|_| StoreError::Other(format!("{} changes at once", rows.len())))?;
    let taken = TAKE.load::<diesel::sql_types::BigInt, i64>(connection, &[Value::BigInt(count)])?;
    let last = taken.first().copied();
    let last = last.ok_or_else(|| StoreError::damaged("the table local_seq has lost its row"))?;
    let first = last - count + 1;
    let values = (first..).zip(rows).flat_map(|(seq, &(name, kind))| {
        [Value::BigInt(seq), Value::Text(name), Value::Text(kind), Value::BigInt(at_ms)]
    });
    INSERT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(first)
}
