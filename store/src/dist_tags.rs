//! The `dist_tags` table: the tags of each package's current document.

use std::collections::HashMap;

use diesel::prelude::*;
use npm::PackageName;

use crate::dialect::{RowsStatement, Value};
use crate::schema::{dist_tags, packages};
use crate::{AnyConnection, StoreError};

const UPSERT: RowsStatement = RowsStatement {
    head: "INSERT INTO dist_tags (package_id, tag, version) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (package_id, tag) DO UPDATE SET version = excluded.version",
};

/// The tags of a package, by tag.
///
/// # Errors
/// Those of the database.
pub fn of_package(
    connection: &mut AnyConnection,
    name: &PackageName,
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = dist_tags::table
        .inner_join(packages::table.on(packages::id.eq(dist_tags::package_id)))
        .filter(packages::name.eq(name.as_str()))
        .order(dist_tags::tag)
        .select((dist_tags::tag, dist_tags::version))
        .load(connection)?;
    Ok(rows)
}

/// New tags of one package.
pub(crate) struct NewTags<'a> {
    pub package_id: i64,
    /// The package has no tags yet.
    pub fresh: bool,
    pub tags: &'a [(String, String)],
}

/// Makes the stored tags of these packages equal to the new ones, touching only what differs.
pub(crate) fn replace(
    connection: &mut AnyConnection,
    changes: &[NewTags<'_>],
) -> Result<(), StoreError> {
    let known = known_tags(connection, changes)?;
    let mut stale: HashMap<(i64, &str), &str> = known
        .iter()
        .map(|(package, tag, version)| ((*package, tag.as_str()), version.as_str()))
        .collect();
    let mut wanted: Vec<(i64, &str, &str)> = Vec::new();
    for change in changes {
        let tags: HashMap<&str, &str> =
            change.tags.iter().map(|(tag, version)| (tag.as_str(), version.as_str())).collect();
        for (tag, version) in tags {
            if stale.remove(&(change.package_id, tag)) != Some(version) {
                wanted.push((change.package_id, tag, version));
            }
        }
    }
    wanted.sort_unstable();
    let values = wanted.iter().flat_map(|&(package, tag, version)| {
        [Value::BigInt(package), Value::Text(tag), Value::Text(version)]
    });
    UPSERT.execute(connection, &values.collect::<Vec<_>>())?;
    for &(package, tag) in stale.keys() {
        diesel::delete(dist_tags::table.find((package, tag))).execute(connection)?;
    }
    Ok(())
}

fn known_tags(
    connection: &mut AnyConnection,
    changes: &[NewTags<'_>],
) -> Result<Vec<(i64, String, String)>, StoreError> {
    let ids: Vec<i64> =
        changes.iter().filter(|change| !change.fresh).map(|change| change.package_id).collect();
    let mut known = Vec::new();
    for ids in ids.chunks(500) {
        known.extend(dist_tags::table.filter(dist_tags::package_id.eq_any(ids)).load::<(
            i64,
            String,
            String,
        )>(
            connection
        )?);
    }
    Ok(known)
}
