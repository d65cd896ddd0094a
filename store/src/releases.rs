//! The `releases` table: versions that an admin gives out although they are young or a rule denies
//! them.

use std::collections::HashSet;

use diesel::prelude::*;
use npm::PackageName;

use crate::audit::{self, By};
use crate::dialect::{self, RowsStatement, Value};
use crate::schema::releases;
use crate::{AnyConnection, StoreError, epochs};

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO releases (name, version, operator, created_at_ms) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (name, version) DO NOTHING",
};

/// The released versions of a package.
///
/// # Errors
/// Those of the database.
pub fn of_package(
    connection: &mut AnyConnection,
    name: &PackageName,
) -> Result<HashSet<String>, StoreError> {
    let rows = releases::table.filter(releases::name.eq(name.as_str()));
    let rows = rows.select(releases::version).load::<String>(connection)?;
    Ok(rows.into_iter().collect())
}

/// Whether this version is released.
///
/// # Errors
/// Those of the database.
pub fn has(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
) -> Result<bool, StoreError> {
    let row = releases::table.find((name.as_str(), version)).select(releases::version);
    Ok(row.get_result::<String>(connection).optional()?.is_some())
}

/// Gives a version out from now on, with a row of the audit log (a write); `false` when it was
/// released before.
///
/// # Errors
/// Those of the database.
pub fn add_by(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
    by: &By,
) -> Result<bool, StoreError> {
    let now_ms = dialect::now_ms(connection)?;
    let values = [
        Value::Text(name.as_str()),
        Value::Text(version),
        Value::Text(&by.who),
        Value::BigInt(now_ms),
    ];
    let is_new = INSERT.execute(connection, &values)? > 0;
    if is_new {
        epochs::raise(connection, epochs::Kind::Blocks)?;
        audit::record(connection, by, "hold.release", &format!("{name}@{version}"), None, None)?;
    }
    Ok(is_new)
}

/// Takes a release back, with a row of the audit log (a write); `false` when there was none.
///
/// # Errors
/// Those of the database.
pub fn remove_by(
    connection: &mut AnyConnection,
    name: &PackageName,
    version: &str,
    by: &By,
) -> Result<bool, StoreError> {
    let row = releases::table.find((name.as_str(), version));
    if diesel::delete(row).execute(connection)? == 0 {
        return Ok(false);
    }
    epochs::raise(connection, epochs::Kind::Blocks)?;
    audit::record(connection, by, "hold.take_back", &format!("{name}@{version}"), None, None)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_each_database, package};

    #[test]
    fn a_version_is_released_once_and_alone() {
        on_each_database(|test| {
            let (lamp, ada) = (package("lamp"), By::terminal("ada"));
            assert!(test.write(|rows| add_by(rows, &lamp, "1.0.0", &ada)));
            assert!(!test.write(|rows| add_by(rows, &lamp, "1.0.0", &ada)));
            assert!(test.read(|rows| has(rows, &lamp, "1.0.0")));
            assert!(!test.read(|rows| has(rows, &lamp, "1.0.1")));
            let all = test.read(|rows| of_package(rows, &lamp));
            assert_eq!(all, HashSet::from(["1.0.0".to_owned()]));
            let filter = audit::AuditFilter { limit: 10, ..audit::AuditFilter::default() };
            assert_eq!(test.read(|rows| audit::list(rows, &filter)).len(), 1);
            let take_back = |version| test.write(|rows| remove_by(rows, &lamp, version, &ada));
            assert!(!take_back("1.0.1"));
            assert!(take_back("1.0.0"));
            assert!(!take_back("1.0.0"));
            assert!(!test.read(|rows| has(rows, &lamp, "1.0.0")));
            let log = test.read(|rows| audit::list(rows, &filter));
            let told: Vec<_> = log.iter().map(|row| (&*row.action, &*row.subject)).collect();
            let lines = [("hold.take_back", "lamp@1.0.0"), ("hold.release", "lamp@1.0.0")];
            assert_eq!(told, lines);
        });
    }
}
