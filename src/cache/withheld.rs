//! What readers must not get although it is here: blocked, or not signed as required.

use std::collections::{BTreeMap, HashSet};
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HiddenVersions {
    /// All of them.
    pub versions: HashSet<String>,
    /// Those that documents give a reason for.
    pub told: BTreeMap<String, String>,
}

/// Shared by a package and what is made of it.
pub type Hidden = Arc<HiddenVersions>;

impl HiddenVersions {
    /// Whether everything is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Leaves out a blocked version.
    pub fn block(&mut self, block: &BlockRow) {
        self.versions.insert(block.version.clone());
        self.told.insert(block.version.clone(), block.told());
    }
}

/// What the tables say about withholding a package.
pub struct Withheld {
    /// The block of the whole package.
    pub package: Option<BlockRow>,
    /// Versions left out.
    pub versions: HiddenVersions,
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
        let mut withheld = Self { package: None, versions: HiddenVersions::default() };
        for block in blocks::of_package(rows, name)? {
            if block.version == WHOLE_PACKAGE {
                withheld.package = Some(block);
            } else {
                withheld.versions.block(&block);
            }
        }
        if let Some(row) = row.filter(|_| policy.withholds(None)) {
            withheld.versions.versions.extend(versions::not_valid(rows, row.id)?);
        }
        Ok(withheld)
    }
}

/// The refusal of a blocked package, or of one version or file of it.
#[must_use]
pub fn blocked(what: impl std::fmt::Display, block: &BlockRow) -> ApiError {
    ApiError::Legal(format!("{what} was blocked, reason: {}", block.told()))
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
