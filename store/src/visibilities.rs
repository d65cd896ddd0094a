//! The `visibilities` table: packages of which somebody said who may read them.

use diesel::prelude::*;
use npm::PackageName;

use crate::dialect::{RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::visibilities;
use crate::states::Visibility;
use crate::{AnyConnection, StoreError, epochs};

const SET: RowsStatement = RowsStatement {
    head: "INSERT INTO visibilities (package, visibility) VALUES ",
    columns: 2,
    tail: " ON CONFLICT (package) DO UPDATE SET visibility = excluded.visibility",
};

/// What was said of a package.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    package: &PackageName,
) -> Result<Option<Visibility>, StoreError> {
    let found = visibilities::table.find(package.as_str()).select(visibilities::visibility);
    let found = found.get_result::<String>(connection).optional()?;
    found.map(|text| Visibility::from_text(&text)).transpose()
}

/// Says who may read a package (a write).
///
/// # Errors
/// Those of the database.
pub fn set(
    connection: &mut AnyConnection,
    package: &PackageName,
    visibility: Visibility,
) -> Result<(), StoreError> {
    let values = [Value::Text(package.as_str()), Value::Text(visibility.as_str())];
    SET.execute(connection, &values)?;
    epochs::raise(connection, epochs::Kind::Access)
}

/// All that was said.
pub(crate) fn all(
    connection: &mut AnyConnection,
) -> Result<Vec<(PackageName, Visibility)>, StoreError> {
    let rows = visibilities::table.load::<(String, String)>(connection)?;
    rows.into_iter()
        .map(|(package, text)| Ok((package_name(&package)?, Visibility::from_text(&text)?)))
        .collect()
}
