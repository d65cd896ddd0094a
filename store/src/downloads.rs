//! The `downloads` table: how often tarballs were fetched from here, by UTC day.
//!
//! Counts are added in the statement, so the nodes of a cluster sum up. Days are counted since
//! 1970. What is older than [`VERSIONS_KEPT_DAYS`] is kept by package only ([`fold`]).

use std::collections::HashMap;

use diesel::dsl::{min, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use npm::PackageName;

use crate::dialect::{RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::downloads;
use crate::{AnyConnection, StoreError};

/// The subject of all downloads together, and the version of counts that name none. Neither a
/// package nor a version is called so.
pub const ALL: &str = "*";

/// Days for which versions are counted apart: the longest range of one question, and some.
pub const VERSIONS_KEPT_DAYS: i64 = 400;

/// Subjects of one query.
const SUBJECTS_AT_ONCE: usize = 500;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Downloads of one version on one day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Downloads {
    /// The package.
    pub name: PackageName,
    /// Its version.
    pub version: String,
    /// The day, see [`day_of`].
    pub day: i64,
    /// How many more.
    pub count: i64,
}

/// Downloads of a version on a day, as stored; the version is [`ALL`] where it is not known.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct DayCount {
    /// The day.
    pub day: i64,
    /// The version.
    pub version: String,
    /// How many.
    pub count: i64,
}

const ADD: RowsStatement = RowsStatement {
    head: "INSERT INTO downloads (subject, day, version, count) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (subject, day, version) \
           DO UPDATE SET count = downloads.count + excluded.count",
};

const FOLD: RowsStatement = RowsStatement {
    head: "INSERT INTO downloads (subject, day, version, count) \
           SELECT old.subject, old.day, '*', CAST(SUM(old.count) AS BIGINT) FROM (VALUES ",
    columns: 1,
    tail: ") AS days JOIN downloads AS old ON old.day = days.column1 WHERE old.version <> '*' \
           GROUP BY old.subject, old.day ON CONFLICT (subject, day, version) \
           DO UPDATE SET count = downloads.count + excluded.count",
};

/// The day of a time in unix milliseconds.
#[must_use]
pub fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// When a day begins, in unix milliseconds.
#[must_use]
pub fn start_of(day: i64) -> i64 {
    day.saturating_mul(DAY_MS)
}

/// Adds counts to those of the versions, of their scopes, and of everything (a write).
///
/// # Errors
/// Those of the database.
pub fn add(connection: &mut AnyConnection, counts: &[Downloads]) -> Result<(), StoreError> {
    let subjects = |one: &Downloads| {
        let scope = one.name.scope().map(str::to_owned);
        let sums = scope.into_iter().chain([ALL.to_owned()]);
        let sums = sums.map(|subject| (subject, ALL.to_owned())).collect::<Vec<_>>();
        [(one.name.as_str().to_owned(), one.version.clone())].into_iter().chain(sums)
    };
    // one row a key in a statement, and on all nodes in one order
    let mut sums = std::collections::BTreeMap::<(String, i64, String), i64>::new();
    for one in counts {
        for (subject, version) in subjects(one) {
            *sums.entry((subject, one.day, version)).or_default() += one.count;
        }
    }
    let values = sums.iter().flat_map(|((subject, day, version), count)| {
        [Value::Text(subject), Value::BigInt(*day), Value::Text(version), Value::BigInt(*count)]
    });
    ADD.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

/// Counts of a subject from one day to another, both included, by day and version.
///
/// The subject is a package, a scope or [`ALL`].
///
/// # Errors
/// Those of the database.
pub fn between(
    connection: &mut AnyConnection,
    subject: &str,
    first: i64,
    last: i64,
) -> Result<Vec<DayCount>, StoreError> {
    let rows = downloads::table
        .filter(downloads::subject.eq(subject))
        .filter(downloads::day.between(first, last))
        .order((downloads::day, downloads::version))
        .select((downloads::day, downloads::version, downloads::count));
    Ok(rows.load(connection)?)
}

/// How often each of these packages was fetched since a day; those that never were are left out.
///
/// # Errors
/// Those of the database.
pub fn sums(
    connection: &mut AnyConnection,
    names: &[PackageName],
    first: i64,
) -> Result<HashMap<String, i64>, StoreError> {
    let mut found = HashMap::new();
    for names in names.chunks(SUBJECTS_AT_ONCE) {
        let rows = downloads::table
            .filter(downloads::subject.eq_any(names.iter().map(PackageName::as_str)))
            .filter(downloads::day.ge(first))
            .group_by(downloads::subject)
            .select((downloads::subject, sql::<BigInt>("CAST(SUM(count) AS BIGINT)")))
            .load::<(String, i64)>(connection)?;
        found.extend(rows);
    }
    Ok(found)
}

/// Packages that were fetched on a day whose versions are counted apart, behind a name, in byte
/// order.
///
/// # Errors
/// Those of the database.
pub fn names_of_day(
    connection: &mut AnyConnection,
    day: i64,
    after: &str,
    limit: i64,
) -> Result<Vec<PackageName>, StoreError> {
    let names = downloads::table
        .filter(downloads::day.eq(day))
        .filter(downloads::version.ne(ALL))
        .filter(downloads::subject.gt(after))
        .select(downloads::subject)
        .distinct()
        .order(downloads::subject)
        .limit(limit)
        .load::<String>(connection)?;
    names.iter().map(|name| package_name(name)).collect()
}

/// Counts the versions of the oldest day before `day` by their package from now on (a write);
/// answers whether there was such a day.
///
/// # Errors
/// Those of the database.
pub fn fold(connection: &mut AnyConnection, day: i64) -> Result<bool, StoreError> {
    let of_versions = downloads::version.ne(ALL);
    let oldest = downloads::table.filter(of_versions).select(min(downloads::day));
    let oldest = oldest.get_result::<Option<i64>>(connection)?.filter(|oldest| *oldest < day);
    let Some(oldest) = oldest else { return Ok(false) };
    FOLD.execute(connection, &[Value::BigInt(oldest)])?;
    let folded = downloads::table.filter(downloads::day.eq(oldest)).filter(of_versions);
    diesel::delete(folded).execute(connection)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    fn downloads(name: &str, version: &str, day: i64, count: i64) -> Downloads {
        let name = PackageName::parse(name).unwrap();
        Downloads { name, version: version.to_owned(), day, count }
    }

    #[test]
    fn counts_add_up_by_version_scope_and_altogether_and_old_ones_by_package() {
        on_each_database(|test| {
            let mut writer = test.store.writer_blocking().unwrap();
            let mut add = |counts: Vec<Downloads>| {
                writer.write_blocking(|rows| add(rows, &counts)).unwrap();
            };
            add(vec![
                downloads("@garden/ui", "1.0.0", 10, 2),
                downloads("@garden/ui", "1.1.0", 10, 3),
                downloads("lamp", "1.0.0", 11, 1),
            ]);
            add(vec![downloads("@garden/ui", "1.0.0", 10, 5), downloads("lamp", "1.0.0", 11, 1)]);
            let counts = |subject: &str, first, last| {
                let read = |rows: &mut AnyConnection| between(rows, subject, first, last);
                let rows = test.store.read_blocking(read).unwrap();
                rows.into_iter().map(|row| (row.day, row.version, row.count)).collect::<Vec<_>>()
            };
            let all = |day, count| (day, ALL.to_owned(), count);
            assert_eq!(counts(ALL, 0, 99), [all(10, 10), all(11, 2)]);
            assert_eq!(counts("@garden", 10, 10), [all(10, 10)]);
            let of = |version: &str, count| (10, version.to_owned(), count);
            assert_eq!(counts("@garden/ui", 10, 11), [of("1.0.0", 7), of("1.1.0", 3)]);
            assert!(counts("lamp", 12, 99).is_empty());

            let mut folded = |day| writer.write_blocking(|rows| fold(rows, day)).unwrap();
            assert!(!folded(10));
            assert!(folded(11));
            assert!(!folded(11));
            assert_eq!(counts("@garden/ui", 0, 99), [all(10, 10)]);
            assert_eq!(counts(ALL, 0, 99), [all(10, 10), all(11, 2)]);
            assert_eq!(counts("lamp", 0, 99), [(11, "1.0.0".to_owned(), 2)]);
        });
    }

    #[test]
    fn packages_are_summed_up_and_those_of_a_day_are_listed() {
        on_each_database(|test| {
            let mut writer = test.store.writer_blocking().unwrap();
            let counts = [
                downloads("@garden/ui", "1.0.0", 10, 2),
                downloads("@garden/ui", "1.1.0", 11, 3),
                downloads("@garden/ui", "1.0.0", 9, 50),
                downloads("lamp", "1.0.0", 11, 1),
            ];
            writer.write_blocking(|rows| add(rows, &counts)).unwrap();
            let names =
                ["@garden/ui", "lamp", "none"].map(|name| PackageName::parse(name).unwrap());
            let found = test.store.read_blocking(|rows| sums(rows, &names, 10)).unwrap();
            assert_eq!(
                found,
                HashMap::from([("@garden/ui".to_owned(), 5), ("lamp".to_owned(), 1)])
            );
            let of_day = |day, after, limit| {
                let read = |rows: &mut AnyConnection| names_of_day(rows, day, after, limit);
                let names = test.store.read_blocking(read).unwrap();
                names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(of_day(11, "", 9), ["@garden/ui", "lamp"]);
            assert_eq!(of_day(11, "@garden/ui", 9), ["lamp"]);
            assert_eq!(of_day(11, "", 1), ["@garden/ui"]);
            assert!(of_day(12, "", 9).is_empty());
        });
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!((day_of(0), day_of(DAY_MS - 1), day_of(DAY_MS), day_of(-1)), (0, 0, 1, -1));
        assert_eq!(start_of(2), 2 * DAY_MS);
    }
}
