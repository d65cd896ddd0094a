//! What is not here although an upstream has it, and why: as numbers and as a list.
//!
//! Every question is answered from an index that holds such rows only, so it costs as much as is
//! missing and not as much as is here.

#[cfg(test)]
mod tests;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use serde::{Deserialize, Serialize};

use crate::schema::{missing_names, packages, versions};
use crate::{AnyConnection, StoreError, VersionState};

/// How much is not here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Gaps {
    /// Names upstream lists that nobody has asked for yet.
    pub names_never_fetched: i64,
    /// Names upstream lists whose task waits or runs.
    pub names_waiting: i64,
    /// Names upstream lists whose task failed.
    pub names_failed: i64,
    /// Versions of mirrored packages whose tarball nobody has asked for yet.
    pub versions_never_fetched: i64,
    /// Versions whose tarball could not be had.
    pub versions_failed: i64,
    /// Versions whose tarball is left out on purpose.
    pub versions_skipped: i64,
    /// Versions here that upstream took away.
    pub versions_gone: i64,
    /// Packages here that upstream took away or emptied.
    pub names_gone: i64,
}

/// Why something is not here, or why something here is not upstream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nobody has asked for it yet.
    NeverFetched,
    /// Its task waits or runs.
    Waiting,
    /// It was tried and failed; the reason says how.
    Failed,
    /// It is left out on purpose; the reason says why.
    Skipped,
    /// Upstream took it away.
    Gone,
}

/// One thing that is not here, or not upstream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// The package.
    pub name: String,
    /// One version of it; `None`: the package as a whole.
    pub version: Option<String>,
    /// Why.
    pub why: Why,
    /// In words, where there is more to say.
    pub reason: Option<String>,
}

/// The parts of the list, in its order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    NamesNeverFetched,
    NamesWaiting,
    NamesFailed,
    VersionsNeverFetched,
    VersionsFailed,
    VersionsSkipped,
    NamesGone,
    VersionsGone,
}

const PARTS: [Part; 8] = [
    Part::NamesNeverFetched,
    Part::NamesWaiting,
    Part::NamesFailed,
    Part::VersionsNeverFetched,
    Part::VersionsFailed,
    Part::VersionsSkipped,
    Part::NamesGone,
    Part::VersionsGone,
];

impl Part {
    fn why(self) -> Why {
        match self {
            Self::NamesNeverFetched | Self::VersionsNeverFetched => Why::NeverFetched,
            Self::NamesWaiting => Why::Waiting,
            Self::NamesFailed | Self::VersionsFailed => Why::Failed,
            Self::VersionsSkipped => Why::Skipped,
            Self::NamesGone | Self::VersionsGone => Why::Gone,
        }
    }
}

/// Where a page of the list begins; its text form is opaque to readers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GapCursor {
    part: usize,
    /// Registry, or id of the package.
    first: String,
    /// Name, or version.
    second: String,
}

impl std::fmt::Display for GapCursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}|{}|{}", self.part, self.first, self.second)
    }
}

impl std::str::FromStr for GapCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let refused = || StoreError::Invalid(format!("{text:?} is no place in the list of gaps"));
        let mut parts = text.splitn(3, '|');
        let part = parts.next().and_then(|part| part.parse().ok());
        let part = part.filter(|part| *part < PARTS.len()).ok_or_else(refused)?;
        let first = parts.next().ok_or_else(refused)?.to_owned();
        let second = parts.next().ok_or_else(refused)?.to_owned();
        Ok(Self { part, first, second })
    }
}

/// One page of the list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GapPage {
    /// The rows.
    pub gaps: Vec<Gap>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<GapCursor>,
}

// In the words of the partial indexes.

fn not_held(state: VersionState) -> SqlLiteral<Bool> {
    sql(match state {
        VersionState::Remote => {
            "versions.state = 'remote' AND versions.state <> 'held' \
             AND versions.removed_at_ms IS NULL"
        }
        VersionState::Failed => {
            "versions.state = 'failed' AND versions.state <> 'held' \
             AND versions.removed_at_ms IS NULL"
        }
        _ => {
            "versions.state = 'skipped' AND versions.state <> 'held' \
             AND versions.removed_at_ms IS NULL"
        }
    })
}

fn is_gone() -> SqlLiteral<Bool> {
    sql("versions.removed_at_ms IS NOT NULL")
}

fn is_not_live() -> SqlLiteral<Bool> {
    sql("packages.status <> 'live'")
}

fn is_waiting() -> SqlLiteral<Bool> {
    sql("missing_names.queued_at_ms IS NOT NULL AND missing_names.reason IS NULL")
}

fn has_failed() -> SqlLiteral<Bool> {
    sql("missing_names.reason IS NOT NULL")
}

fn never_asked() -> SqlLiteral<Bool> {
    sql("missing_names.queued_at_ms IS NULL AND missing_names.reason IS NULL")
}

fn is_mirrored() -> SqlLiteral<Bool> {
    sql("packages.keep = 'mirrored'")
}

/// Counts what is not here.
///
/// # Errors
/// Those of the database.
pub fn count(connection: &mut AnyConnection) -> Result<Gaps, StoreError> {
    let names = missing_names::table;
    let all: i64 = names.count().get_result(connection)?;
    let never: i64 = names.filter(never_asked()).count().get_result(connection)?;
    let failed: i64 = names.filter(has_failed()).count().get_result(connection)?;
    let versions_in = |connection: &mut AnyConnection, state| -> Result<i64, StoreError> {
        Ok(versions::table.filter(not_held(state)).count().get_result(connection)?)
    };
    Ok(Gaps {
        names_never_fetched: never,
        names_waiting: all.saturating_sub(never).saturating_sub(failed),
        names_failed: failed,
        versions_never_fetched: count_never_fetched(connection)?,
        versions_failed: versions_in(connection, VersionState::Failed)?,
        versions_skipped: versions_in(connection, VersionState::Skipped)?,
        versions_gone: versions::table.filter(is_gone()).count().get_result(connection)?,
        names_gone: packages::table.filter(is_not_live()).count().get_result(connection)?,
    })
}

/// Remote versions of mirrored packages: one look at a package, not one at each of its versions.
fn count_never_fetched(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let text = "SELECT CAST(COALESCE(SUM(remote.count), 0) AS BIGINT) AS count FROM \
        (SELECT package_id, COUNT(*) AS count FROM versions WHERE state = 'remote' \
        AND state <> 'held' AND removed_at_ms IS NULL GROUP BY package_id) AS remote \
        JOIN packages ON packages.id = remote.package_id WHERE packages.keep = 'mirrored'";
    let row = diesel::sql_query(text).load::<Count>(connection)?;
    Ok(row.first().map_or(0, |row| row.count))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// A page of what is not here, at most `limit` rows from `from` on; of one kind, or of all.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    why: Option<Why>,
    from: &GapCursor,
    limit: i64,
) -> Result<GapPage, StoreError> {
    let mut page = GapPage::default();
    let mut cursor = from.clone();
    for (place, part) in PARTS.iter().enumerate().skip(from.part) {
        if cursor.part != place {
            cursor = GapCursor { part: place, ..GapCursor::default() };
        }
        if why.is_some_and(|why| why != part.why()) {
            continue;
        }
        let left = limit.saturating_sub(i64::try_from(page.gaps.len()).unwrap_or(limit));
        if left <= 0 {
            page.next = Some(cursor);
            return Ok(page);
        }
        let rows = rows(connection, *part, &cursor, left)?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|found| found >= left);
        let end = rows.last().map(|row| (row.first.clone(), row.second.clone()));
        page.gaps.extend(rows.into_iter().map(|row| row.gap(part.why())));
        if let Some((first, second)) = end.filter(|_| is_full) {
            page.next = Some(GapCursor { part: place, first, second });
            return Ok(page);
        }
    }
    Ok(page)
}

/// A row of any part.
struct Row {
    first: String,
    second: String,
    name: String,
    version: Option<String>,
    reason: Option<String>,
}

impl Row {
    fn gap(self, why: Why) -> Gap {
        Gap { name: self.name, version: self.version, why, reason: self.reason }
    }
}

fn rows(
    connection: &mut AnyConnection,
    part: Part,
    cursor: &GapCursor,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    match part {
        Part::NamesNeverFetched => missing(connection, never_asked(), cursor, limit),
        Part::NamesWaiting => missing(connection, is_waiting(), cursor, limit),
        Part::NamesFailed => missing(connection, has_failed(), cursor, limit),
        Part::VersionsNeverFetched => {
            let wanted = not_held(VersionState::Remote);
            let mirrored = is_mirrored();
            versions_where(connection, wanted, Some(mirrored), cursor, limit)
        }
        Part::VersionsFailed => {
            versions_where(connection, not_held(VersionState::Failed), None, cursor, limit)
        }
        Part::VersionsSkipped => {
            versions_where(connection, not_held(VersionState::Skipped), None, cursor, limit)
        }
        Part::VersionsGone => versions_where(connection, is_gone(), None, cursor, limit),
        Part::NamesGone => gone(connection, cursor, limit),
    }
}

/// Missing names behind the cursor.
fn missing(
    connection: &mut AnyConnection,
    wanted: SqlLiteral<Bool>,
    cursor: &GapCursor,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let behind = missing_names::registry
        .gt(&cursor.first)
        .or(missing_names::registry.eq(&cursor.first).and(missing_names::name.gt(&cursor.second)));
    let found: Vec<(String, String, Option<String>)> = missing_names::table
        .filter(wanted)
        .filter(missing_names::registry.ge(&cursor.first))
        .filter(behind)
        .order((missing_names::registry, missing_names::name))
        .limit(limit)
        .select((missing_names::registry, missing_names::name, missing_names::reason))
        .load(connection)?;
    let row = |(first, name, reason): (String, String, Option<String>)| Row {
        first,
        second: name.clone(),
        name,
        version: None,
        reason,
    };
    Ok(found.into_iter().map(row).collect())
}

/// Versions behind the cursor.
fn versions_where(
    connection: &mut AnyConnection,
    wanted: SqlLiteral<Bool>,
    of: Option<SqlLiteral<Bool>>,
    cursor: &GapCursor,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let id: i64 = cursor.first.parse().unwrap_or(0);
    let behind = versions::package_id
        .gt(id)
        .or(versions::package_id.eq(id).and(versions::version.gt(&cursor.second)));
    let of = of.unwrap_or_else(|| sql("1 = 1"));
    let found: Vec<(i64, String, String, Option<String>)> = versions::table
        .inner_join(packages::table.on(packages::id.eq(versions::package_id)))
        .filter(wanted)
        .filter(versions::package_id.ge(id))
        .filter(behind)
        .filter(of)
        .order((versions::package_id, versions::version))
        .limit(limit)
        .select((versions::package_id, versions::version, packages::name, versions::reason))
        .load(connection)?;
    let row = |(id, version, name, reason): (i64, String, String, Option<String>)| Row {
        first: id.to_string(),
        second: version.clone(),
        name,
        version: Some(version),
        reason,
    };
    Ok(found.into_iter().map(row).collect())
}

/// Packages that are gone upstream, behind the cursor.
fn gone(
    connection: &mut AnyConnection,
    cursor: &GapCursor,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let found: Vec<(String, String)> = packages::table
        .filter(is_not_live())
        .filter(packages::name.gt(&cursor.second))
        .order(packages::name)
        .limit(limit)
        .select((packages::name, packages::status))
        .load(connection)?;
    let row = |(name, status): (String, String)| Row {
        first: String::new(),
        second: name.clone(),
        name,
        version: None,
        reason: Some(status),
    };
    Ok(found.into_iter().map(row).collect())
}
