//! The row of one version, and the change that makes it held.

use npm::PackageName;
use store::packages::{self, PackageRow};
use store::versions::{self, TarballRow};
use store::{PackageChange, Store, StoreError, VersionChange, VersionState};

use super::spool::Stored;

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
            registry: package.registry.clone(),
            keep: package.keep,
            base_revision: Some(package.revision),
            validators: package.validators.clone(),
            checked_at_ms: package.checked_at_ms,
            versions: vec![VersionChange {
                state: VersionState::Held,
                blob: Some(stored.digest),
                size_bytes: Some(stored.location.length),
                reason: None,
                signature: None, // a sync may have judged it meanwhile
                ..VersionChange::from(row)
            }],
            // written anew, a row counts as listed again; one gone upstream stays gone
            removed_versions: match row.removed_at_ms {
                Some(_) => vec![row.version.clone()],
                None => Vec::new(),
            },
            blobs,
            reused,
            ..PackageChange::new(package.name.clone(), "tarball")
        }
    }
}
