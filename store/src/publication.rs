//! What publishing here writes beside the document, in the transaction of that change.

use diesel::prelude::*;
use serde_json::Value as Json;

use crate::audit::{self, By};
use crate::change::PackageChange;
use crate::registries::SELF;
use crate::schema::{kept_answers, versions};
use crate::{
    AnyConnection, StoreError, Visibility, dialect, kept_answers as answers, maintainers, readmes,
    visibilities,
};

/// The rows of a change that comes from a publisher and not from an upstream.
///
/// A change that carries one makes its package one of `self`, whoever owned it before.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// Who may change the package from now on; `None` leaves the list alone.
    pub maintainers: Option<Vec<String>>,
    /// Versions that were never here from now on: their numbers may be used again.
    pub erased: Vec<String>,
    /// Texts for people of versions; those of erased ones go with them.
    pub readmes: Vec<(String, String)>,
    /// Attestations of published versions: the path they are asked for, and the answer.
    pub attestations: Vec<(String, Vec<u8>)>,
    /// Attestations that are gone.
    pub lost_attestations: Vec<String>,
    /// Who may read the package from now on; `None` leaves that alone.
    pub visibility: Option<Visibility>,
    /// Who did what, for the audit log; the package is the subject.
    pub audit: Option<Act>,
}

/// One row of the audit log.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who and from where.
    pub by: By,
    /// What was done, `package.publish`.
    pub action: &'static str,
    /// What it was.
    pub before: Option<Json>,
    /// What it became.
    pub after: Option<Json>,
}

/// Writes the rows of an accepted change, behind those of its versions.
pub(crate) fn save(
    connection: &mut AnyConnection,
    package_id: i64,
    change: &PackageChange,
) -> Result<(), StoreError> {
    let Some(publication) = &change.publication else { return Ok(()) };
    let rows = versions::table
        .filter(versions::package_id.eq(package_id))
        .filter(versions::version.eq_any(&publication.erased));
    diesel::delete(rows).execute(connection)?;
    readmes::forget(connection, package_id, &publication.erased)?;
    readmes::save(connection, package_id, &publication.readmes)?;
    for path in &publication.lost_attestations {
        diesel::delete(kept_answers::table.find((SELF, path))).execute(connection)?;
    }
    let now_ms = dialect::now_ms(connection)?;
    for (path, body) in &publication.attestations {
        answers::keep(connection, SELF, path, Some(body), now_ms)?;
    }
    if let Some(users) = &publication.maintainers {
        maintainers::replace(connection, &change.name, users)?;
    }
    if let Some(visibility) = publication.visibility {
        visibilities::set(connection, &change.name, visibility)?;
    }
    let Some(act) = &publication.audit else { return Ok(()) };
    let (before, after) = (act.before.as_ref(), act.after.as_ref());
    audit::record(connection, &act.by, act.action, change.name.as_str(), before, after)
}
