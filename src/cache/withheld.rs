//! What readers must not get although it is here: blocked, too young, or not signed as required.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use actors::SyncPolicy;
use actors::hold::HoldPolicy;
use actors::rules::unsigned_text;
use npm::PackageName;
use store::blocks::{self, BlockRow, WHOLE_PACKAGE};
use store::packages::PackageRow;
use store::registries::SELF;
use store::releases;
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
    /// When the first of them is old enough to be shown; `None` when time changes nothing.
    pub until_ms: Option<i64>,
}

/// Shared by a package and what is made of it.
pub type Hidden = Arc<HiddenVersions>;

impl HiddenVersions {
    /// Whether everything is shown.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Leaves out a version that is too young, unless it is blocked anyway.
    pub fn hold(&mut self, version: &str, until_ms: i64, hold: &HoldPolicy) {
        if self.versions.insert(version.to_owned()) {
            self.told.insert(version.to_owned(), hold.text(until_ms));
        }
        self.until_ms = Some(self.until_ms.map_or(until_ms, |first| first.min(until_ms)));
    }

    /// Differs where what is left out differs, or why; 0 when nothing is.
    #[must_use]
    pub fn fingerprint(&self) -> i64 {
        if self.is_empty() {
            return 0;
        }
        let mut hasher = blake3::Hasher::new();
        let mut versions: Vec<_> = self.versions.iter().collect();
        versions.sort_unstable();
        for version in versions {
            let told = self.told.get(version).map_or("", String::as_str);
            for text in [version, told] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        i64::from_le_bytes(first)
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
        // what is published here is neither young by surprise nor signed by an upstream
        let row = row.filter(|row| row.registry != SELF);
        if let Some(row) = row.filter(|_| policy.hold.concerns(name)) {
            withheld.hold(rows, policy, row)?;
        }
        if let Some(row) = row.filter(|_| policy.withholds(None)) {
            withheld.versions.versions.extend(versions::not_valid(rows, row.id)?);
        }
        Ok(withheld)
    }

    fn hold(
        &mut self,
        rows: &mut AnyConnection,
        policy: &SyncPolicy,
        row: &PackageRow,
    ) -> Result<(), StoreError> {
        let youngest_ms = policy.hold.youngest_ms(policy.clock.now_ms());
        let young = versions::published_after(rows, row.id, youngest_ms)?;
        if young.is_empty() {
            return Ok(());
        }
        let released = releases::of_package(rows, &row.name)?;
        for (version, at_ms) in young.iter().filter(|(version, _)| !released.contains(version)) {
            self.versions.hold(version, policy.hold.until_ms(*at_ms), &policy.hold);
        }
        Ok(())
    }
}

/// The refusal of a version that is too young, if it is.
fn too_young(
    rows: &mut AnyConnection,
    policy: &SyncPolicy,
    name: &PackageName,
    row: &VersionRow,
) -> Result<Option<ApiError>, StoreError> {
    let youngest_ms = policy.hold.youngest_ms(policy.clock.now_ms());
    let Some(at_ms) = row.published_at_ms.filter(|at_ms| *at_ms > youngest_ms) else {
        return Ok(None);
    };
    if releases::has(rows, name, &row.version)? {
        return Ok(None);
    }
    let why = policy.hold.text(policy.hold.until_ms(at_ms));
    Ok(Some(ApiError::Held(format!("{name}@{} is not released yet: {why}", row.version))))
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
    if let Some(row) = row.filter(|_| policy.hold.concerns(name))
        && let Some(refused) = too_young(rows, policy, name, row)?
    {
        return Ok(Some(refused));
    }
    let unsigned = row.filter(|row| policy.withholds(row.signature));
    Ok(unsigned.map(|row| ApiError::Forbidden(unsigned_text(name, version, row.signature))))
}
