//! Reading what is known of a package and making changes of it.

use npm::PackageName;
use store::packages::{self, PackageRow};
use store::versions::{self, TarballRow, VersionRow};
use store::{
    DocumentChange, Keeping, PackageChange, Store, StoreError, Validators, VersionChange,
    VersionState,
};

use super::spool::Stored;
use crate::change_builder::DocumentPlan;
use crate::clock::now_ms;
use crate::engine::DEFAULT_REGISTRY;

/// A package with all rows of its versions.
pub(super) struct Known {
    pub(super) name: PackageName,
    pub(super) row: Option<PackageRow>,
    pub(super) versions: Vec<VersionRow>,
}

impl Known {
    pub(super) async fn read(store: &Store, name: &PackageName) -> Result<Self, StoreError> {
        let name = name.clone();
        store
            .read(move |connection| {
                let row = packages::find(connection, &name)?;
                let versions = match &row {
                    Some(row) => versions::of_package(connection, row.id)?,
                    None => Vec::new(),
                };
                Ok(Self { name, row, versions })
            })
            .await
    }

    /// What a conditional request may carry.
    pub(super) fn validators(&self) -> Validators {
        let held = self.row.as_ref().filter(|row| row.document.is_some());
        held.map(|row| row.validators.clone()).unwrap_or_default()
    }

    /// A change that says "asked just now" and nothing else.
    pub(super) fn touched(&self, validators: Validators, cause: &'static str) -> PackageChange {
        PackageChange {
            name: self.name.clone(),
            registry: self
                .row
                .as_ref()
                .map_or_else(|| DEFAULT_REGISTRY.to_owned(), |row| row.registry.clone()),
            keep: self.row.as_ref().map_or(Keeping::Cached, |row| row.keep),
            base_revision: self.row.as_ref().map(|row| row.revision),
            document: None,
            validators,
            checked_at_ms: now_ms(),
            versions: Vec::new(),
            removed_versions: Vec::new(),
            blobs: Vec::new(),
            reused: Vec::new(),
            task: None,
            cause,
            alarms: Vec::new(),
        }
    }

    /// The change a new document makes; `document` is `None` when its bytes are held already.
    pub(super) fn changed(
        &self,
        plan: DocumentPlan,
        document: Option<DocumentChange>,
        validators: Validators,
        cause: &'static str,
    ) -> PackageChange {
        let blobs = document.iter().map(|new| (new.digest, new.location)).collect();
        PackageChange {
            document,
            versions: plan.versions,
            removed_versions: plan.removed,
            alarms: plan.alarms,
            blobs,
            ..self.touched(validators, cause)
        }
    }
}

/// A version whose tarball is asked for, with its package.
pub(super) struct Asked {
    pub(super) package: PackageRow,
    pub(super) version: TarballRow,
}

impl Asked {
    /// `None` when the package or the version is not known.
    pub(super) async fn read(
        store: &Store,
        name: &PackageName,
        version: &str,
    ) -> Result<Option<Self>, StoreError> {
        let (name, version) = (name.clone(), version.to_owned());
        store
            .read(move |connection| {
                let Some(version) = versions::find(connection, &name, &version)? else {
                    return Ok(None);
                };
                let package = packages::find(connection, &name)?;
                Ok(package.map(|package| Self { package, version }))
            })
            .await
    }

    /// The tarball, when it is here.
    pub(super) fn stored(&self) -> Option<Stored> {
        let digest = self.version.row.blob?;
        let location = self.version.location?;
        (self.version.row.state == VersionState::Held).then_some(Stored { digest, location })
    }

    /// The change that makes this version held.
    pub(super) fn held(&self, stored: Stored, is_new: bool) -> PackageChange {
        let (package, row) = (&self.package, &self.version.row);
        let (blobs, reused) = match is_new {
            true => (vec![(stored.digest, stored.location)], Vec::new()),
            false => (Vec::new(), vec![stored.digest]),
        };
        PackageChange {
            name: package.name.clone(),
            registry: package.registry.clone(),
            keep: package.keep,
            base_revision: Some(package.revision),
            document: None,
            validators: package.validators.clone(),
            checked_at_ms: package.checked_at_ms,
            versions: vec![VersionChange {
                version: row.version.clone(),
                manifest: row.manifest,
                tarball_url: row.tarball_url.clone(),
                tarball_file: row.tarball_file.clone(),
                expected: row.expected.clone(),
                state: VersionState::Held,
                blob: Some(stored.digest),
                size_bytes: Some(stored.location.length),
                reason: None,
            }],
            // written anew, a row counts as listed again; one gone upstream stays gone
            removed_versions: match row.removed_at_ms {
                Some(_) => vec![row.version.clone()],
                None => Vec::new(),
            },
            blobs,
            reused,
            task: None,
            cause: "tarball",
            alarms: Vec::new(),
        }
    }
}
