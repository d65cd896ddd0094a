//! One statement with many rows of values, prepared once per size.
//!
//! diesel prepares batch inserts and raw queries anew each time. Here the rows are cut into chunks
//! of a few fixed sizes, so each statement exists in a few lengths and stays in the connection's
//! statement cache.

use std::marker::PhantomData;

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel::{PgConnection, RunQueryDsl, SqliteConnection};

use crate::{AnyConnection, StoreError};

/// Rows a statement may hold. Few sizes: each is a prepared statement of its own.
const CHUNKS: [usize; 4] = [128, 32, 8, 1];

/// One bound value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Bool(bool),
    Integer(i32),
    BigInt(i64),
    Binary(&'a [u8]),
    OptionalText(Option<&'a str>),
    OptionalBigInt(Option<i64>),
    OptionalBinary(Option<&'a [u8]>),
}

/// A statement that repeats a row of parameters: `head (?, ?), (?, ?) tail`.
#[derive(Clone, Copy)]
pub(crate) struct RowsStatement {
    pub head: &'static str,
    pub tail: &'static str,
    /// Parameters of one row.
    pub columns: usize,
}

/// A statement with the values of one chunk.
struct Filled<'a> {
    statement: RowsStatement,
    values: &'a [Value<'a>],
}

/// The same, answering rows of the SQL type `S`.
pub(crate) struct Returning<'a, S> {
    filled: Filled<'a>,
    answer: PhantomData<S>,
}

impl RowsStatement {
    /// Runs the statement over all rows; `values` holds them one after another.
    pub(crate) fn execute(
        &self,
        connection: &mut AnyConnection,
        values: &[Value<'_>],
    ) -> Result<usize, StoreError> {
        refuse_nul(values)?;
        let mut affected = 0;
        for values in self.chunks(values) {
            let filled = Filled { statement: *self, values };
            affected += match connection {
                AnyConnection::Pg(connection) => filled.execute(connection)?,
                AnyConnection::Sqlite(connection) => filled.execute(connection)?,
            };
        }
        Ok(affected)
    }

    /// As [`execute`](Self::execute), and collects what `RETURNING` answers.
    pub(crate) fn load<S, T>(
        &self,
        connection: &mut AnyConnection,
        values: &[Value<'_>],
    ) -> Result<Vec<T>, StoreError>
    where
        for<'a> Returning<'a, S>:
            LoadQuery<'a, PgConnection, T> + LoadQuery<'a, SqliteConnection, T>,
    {
        refuse_nul(values)?;
        let mut rows = Vec::with_capacity(values.len() / self.columns.max(1));
        for values in self.chunks(values) {
            let filled =
                Returning::<S> { filled: Filled { statement: *self, values }, answer: PhantomData };
            match connection {
                AnyConnection::Pg(connection) => rows.extend(filled.load::<T>(connection)?),
                AnyConnection::Sqlite(connection) => rows.extend(filled.load::<T>(connection)?),
            }
        }
        Ok(rows)
    }

    fn chunks<'v, 'a>(&self, values: &'v [Value<'a>]) -> impl Iterator<Item = &'v [Value<'a>]> {
        let columns = self.columns.max(1);
        let mut rest = values;
        std::iter::from_fn(move || {
            let rows = rest.len() / columns;
            let size = CHUNKS.into_iter().find(|&size| size <= rows)?;
            let (chunk, others) = rest.split_at(size * columns);
            rest = others;
            Some(chunk)
        })
    }
}

/// PostgreSQL cannot hold NUL in a text, and its refusal would take the whole transaction along.
fn refuse_nul(values: &[Value<'_>]) -> Result<(), StoreError> {
    let nul = values.iter().find_map(|value| match value {
        Value::Text(text) | Value::OptionalText(Some(text)) if text.contains('\0') => Some(text),
        _ => None,
    });
    match nul {
        Some(text) => Err(StoreError::Invalid(format!("{text:?} holds a NUL character"))),
        None => Ok(()),
    }
}

macro_rules! walk_for {
    ($($backend:ty),+) => { $(
        impl QueryFragment<$backend> for Filled<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                out.push_sql(self.statement.head);
                for (row, values) in self.values.chunks(self.statement.columns.max(1)).enumerate() {
                    out.push_sql(if row == 0 { "(" } else { ", (" });
                    for (column, value) in values.iter().enumerate() {
                        if column > 0 {
                            out.push_sql(", ");
                        }
                        match value {
                            Value::Text(value) => out.push_bind_param::<Text, str>(value)?,
                            Value::Bool(value) => out.push_bind_param::<Bool, bool>(value)?,
                            Value::Integer(value) => out.push_bind_param::<Integer, i32>(value)?,
                            Value::BigInt(value) => out.push_bind_param::<BigInt, i64>(value)?,
                            Value::Binary(value) => out.push_bind_param::<Binary, [u8]>(value)?,
                            Value::OptionalText(value) => {
                                out.push_bind_param::<Nullable<Text>, Option<&str>>(value)?;
                            }
                            Value::OptionalBigInt(value) => {
                                out.push_bind_param::<Nullable<BigInt>, Option<i64>>(value)?;
                            }
                            Value::OptionalBinary(value) => {
                                out.push_bind_param::<Nullable<Binary>, Option<&[u8]>>(value)?;
                            }
                        }
                    }
                    out.push_sql(")");
                }
                out.push_sql(self.statement.tail);
                Ok(())
            }
        }

        impl<S> QueryFragment<$backend> for Returning<'_, S> {
            fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, $backend>) -> QueryResult<()> {
                QueryFragment::<$backend>::walk_ast(&self.filled, out)
            }
        }
    )+ };
}

walk_for!(Pg, Sqlite);

/// No id of its own: the statement cache then goes by the text.
impl QueryId for Filled<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S> QueryId for Returning<'_, S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S> Query for Returning<'_, S> {
    type SqlType = S;
}

impl<C> RunQueryDsl<C> for Filled<'_> {}
impl<C, S> RunQueryDsl<C> for Returning<'_, S> {}
