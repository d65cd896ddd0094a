//! Stars, in the form of the CouchDB view that npm asks.

use npm::PackageName;
use serde::Serialize;

/// The answer of `/-/_view/starredByUser`.
#[derive(Debug, Serialize)]
pub struct StarredBy<'a> {
    total_rows: usize,
    offset: usize,
    rows: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    id: &'a str,
    key: &'a str,
    value: &'a str,
}

impl<'a> StarredBy<'a> {
    /// What a user likes.
    #[must_use]
    pub fn new(user: &'a str, names: &'a [PackageName]) -> Self {
        let row =
            |name: &'a PackageName| Row { id: name.as_str(), key: user, value: name.as_str() };
        Self { total_rows: names.len(), offset: 0, rows: names.iter().map(row).collect() }
    }
}
