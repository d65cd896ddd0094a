//! What readers must not get although it is here: blocked, denied by a rule, too young, or not
//! signed as required.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use actors::deny::Denied;
use actors::hold::HoldPolicy;
use actors::rules::unsigned_text;
use actors::{EngineHandle, SyncPolicy};
use npm::PackageName;
use store::blocks::{self, BlockRow, WHOLE_PACKAGE};
use store::facts::{self, Facts};
use store::packages::PackageRow;
use store::registries::SELF;
use store::releases;
use store::versions::{self, TarballRow, VersionRow};
use store::{AnyConnection, StoreError};

use crate::error::{ApiError, denied};

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

    /// Leaves out a version that a rule denies, unless it is blocked anyway.
    pub fn deny(&mut self, version: &str, denied: &Denied) {
        if self.versions.insert(version.to_owned()) {
            self.told.insert(version.to_owned(), format!("denied: {}", denied.text()));
        }
    }

    /// Leaves out a blocked version.
    pub fn block(&mut self, block: &BlockRow) {
        self.versions.insert(block.version.clone());
        self.told.insert(block.version.clone(), block.told());
    }
}

/// What the tables say about withholding a package.
pub struct Withheld {
    /// The refusal of the whole package.
    pub package: Option<ApiError>,
    /// Versions left out.
    pub versions: HiddenVersions,
    /// Rules ask for what was never read of some versions; until then these are left out.
    pub lacks_facts: bool,
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
        let versions = HiddenVersions::default();
        let mut withheld = Self { package: None, versions, lacks_facts: false };
        for block in blocks::of_package(rows, name)? {
            if block.version == WHOLE_PACKAGE {
                withheld.package = Some(blocked(name, &block));
            } else {
                withheld.versions.block(&block);
            }
        }
        if is_denied_ground(policy, name, row.map(|row| row.registry.as_str())) {
            withheld.deny(rows, policy, name, row)?;
        }
        if let Some(row) = row.filter(|row| policy.hold.concerns(name, &row.registry)) {
            withheld.hold(rows, policy, row)?;
        }
        // what is published here is signed by no upstream
        let row = row.filter(|row| row.registry != SELF);
        if let Some(row) = row.filter(|_| policy.withholds(None)) {
            withheld.versions.versions.extend(versions::not_valid(rows, row.id)?);
        }
        Ok(withheld)
    }

    fn deny(
        &mut self,
        rows: &mut AnyConnection,
        policy: &SyncPolicy,
        name: &PackageName,
        row: Option<&PackageRow>,
    ) -> Result<(), StoreError> {
        let (rules, released) = (&policy.deny, releases::of_package(rows, name)?);
        let by_name = rules.name(name);
        if let Some(denied_name) = by_name.as_ref().filter(|_| released.is_empty()) {
            self.package.get_or_insert_with(|| denied(name, &denied_name.text()));
            return Ok(());
        }
        let Some(row) = row else { return Ok(()) };
        for version in facts::of_package(rows, row.id)? {
            self.lacks_facts |= rules.judges_versions() && version.facts == Facts::Unread;
            if let Some(denied) = by_name.clone().or_else(|| rules.version(&version))
                && !released.contains(&version.version)
            {
                self.versions.deny(&version.version, &denied);
            }
        }
        Ok(())
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

/// Whether rules of the settings are about this package; what is published here is our own.
fn is_denied_ground(policy: &SyncPolicy, name: &PackageName, registry: Option<&str>) -> bool {
    policy.deny.concerns(name) && registry != Some(SELF)
}

/// What a rule of the settings says about one version, or a file of unknown version.
fn by_rule(
    rows: &mut AnyConnection,
    policy: &SyncPolicy,
    name: &PackageName,
    version: &str,
    found: Option<&TarballRow>,
) -> Result<Ruling, StoreError> {
    if !is_denied_ground(policy, name, found.map(|found| found.registry.as_str())) {
        return Ok(Ruling::Free);
    }
    let of_version = match found.filter(|_| policy.deny.judges_versions()) {
        Some(found) => facts::of_version(rows, found.package_id, version)?,
        None => None,
    };
    let is_unread = of_version.as_ref().is_some_and(|row| row.facts == Facts::Unread);
    let by_name = policy.deny.name(name);
    let rule = by_name.or_else(|| policy.deny.version(of_version.as_ref()?));
    let Some(rule) = rule else {
        return Ok(if is_unread { Ruling::Unread } else { Ruling::Free });
    };
    let is_released = match version {
        WHOLE_PACKAGE => !releases::of_package(rows, name)?.is_empty(),
        version => releases::has(rows, name, version)?,
    };
    if is_released {
        return Ok(Ruling::Free);
    }
    if is_unread {
        return Ok(Ruling::Unread);
    }
    let what = match version {
        WHOLE_PACKAGE => name.to_string(),
        version => format!("{name}@{version}"),
    };
    Ok(Ruling::Refused(denied(what, &rule.text())))
}

/// The refusal of a blocked package, or of one version or file of it.
#[must_use]
pub fn blocked(what: impl std::fmt::Display, block: &BlockRow) -> ApiError {
    ApiError::Legal(format!("{what} was blocked, reason: {}", block.told()))
}

/// Whether a version is given out.
#[derive(Debug)]
pub enum Ruling {
    /// It is.
    Free,
    /// It is not.
    Refused(ApiError),
    /// A rule asks for what was never read of it, see [`EngineHandle::learn_facts`].
    Unread,
}

impl Ruling {
    /// The refusal, if it is one; what nobody could read is not given out.
    #[must_use]
    pub fn refusal(self, what: impl std::fmt::Display) -> Option<ApiError> {
        match self {
            Self::Free => None,
            Self::Refused(refused) => Some(refused),
            Self::Unread => Some(denied(what, "what its manifest says could not be read yet")),
        }
    }
}

/// Reads what rules ask for, before they are asked again. Where it cannot be read they say no.
pub async fn learn(engine: &EngineHandle, name: &PackageName) {
    if let Err(error) = engine.learn_facts(name).await {
        tracing::warn!(package.name = %name, %error, "its manifests were not read for the rules");
    }
}

/// Why this version is not given out, if it is not; `found` is there when the version is known.
///
/// # Errors
/// Those of the database.
pub fn ruling(
    rows: &mut AnyConnection,
    policy: &SyncPolicy,
    name: &PackageName,
    version: &str,
    found: Option<&TarballRow>,
) -> Result<Ruling, StoreError> {
    if let Some(block) = blocks::of_version(rows, name, version)? {
        let what = match version {
            WHOLE_PACKAGE => name.to_string(),
            version => format!("{name}@{version}"),
        };
        return Ok(Ruling::Refused(blocked(what, &block)));
    }
    match by_rule(rows, policy, name, version, found)? {
        Ruling::Free => {}
        other => return Ok(other),
    }
    if let Some(found) = found.filter(|found| policy.hold.concerns(name, &found.registry))
        && let Some(refused) = too_young(rows, policy, name, &found.row)?
    {
        return Ok(Ruling::Refused(refused));
    }
    let row = found.filter(|found| found.registry != SELF).map(|found| &found.row);
    let unsigned = row.filter(|row| policy.withholds(row.signature));
    let refused = unsigned.map(|row| unsigned_text(name, version, row.signature));
    Ok(refused.map_or(Ruling::Free, |text| Ruling::Refused(ApiError::Forbidden(text))))
}
