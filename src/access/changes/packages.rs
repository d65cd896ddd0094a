//! What teams are granted, and who else may read a package.

use npm::PackageName;
use serde_json::json;
use store::{AnyConnection, Permission, StoreError, Visibility, audit, grants, visibilities};

use super::teams::{owned_team, subject};
use super::{refuse, room};
use crate::access::NotChanged;
use crate::access::rights::{Named, Who, is_ours, must_have_say, owner_of};
use crate::error::ApiError;

/// Most packages of a team.
const PACKAGES: i64 = 10_000;

/// Whether somebody may change what a team has of a package: one who owns the team, and has a say
/// about the package as well. Who manages the org of the package's scope has that.
fn may_grant(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    package: &PackageName,
) -> Result<(), NotChanged> {
    owned_team(rows, who, named, team)?;
    if owner_of(rows, package)?.is_none() {
        return Err(ApiError::NotThere(format!("Package \"{package}\" not found")).into());
    }
    must_have_say(rows, package, who)
}

/// Grants a package to a team, or changes what was granted.
///
/// # Errors
/// 403 for who may not, 404.
pub fn grant(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    package: &PackageName,
    permission: Permission,
) -> Result<(), NotChanged> {
    may_grant(rows, who, named, team, package)?;
    let org = &named.org;
    let before = grants::find(rows, org, team, package)?;
    if before.is_none() {
        let what = format!("Team \"{team}\"");
        room(&what, grants::count_of_team(rows, org, team)?, "packages", PACKAGES)?;
    }
    grants::set(rows, org, team, package, permission)?;
    record_grant(rows, who, (org, team, package), before, Some(permission))
}

/// Takes a package from a team; one that it does not have stays away.
///
/// # Errors
/// 403 for who may not, 404.
pub fn revoke(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    package: &PackageName,
) -> Result<(), NotChanged> {
    may_grant(rows, who, named, team, package)?;
    let before = grants::find(rows, &named.org, team, package)?;
    if grants::remove(rows, &named.org, team, package)? {
        record_grant(rows, who, (&named.org, team, package), before, None)?;
    }
    Ok(())
}

fn record_grant(
    rows: &mut AnyConnection,
    who: &Who,
    (org, team, package): (&str, &str, &PackageName),
    before: Option<Permission>,
    after: Option<Permission>,
) -> Result<(), NotChanged> {
    let told = |permission: Permission| json!({ "team": subject(org, team), "permission": permission.as_str() });
    let (before, after) = (before.map(told), after.map(told));
    let name = package.as_str();
    Ok(audit::record(rows, &who.by, "package.grant", name, before.as_ref(), after.as_ref())?)
}

/// Says who may read a package of ours.
///
/// # Errors
/// 403 for who may not and for packages of others, 404, 422 for one without a scope.
pub fn set_visibility(
    rows: &mut AnyConnection,
    who: &Who,
    package: &PackageName,
    is_private: bool,
    visibility: Visibility,
) -> Result<(), NotChanged> {
    changeable(rows, who, package, is_private)?;
    if visibility == Visibility::Restricted && package.scope().is_none() {
        let text = format!("{package} has no scope: only scoped packages can be restricted");
        return Err(ApiError::Unprocessable(text).into());
    }
    say(rows, &who.by, package, visibility)?;
    Ok(())
}

/// Writes down who may read a package, for those who may say so.
///
/// # Errors
/// Those of the database.
pub fn say(
    rows: &mut AnyConnection,
    by: &audit::By,
    package: &PackageName,
    visibility: Visibility,
) -> Result<(), StoreError> {
    let before = visibilities::find(rows, package)?;
    if before == Some(visibility) {
        return Ok(());
    }
    visibilities::set(rows, package, visibility)?;
    let told = |visibility: Visibility| json!({ "access": visibility.as_str() });
    let (before, after) = (before.map(told), told(visibility));
    audit::record(rows, by, "package.access", package.as_str(), before.as_ref(), Some(&after))
}

/// Refuses who may not change the settings of a package, and packages that are not ours.
///
/// # Errors
/// 403, 404.
pub fn changeable(
    rows: &mut AnyConnection,
    who: &Who,
    package: &PackageName,
    is_private: bool,
) -> Result<(), NotChanged> {
    let Some(owner) = owner_of(rows, package)? else {
        return Err(ApiError::not_found(package).into());
    };
    if !is_ours(&owner, is_private) {
        return refuse(format!("Can't modify npm public package \"{package}\""));
    }
    must_have_say(rows, package, who)
}
