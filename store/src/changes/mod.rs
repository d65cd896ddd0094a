//! The `changes` table: which packages changed here, in the order it became visible.
//!
//! A seq is taken at the end of the transaction that needs it, under a lock that is held until the
//! commit: a reader that continues from a seq never misses a row that was committed late. A package
//! has one row, its newest; a new change moves it to the end. Rows of packages that are gone stay,
//! marked as deleted.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use diesel::dsl::{not, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use npm::PackageName;

use crate::dialect::{RowsStatement, Value};
use crate::schema::{changes, local_seq};
use crate::{AnyConnection, StoreError};

/// The newest change of one package.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct ChangeRow {
    /// Ours, never mixed with an upstream's.
    pub seq: i64,
    /// The package.
    pub name: String,
    /// What caused it: `sync`, `miss`, `tarball`.
    pub kind: String,
    /// `_rev` of the document then; of a document without one our revision and its digest.
    pub rev: String,
    /// The version that this change added last, when it added any.
    pub version: Option<String>,
    /// The package is gone since then.
    pub deleted: bool,
    /// When it was committed.
    pub at_ms: i64,
}

/// A change that gets its seq with the commit.
pub(crate) struct NewChange<'a> {
    pub name: &'a str,
    pub kind: &'a str,
    pub rev: &'a str,
    pub version: Option<&'a str>,
    pub deleted: bool,
}

const TAKE: RowsStatement = RowsStatement {
    head: "UPDATE local_seq SET value = value + ",
    columns: 1,
    tail: " WHERE id = 1 RETURNING value",
};

const MOVE_TO_END: RowsStatement = RowsStatement {
    head: "INSERT INTO changes (seq, name, kind, rev, version, deleted, at_ms) VALUES ",
    columns: 7,
    tail: " ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, \
           rev = excluded.rev, version = excluded.version, deleted = excluded.deleted, \
           at_ms = excluded.at_ms",
};

/// In the words of the partial index.
fn is_deleted() -> SqlLiteral<Bool> {
    sql("deleted")
}

/// Changes after a seq, oldest first, one for each package: its newest.
///
/// # Errors
/// Those of the database.
pub fn since(
    connection: &mut AnyConnection,
    seq: i64,
    limit: i64,
) -> Result<Vec<ChangeRow>, StoreError> {
    let later = changes::table.filter(changes::seq.gt(seq));
    Ok(later.order(changes::seq).limit(limit).load(connection)?)
}

/// The names of [`since`] alone, with their seqs.
///
/// # Errors
/// Those of the database.
pub fn names_since(
    connection: &mut AnyConnection,
    seq: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>, StoreError> {
    let later = changes::table.filter(changes::seq.gt(seq)).order(changes::seq).limit(limit);
    Ok(later.select((changes::seq, changes::name)).load(connection)?)
}

/// Names that are not gone with their revs, from `start` on, in byte order.
///
/// # Errors
/// Those of the database.
pub fn names_from(
    connection: &mut AnyConnection,
    start: &str,
    skip: i64,
    limit: i64,
) -> Result<Vec<(String, String)>, StoreError> {
    let names = changes::table
        .filter(changes::name.ge(start))
        .filter(not(changes::deleted))
        .order(changes::name)
        .offset(skip)
        .limit(limit)
        .select((changes::name, changes::rev));
    Ok(names.load(connection)?)
}

/// How many names are not gone: all of them, or those before `end`. Counts in indexes.
///
/// # Errors
/// Those of the database.
pub fn count_names(connection: &mut AnyConnection, end: Option<&str>) -> Result<i64, StoreError> {
    let (all, gone) = (changes::table, changes::table.filter(is_deleted()));
    let (all, gone): (i64, i64) = match end {
        None => (all.count().get_result(connection)?, gone.count().get_result(connection)?),
        Some(end) => (
            all.filter(changes::name.lt(end)).count().get_result(connection)?,
            gone.filter(changes::name.lt(end)).count().get_result(connection)?,
        ),
    };
    Ok(all - gone)
}

/// How many of these names are not gone, all of them or those before `end`.
///
/// # Errors
/// Those of the database.
pub fn count_of(
    connection: &mut AnyConnection,
    names: &[PackageName],
    end: Option<&str>,
) -> Result<i64, StoreError> {
    let mut count = 0;
    for some in names.chunks(500) {
        let some: Vec<&str> = some.iter().map(PackageName::as_str).collect();
        let some = some.into_iter().filter(|name| end.is_none_or(|end| *name < end));
        let rows = changes::table
            .filter(changes::name.eq_any(some.collect::<Vec<_>>()))
            .filter(not(changes::deleted));
        count += rows.count().get_result::<i64>(connection)?;
    }
    Ok(count)
}

/// The newest seq; 0 before the first change.
///
/// # Errors
/// Those of the database.
pub fn last_seq(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(local_seq::table.find(1).select(local_seq::value).get_result(connection)?)
}

/// Takes one seq for each change and writes the rows; answers with the first seq.
///
/// Must be the last that a transaction does: everybody who commits waits from here on.
pub(crate) fn append(
    connection: &mut AnyConnection,
    rows: &[NewChange<'_>],
    at_ms: i64,
) -> Result<i64, StoreError> {
    let count = i64::try_from(rows.len())
        .map_err(|_| StoreError::Other(format!("{} changes at once", rows.len())))?;
    let taken = TAKE.load::<diesel::sql_types::BigInt, i64>(connection, &[Value::BigInt(count)])?;
    let last = taken.first().copied();
    let last = last.ok_or_else(|| StoreError::damaged("the table local_seq has lost its row"))?;
    let first = last - count + 1;
    // A statement may touch a row only once (PostgreSQL); of a name given twice the last counts.
    let mut seen = HashSet::with_capacity(rows.len());
    let newest = (first..=last).rev().zip(rows.iter().rev());
    let newest = newest.filter(|(_, row)| seen.insert(row.name));
    let values = newest.flat_map(|(seq, row)| {
        [
            Value::BigInt(seq),
            Value::Text(row.name),
            Value::Text(row.kind),
            Value::Text(row.rev),
            Value::OptionalText(row.version),
            Value::Bool(row.deleted),
            Value::BigInt(at_ms),
        ]
    });
    MOVE_TO_END.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(first)
}
