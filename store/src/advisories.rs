//! The `advisories` table: what security advisories that an operator loaded say of packages.

use std::collections::BTreeSet;

use diesel::dsl::{count, count_star, max};
use diesel::prelude::*;
use npm::PackageName;
use npm::advisory::Known;
use npm::advisory::osv::Record;

use crate::dialect::{RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::advisories;
use crate::{AnyConnection, StoreError, dialect};

/// Names asked for in one statement.
const AT_ONCE: usize = 500;

/// An advisory about a package.
#[derive(Clone, Debug, PartialEq)]
pub struct AdvisoryRow {
    /// The package.
    pub name: PackageName,
    /// Id of the record.
    pub record: String,
    /// What it says.
    pub known: Known,
    /// When it was loaded.
    pub loaded_at_ms: i64,
}

/// How much is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Queryable)]
pub struct AdvisoryCounts {
    /// Records.
    pub records: i64,
    /// Packages in them, counted once a record.
    pub packages: i64,
    /// When the newest was loaded.
    pub loaded_at_ms: Option<i64>,
}

type Raw = (String, String, String, i64);

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO advisories (name, record, body, loaded_at_ms) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (name, record) \
           DO UPDATE SET body = excluded.body, loaded_at_ms = excluded.loaded_at_ms",
};

/// Puts records in the place of what they said before (a write); a withdrawn one leaves nothing.
/// Answers how many rows there are of them now.
///
/// # Errors
/// Those of the database.
pub fn put(connection: &mut AnyConnection, records: &[Record]) -> Result<usize, StoreError> {
    let now = dialect::now_ms(connection)?;
    let ids: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    for id in &ids {
        diesel::delete(advisories::table.filter(advisories::record.eq(id))).execute(connection)?;
    }
    let mut rows = Vec::new();
    for record in records.iter().filter(|record| !record.withdrawn) {
        for (name, known) in &record.packages {
            let body = serde_json::to_string(known)
                .map_err(|error| StoreError::Invalid(format!("{}: {error}", record.id)))?;
            rows.push((name.as_str(), record.id.as_str(), body));
        }
    }
    // a record names a package once for each of its stretches at times, and a row is one statement's
    rows.sort_unstable();
    let rows = merged(rows)?;
    let values = rows.iter().flat_map(|(name, record, body)| {
        [Value::Text(name), Value::Text(record), Value::Text(body), Value::BigInt(now)]
    });
    INSERT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(rows.len())
}

type NewRow<'a> = (&'a str, &'a str, String);

/// Several entries of a record about one package as one.
fn merged(rows: Vec<NewRow<'_>>) -> Result<Vec<NewRow<'_>>, StoreError> {
    let mut merged: Vec<NewRow<'_>> = Vec::with_capacity(rows.len());
    for (name, record, body) in rows {
        match merged.last_mut().filter(|last| (last.0, last.1) == (name, record)) {
            Some(last) => {
                let both = parse(record, &last.2)?.and(parse(record, &body)?);
                last.2 = serde_json::to_string(&both)
                    .map_err(|error| StoreError::Invalid(format!("{record}: {error}")))?;
            }
            None => merged.push((name, record, body)),
        }
    }
    Ok(merged)
}

/// Forgets every advisory (a write).
///
/// # Errors
/// Those of the database.
pub fn clear(connection: &mut AnyConnection) -> Result<usize, StoreError> {
    Ok(diesel::delete(advisories::table).execute(connection)?)
}

/// Whether any is loaded.
///
/// # Errors
/// Those of the database.
pub fn any(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let first = advisories::table.select(advisories::name).limit(1);
    Ok(first.get_result::<String>(connection).optional()?.is_some())
}

/// All that is known of these packages, by name.
///
/// # Errors
/// Those of the database.
pub fn of_packages(
    connection: &mut AnyConnection,
    names: &[PackageName],
) -> Result<Vec<AdvisoryRow>, StoreError> {
    let mut found = Vec::new();
    for names in names.chunks(AT_ONCE) {
        let rows = advisories::table
            .filter(advisories::name.eq_any(names.iter().map(PackageName::as_str)))
            .order((advisories::name, advisories::record))
            .load::<Raw>(connection)?;
        found.extend(rows.into_iter().map(row).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

/// A page of everything, by name and record.
///
/// # Errors
/// Those of the database.
pub fn list(
    connection: &mut AnyConnection,
    after: &str,
    limit: i64,
) -> Result<Vec<AdvisoryRow>, StoreError> {
    let rows = advisories::table
        .filter(advisories::name.gt(after))
        .order((advisories::name, advisories::record))
        .limit(limit)
        .load::<Raw>(connection)?;
    rows.into_iter().map(row).collect()
}

/// How much is loaded; reads the whole table.
///
/// # Errors
/// Those of the database.
pub fn counts(connection: &mut AnyConnection) -> Result<AdvisoryCounts, StoreError> {
    let counted = (
        count(advisories::record).aggregate_distinct(),
        count_star(),
        max(advisories::loaded_at_ms),
    );
    Ok(advisories::table.select(counted).get_result(connection)?)
}

fn row((name, record, body, loaded_at_ms): Raw) -> Result<AdvisoryRow, StoreError> {
    let known = parse(&record, &body)?;
    Ok(AdvisoryRow { name: package_name(&name)?, record, known, loaded_at_ms })
}

fn parse(record: &str, body: &str) -> Result<Known, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Invalid(format!("{record}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    fn record(id: &str, withdrawn: bool, packages: &[(&str, &str)]) -> Record {
        let affected = packages.iter().map(|(name, fixed)| {
            format!(
                r#"{{"package": {{"ecosystem": "npm", "name": "{name}"}}, "ranges": [{{
                    "type": "SEMVER", "events": [{{"introduced": "0"}}, {{"fixed": "{fixed}"}}]}}]}}"#
            )
        });
        let affected = affected.collect::<Vec<_>>().join(",");
        let withdrawn = if withdrawn { r#""withdrawn": "2026-01-01T00:00:00Z","# } else { "" };
        let text = format!(r#"{{"id": "{id}", {withdrawn} "affected": [{affected}]}}"#);
        Record::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_record_takes_the_place_of_what_it_said_before() {
        on_each_database(|test| {
            let mut writer = test.store.writer_blocking().unwrap();
            let mut write =
                |records: Vec<Record>| writer.write_blocking(|rows| put(rows, &records)).unwrap();
            let name = |text: &str| PackageName::parse(text).unwrap();
            let of = |names: &[&str]| {
                let names: Vec<_> = names.iter().map(|text| name(text)).collect();
                let rows = test.store.read_blocking(|rows| of_packages(rows, &names)).unwrap();
                rows.into_iter()
                    .map(|row| (row.name.to_string(), row.known.advisory.vulnerable_versions))
                    .collect::<Vec<_>>()
            };
            let found = |name: &str, range: &str| (name.to_owned(), range.to_owned());
            assert!(!test.store.read_blocking(any).unwrap());
            // one that names a package twice is one row
            let both = [("lamp", "1.0.0"), ("@garden/ui", "2.0.0"), ("lamp", "0.5.0")];
            assert_eq!(write(vec![record("GHSA-1", false, &both)]), 2);
            assert_eq!(of(&["lamp"]), [found("lamp", "<0.5.0 || <1.0.0")]);
            assert_eq!(write(vec![record("GHSA-2", false, &[("lamp", "3.0.0")])]), 1);
            assert_eq!(of(&["lamp", "@garden/ui", "other"]).len(), 3);
            // it says less now
            write(vec![record("GHSA-1", false, &[("lamp", "1.5.0")])]);
            assert_eq!(of(&["@garden/ui"]), []);
            assert_eq!(of(&["lamp"]), [found("lamp", "<1.5.0"), found("lamp", "<3.0.0")]);
            let counted = test.store.read_blocking(counts).unwrap();
            assert_eq!((counted.records, counted.packages), (2, 2));
            assert!(counted.loaded_at_ms.is_some());
            assert_eq!(write(vec![record("GHSA-2", true, &[("lamp", "3.0.0")])]), 0);
            assert_eq!(of(&["lamp"]).len(), 1);
            let page = test.store.read_blocking(|rows| list(rows, "", 10)).unwrap();
            assert_eq!(page[0].record, "GHSA-1");
            writer.write_blocking(clear).unwrap();
            assert!(!test.store.read_blocking(any).unwrap());
        });
    }
}
