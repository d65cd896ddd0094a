//! What the manifest of a version says that rules of the settings look at, in the `versions` table.
//!
//! Written with the row of the version, and read only where a rule asks for it. Rows from before
//! that get theirs from the stored document ([`save`]) when a rule meets them.

use diesel::prelude::*;
use npm::{PackageName, VersionFacts};

use crate::dialect::{RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::{packages, versions};
use crate::{AnyConnection, StoreError};

/// Most characters kept of a licence; texts of licences have been found in that place.
const LONGEST_LICENCE: usize = 200;

const YES: &str = "yes";
const NO: &str = "no";
const UNKNOWN: &str = "unknown";

/// The facts of one manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestFacts {
    /// The licence as one text; `None` when none is announced.
    pub licence: Option<String>,
    /// `dist.size`: what the tarball is announced to have.
    pub announced_bytes: Option<i64>,
    /// Whether installing it runs something.
    pub install_scripts: bool,
}

impl From<&VersionFacts<'_>> for ManifestFacts {
    fn from(facts: &VersionFacts<'_>) -> Self {
        Self {
            licence: facts.licence.as_deref().map(kept_licence),
            announced_bytes: facts.size.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            install_scripts: facts.install_scripts,
        }
    }
}

/// One line of no great length.
fn kept_licence(text: &str) -> String {
    let kept = text.chars().take(LONGEST_LICENCE);
    kept.map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// How much is known of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Facts {
    /// Nobody looked yet: the row is older than this.
    Unread,
    /// Somebody looked, and the manifest is not here any more.
    Gone,
    /// This is what it says.
    Read(ManifestFacts),
}

/// A version as rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFactsRow {
    /// The version.
    pub version: String,
    /// Size of its tarball, when that is known.
    pub size_bytes: Option<i64>,
    /// What its manifest says.
    pub facts: Facts,
}

type Raw = (String, Option<i64>, Option<String>, Option<i64>, Option<String>);

type Columns = (
    versions::version,
    versions::size_bytes,
    versions::licence,
    versions::announced_bytes,
    versions::install_scripts,
);

const COLUMNS: Columns = (
    versions::version,
    versions::size_bytes,
    versions::licence,
    versions::announced_bytes,
    versions::install_scripts,
);

/// Rows of (package id, version, licence, announced bytes, install scripts); a commit that was
/// quicker knows better.
const SAVE: RowsStatement = RowsStatement {
    head: "UPDATE versions SET licence = found.column3, announced_bytes = found.column4, \
           install_scripts = found.column5 FROM (VALUES ",
    columns: 5,
    tail: ") AS found WHERE versions.package_id = found.column1 \
           AND versions.version = found.column2 AND versions.install_scripts IS NULL",
};

/// The word of the table.
pub(crate) fn scripts_text(runs: bool) -> &'static str {
    if runs { YES } else { NO }
}

fn row((version, size_bytes, licence, announced_bytes, scripts): Raw) -> VersionFactsRow {
    let read =
        |install_scripts| Facts::Read(ManifestFacts { licence, announced_bytes, install_scripts });
    let facts = match scripts.as_deref() {
        None => Facts::Unread,
        Some(YES) => read(true),
        Some(NO) => read(false),
        Some(_) => Facts::Gone,
    };
    VersionFactsRow { version, size_bytes, facts }
}

/// All versions of a package, removed ones included, in no order.
///
/// # Errors
/// Those of the database.
pub fn of_package(
    connection: &mut AnyConnection,
    package_id: i64,
) -> Result<Vec<VersionFactsRow>, StoreError> {
    let rows = versions::table.filter(versions::package_id.eq(package_id)).select(COLUMNS);
    Ok(rows.load::<Raw>(connection)?.into_iter().map(row).collect())
}

/// One version.
///
/// # Errors
/// Those of the database.
pub fn of_version(
    connection: &mut AnyConnection,
    package_id: i64,
    version: &str,
) -> Result<Option<VersionFactsRow>, StoreError> {
    let found = versions::table.find((package_id, version)).select(COLUMNS);
    Ok(found.get_result::<Raw>(connection).optional()?.map(row))
}

/// Fills rows that have no facts yet (a write); `None` says that the manifest is not here any more.
///
/// # Errors
/// Those of the database.
pub fn save(
    connection: &mut AnyConnection,
    package_id: i64,
    found: &[(String, Option<ManifestFacts>)],
) -> Result<(), StoreError> {
    let values = found.iter().flat_map(|(version, facts)| {
        let known = facts.as_ref();
        [
            Value::BigInt(package_id),
            Value::Text(version),
            Value::OptionalText(known.and_then(|facts| facts.licence.as_deref())),
            Value::OptionalBigInt(known.and_then(|facts| facts.announced_bytes)),
            Value::Text(known.map_or(UNKNOWN, |facts| scripts_text(facts.install_scripts))),
        ]
    });
    SAVE.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

/// A package in a list of people.
#[derive(Clone, Debug)]
pub struct ListedPackage {
    /// Row id.
    pub id: i64,
    /// The package.
    pub name: PackageName,
    /// The registry that owns it.
    pub registry: String,
}

/// At most `limit` packages from this name on, in byte order.
///
/// # Errors
/// Those of the database.
pub fn packages_from(
    connection: &mut AnyConnection,
    name: &str,
    limit: i64,
) -> Result<Vec<ListedPackage>, StoreError> {
    let found = packages::table
        .filter(packages::name.ge(name))
        .order(packages::name)
        .limit(limit)
        .select((packages::id, packages::name, packages::registry))
        .load::<(i64, String, String)>(connection)?;
    let read = |(id, name, registry): (i64, String, String)| {
        Ok(ListedPackage { id, name: package_name(&name)?, registry })
    };
    found.into_iter().map(read).collect()
}

/// The versions of a package that are still upstream, in byte order.
///
/// # Errors
/// Those of the database.
pub fn listed(
    connection: &mut AnyConnection,
    package_id: i64,
) -> Result<Vec<VersionFactsRow>, StoreError> {
    let rows = versions::table
        .filter(versions::package_id.eq(package_id).and(versions::removed_at_ms.is_null()))
        .order(versions::version)
        .select(COLUMNS);
    Ok(rows.load::<Raw>(connection)?.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests;
