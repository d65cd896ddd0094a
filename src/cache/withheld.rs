//! What readers must not get although it is here: blocked, or not signed as required.

use std::collections::HashSet;
use std::sync::Arc;

use actors::SyncPolicy;
use actors::rules::unsigned_text;
use npm::PackageName;
use store::blocks::{self, BlockRow, WHOLE_PACKAGE};
use store::packages::PackageRow;
use store::versions::{self, VersionRow};
use store::{AnyConnection, StoreError};

use crate::error::ApiError;

/// Versions left out of documents.
pub type Hidden = Arc<HashSet<String>>;

/// What the tables say about withholding a package.
pub struct Withheld {
    /// The block of the whole package.
    pub package: Option<BlockRow>,
    /// Versions left out.
    pub versions: HashSet<String>,
}

impl Withheld {
    /// Reads what is withheld of a package; `row` is there when the package is here.
    ///
    /// # Errors
    /// Those of the database.
    pub fn read(
        rows: &mut AnyConnection,
        policy: &SyncPolicy,
        name: &PackageName,
        row: Option<&PackageRow>,
    ) -> Result<Self, StoreError> {
        let mut withheld = Self { package: None, versions: HashSet::new() };
        for block in blocks::of_package(rows, name)? {
            if block.version == WHOLE_PACKAGE {
                withheld.package = Some(block);
            } else {
                withheld.versions.insert(block.version);
            }
        }
        if let Some(row) = row.filter(|_| policy.withholds(None)) {
            withheld.versions.extend(versions::not_valid(rows, row.id)?);
        }
        Ok(withheld)
    }
}

/// The refusal of a blocked package, or of one version or file of it.
#[must_use]
pub fn blocked(what: impl std::fmt::Display, block: &BlockRow) -> ApiError {
    ApiError::Legal(format!("{what} was blocked, reason: {}", block.reason))
}

/// Why this version is not given out, if it is not; `row` is there when the version is known.
///
/// # Errors
/// Those of the database.
pub fn refusal(
    rows: &mut AnyConnection,
    policy: &SyncPolicy,
    name: &PackageName,
    version: &str,
    row: Option<&VersionRow>,
) -> Result<Option<ApiError>, StoreError> {
    if let Some(block) = blocks::of_version(rows, name, version)? {
        let what = match version {
            WHOLE_PACKAGE => name.to_string(),
            version => format!("{name}@{version}"),
        };
        return Ok(Some(blocked(what, &block)));
    }
    let unsigned = row.filter(|row| policy.withholds(row.signature));
    Ok(unsigned.map(|row| ApiError::Forbidden(unsigned_text(name, version, row.signature))))
}
