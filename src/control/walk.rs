//! Lists of versions that no index leads to: a bounded stretch of the packages, page by page.

use store::facts::{self, ListedPackage};
use store::{AnyConnection, StoreError};

use crate::blocked::BlockTarget;

/// Packages looked at for one page, however little of them is listed.
pub const PACKAGES_A_PAGE: usize = 500;

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What was found, by name and version.
    pub rows: Vec<T>,
    /// Where the list goes on, `NAME` or behind `NAME@VERSION`; `None` at its end.
    pub next: Option<String>,
}

/// Looks at packages by name, from a place on, until there are enough rows or enough was looked at.
///
/// # Errors
/// Those of `look` and of the database.
pub fn walk<T>(
    rows: &mut AnyConnection,
    after: Option<&BlockTarget>,
    limit: usize,
    mut look: impl FnMut(&mut AnyConnection, &ListedPackage) -> Result<Vec<(String, T)>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let first = after.map_or("", |after| after.name.as_str());
    let asked = i64::try_from(PACKAGES_A_PAGE + 1).unwrap_or(i64::MAX);
    let packages = facts::packages_from(rows, first, asked)?;
    let mut found = Vec::new();
    for (place, package) in packages.iter().enumerate() {
        if place == PACKAGES_A_PAGE || found.len() >= limit {
            return Ok(Page { rows: found, next: Some(package.name.to_string()) });
        }
        let seen = after.filter(|after| after.name == package.name);
        for (version, row) in look(rows, package)? {
            if seen.is_some_and(|seen| version <= seen.version) {
                continue;
            }
            found.push(row);
            // a version that is no semantic one can be no place in a list
            if found.len() >= limit && npm::version::is_version(&version) {
                let next = BlockTarget { name: package.name.clone(), version };
                return Ok(Page { rows: found, next: Some(next.to_string()) });
            }
        }
    }
    Ok(Page { rows: found, next: None })
}
