//! The `stars` table: the packages that people like. Ours alone; no upstream hears of them.

use diesel::prelude::*;
use npm::PackageName;

use crate::dialect::{self, RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::stars;
use crate::{AnyConnection, StoreError};

const ADD: RowsStatement = RowsStatement {
    head: "INSERT INTO stars (user_name, package, created_at_ms) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (user_name, package) DO NOTHING",
};

/// A user likes a package from now on; `false` when that was so before (a write).
///
/// # Errors
/// Those of the database.
pub fn add(
    connection: &mut AnyConnection,
    user: &str,
    package: &PackageName,
) -> Result<bool, StoreError> {
    let now = Value::BigInt(dialect::now_ms(connection)?);
    let values = [Value::Text(user), Value::Text(package.as_str()), now];
    Ok(ADD.execute(connection, &values)? > 0)
}

/// A user does not like a package any more; `false` when that was so before (a write).
///
/// # Errors
/// Those of the database.
pub fn remove(
    connection: &mut AnyConnection,
    user: &str,
    package: &PackageName,
) -> Result<bool, StoreError> {
    let star = stars::table.find((user, package.as_str()));
    Ok(diesel::delete(star).execute(connection)? > 0)
}

/// What a user likes, by name.
///
/// # Errors
/// Those of the database.
pub fn of_user(connection: &mut AnyConnection, user: &str) -> Result<Vec<PackageName>, StoreError> {
    let names = stars::table.filter(stars::user_name.eq(user)).order(stars::package);
    let names = names.select(stars::package).load::<String>(connection)?;
    names.iter().map(|name| package_name(name)).collect()
}

/// How many packages a user likes.
///
/// # Errors
/// Those of the database.
pub fn count_of_user(connection: &mut AnyConnection, user: &str) -> Result<i64, StoreError> {
    Ok(stars::table.filter(stars::user_name.eq(user)).count().get_result(connection)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_each_database, package};

    #[test]
    fn a_star_is_there_or_not() {
        on_each_database(|test| {
            let (lamp, ui) = (package("lamp"), package("@garden/ui"));
            assert!(test.write(|c| add(c, "ada", &lamp)));
            assert!(!test.write(|c| add(c, "ada", &lamp)));
            assert!(test.write(|c| add(c, "ada", &ui)));
            assert!(test.write(|c| add(c, "bob", &lamp)));
            assert_eq!(test.read(|c| of_user(c, "ada")), [ui, lamp.clone()]);
            assert_eq!(test.read(|c| count_of_user(c, "ada")), 2);
            assert!(test.write(|c| remove(c, "ada", &lamp)));
            assert!(!test.write(|c| remove(c, "ada", &lamp)));
            assert_eq!(test.read(|c| of_user(c, "bob")), [lamp]);
        });
    }
}
