//! What waits for a hook, as one line for each package.
//!
//! The first of a line decides: while it waits for its next try, nothing behind it is sent. So only
//! the first ones are looked at, by an index that leads from package to package; however much waits
//! behind one that has to wait costs nothing.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::lease::WaitingDelivery;
use crate::dialect::{self, RowsStatement, Value};
use crate::schema::hook_deliveries;
use crate::{AnyConnection, StoreError};

/// Lines looked at for one page.
const LINES: i64 = 512;

/// What can be sent now, of some packages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LinePage {
    /// The beginnings of lines that can be sent, oldest first.
    pub rows: Vec<WaitingDelivery>,
    /// Lines whose first delivery has to wait.
    pub held: usize,
    /// When the first of those is due.
    pub due_ms: Option<i64>,
    /// The next page is behind this package; `None` when there is none.
    pub behind: Option<String>,
}

/// The first deliveries of the lines behind a package: (package, when it is due).
const FIRST: RowsStatement = RowsStatement {
    head: "WITH RECURSIVE input(hook, behind, most) AS (VALUES ",
    columns: 3,
    tail: "), line(package, number) AS (SELECT (SELECT d.package FROM hook_deliveries AS d \
           WHERE d.hook_id = (SELECT hook FROM input) AND d.state = 'waiting' \
           AND d.package > (SELECT behind FROM input) ORDER BY d.package LIMIT 1), 1 \
           UNION ALL SELECT (SELECT d.package FROM hook_deliveries AS d \
           WHERE d.hook_id = (SELECT hook FROM input) AND d.state = 'waiting' \
           AND d.package > line.package ORDER BY d.package LIMIT 1), line.number + 1 \
           FROM line WHERE line.package IS NOT NULL \
           AND line.number < (SELECT most FROM input)) \
           SELECT line.package, (SELECT d.not_before_ms FROM hook_deliveries AS d \
           WHERE d.hook_id = (SELECT hook FROM input) AND d.state = 'waiting' \
           AND d.package = line.package ORDER BY d.seq LIMIT 1) \
           FROM line WHERE line.package IS NOT NULL ORDER BY line.number",
};

type Row = (BigInt, Text, Text, Text, BigInt, BigInt, BigInt, BigInt);

/// What can be sent now to a hook, of packages behind one of them: up to about `limit` deliveries,
/// shared out among the packages.
///
/// # Errors
/// Those of the database.
pub fn page(
    connection: &mut AnyConnection,
    hook: &str,
    behind: &str,
    limit: i64,
) -> Result<LinePage, StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    let values = [Value::Text(hook), Value::Text(behind), Value::BigInt(LINES)];
    let first: Vec<(Option<String>, Option<i64>)> =
        FIRST.load::<(Nullable<Text>, Nullable<BigInt>), _>(connection, &values)?;
    let is_full = i64::try_from(first.len()).is_ok_and(|found| found >= LINES);
    let mut page = LinePage::default();
    let (mut ready, most) = (Vec::new(), usize::try_from(limit).unwrap_or(usize::MAX));
    for (package, due_ms) in first.into_iter().filter_map(|(package, due)| package.zip(due)) {
        if due_ms > now_ms {
            page.held += 1;
            page.due_ms = Some(page.due_ms.map_or(due_ms, |earlier| earlier.min(due_ms)));
        } else {
            ready.push(package.clone());
        }
        page.behind = Some(package);
        if ready.len() >= most {
            break;
        }
    }
    if !is_full && ready.len() < most {
        page.behind = None;
    }
    page.rows = beginnings(connection, hook, &ready, limit)?;
    Ok(page)
}

/// As many of each line as all of them together may have.
fn beginnings(
    connection: &mut AnyConnection,
    hook: &str,
    packages: &[String],
    limit: i64,
) -> Result<Vec<WaitingDelivery>, StoreError> {
    let Ok(lines @ 1..) = i64::try_from(packages.len()) else { return Ok(Vec::new()) };
    let each = Value::BigInt((limit / lines).max(1));
    let values = packages.iter().flat_map(|name| [Value::Text(hook), Value::Text(name), each]);
    let statement = dialect::beginnings_of_lines(connection);
    let mut rows: Vec<WaitingDelivery> =
        statement.load::<Row, _>(connection, &values.collect::<Vec<_>>())?;
    rows.sort_unstable_by_key(|row| row.seq);
    Ok(rows)
}

/// The last delivery of a hook so far; 0 without one.
///
/// # Errors
/// Those of the database.
pub fn last_seq(connection: &mut AnyConnection, hook: &str) -> Result<i64, StoreError> {
    let rows = hook_deliveries::table.filter(hook_deliveries::hook_id.eq(hook));
    let last = rows.order(hook_deliveries::seq.desc()).select(hook_deliveries::seq).limit(1);
    Ok(last.get_result(connection).optional()?.unwrap_or(0))
}
