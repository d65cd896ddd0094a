//! The `maintainers` table: who may change the packages that are published here.
//!
//! Such a package is one whose `registry` is [`SELF`](crate::registries::SELF): its document is
//! made here, and no upstream is asked for it. Lists are written with a package's change
//! ([`Publication`](crate::Publication)), so that neither is there without the other.

use diesel::prelude::*;
use npm::PackageName;

use crate::dialect::{RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::maintainers;
use crate::{AnyConnection, StoreError};

const INSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO maintainers (name, user_name) VALUES ",
    columns: 2,
    tail: " ON CONFLICT (name, user_name) DO NOTHING",
};

/// The users who may change a package, in byte order.
///
/// # Errors
/// Those of the database.
pub fn of_package(
    connection: &mut AnyConnection,
    name: &PackageName,
) -> Result<Vec<String>, StoreError> {
    let rows = maintainers::table.filter(maintainers::name.eq(name.as_str()));
    Ok(rows.order(maintainers::user_name).select(maintainers::user_name).load(connection)?)
}

/// Whether this user may change a package.
///
/// # Errors
/// Those of the database.
pub fn has(
    connection: &mut AnyConnection,
    name: &PackageName,
    user: &str,
) -> Result<bool, StoreError> {
    let row = maintainers::table.find((name.as_str(), user)).select(maintainers::user_name);
    Ok(row.get_result::<String>(connection).optional()?.is_some())
}

/// The packages that a user may change, in byte order.
///
/// # Errors
/// Those of the database.
pub fn packages_of(
    connection: &mut AnyConnection,
    user: &str,
) -> Result<Vec<PackageName>, StoreError> {
    let rows = maintainers::table.filter(maintainers::user_name.eq(user));
    let names = rows.order(maintainers::name).select(maintainers::name);
    names.load::<String>(connection)?.iter().map(|name| package_name(name)).collect()
}

/// Makes these users the ones who may change a package, and nobody else (a write).
///
/// # Errors
/// Those of the database.
pub fn replace(
    connection: &mut AnyConnection,
    name: &PackageName,
    users: &[String],
) -> Result<(), StoreError> {
    let others = maintainers::table
        .filter(maintainers::name.eq(name.as_str()))
        .filter(maintainers::user_name.ne_all(users));
    diesel::delete(others).execute(connection)?;
    let mut users: Vec<&str> = users.iter().map(String::as_str).collect();
    users.sort_unstable();
    users.dedup();
    let values = users.iter().flat_map(|user| [Value::Text(name.as_str()), Value::Text(user)]);
    INSERT.execute(connection, &values.collect::<Vec<_>>())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    #[test]
    fn a_list_of_maintainers_is_replaced_whole_and_found_from_both_sides() {
        on_each_database(|test| {
            let name = |text: &str| PackageName::parse(text).unwrap();
            let (ui, key) = (name("@garden/ui"), name("@garden/key"));
            let users = |list: &[&str]| list.iter().map(|user| (*user).to_owned()).collect();
            for (package, list) in [
                (&ui, users(&["bob", "ada", "bob"])),
                (&key, users(&["ada"])),
                (&ui, users(&["ada", "eve"])),
            ] {
                let (package, list): (PackageName, Vec<String>) = (package.clone(), list);
                test.write(move |rows| replace(rows, &package, &list));
            }
            assert_eq!(test.read(|rows| of_package(rows, &ui)), ["ada", "eve"]);
            assert_eq!(test.read(|rows| packages_of(rows, "ada")), [key.clone(), ui.clone()]);
            assert_eq!(test.read(|rows| packages_of(rows, "bob")), []);
            assert!(test.read(|rows| has(rows, &ui, "eve")));
            assert!(!test.read(|rows| has(rows, &key, "eve")));
            let of = ui.clone();
            test.write(move |rows| replace(rows, &of, &[]));
            assert_eq!(test.read(|rows| of_package(rows, &ui)), Vec::<String>::new());
        });
    }
}
