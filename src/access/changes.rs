//! Changes of orgs, teams and grants, each with its line in the audit log in the same transaction.
//!
//! All run inside [`Access::change`](super::Access::change): they check first and write then.

use npm::PackageName;
use serde_json::json;
use store::teams::DEVELOPERS;
use store::{
    AnyConnection, OrgRole, Permission, StoreError, TeamRole, Visibility, audit, grants, orgs,
    teams, visibilities,
};

use super::NotChanged;
use super::rights::{Named, Who, is_ours, known_user, must_have_say, no_org, owner_of};
use crate::error::ApiError;

/// Most members of an org, and of a team.
const MEMBERS: i64 = 10_000;
/// Most teams of an org; in an open scope anybody may make some.
const TEAMS: i64 = 1_000;
/// Most packages of a team.
const PACKAGES: i64 = 10_000;

fn refuse<T>(text: String) -> Result<T, NotChanged> {
    Err(ApiError::Forbidden(text).into())
}

/// Room for one more.
fn room(what: &str, has: i64, things: &str, most: i64) -> Result<(), NotChanged> {
    if has < most {
        return Ok(());
    }
    refuse(format!("{what} has {has} {things}, more than {most} are not allowed"))
}

/// Makes an org, whose owner its maker is.
///
/// # Errors
/// 403 when there is one of this name.
pub fn add_org(
    rows: &mut AnyConnection,
    who: &Who,
    org: &str,
    description: &str,
) -> Result<(), NotChanged> {
    if orgs::find(rows, org)?.is_some() {
        return refuse(format!("Org \"{org}\" already exists"));
    }
    orgs::create(rows, org, description)?;
    teams::create(rows, org, DEVELOPERS, "")?;
    orgs::set_member(rows, org, &who.name, OrgRole::Owner)?;
    teams::set_member(rows, org, DEVELOPERS, &who.name, TeamRole::Owner)?;
    let after = json!({ "description": description });
    Ok(audit::record(rows, &who.by, "org.add", org, None, Some(&after))?)
}

/// Deletes an org with all that is in it.
///
/// # Errors
/// 404.
pub fn remove_org(rows: &mut AnyConnection, who: &Who, org: &str) -> Result<(), NotChanged> {
    let row = orgs::find(rows, org)?.ok_or_else(|| no_org(org))?;
    let granted: Vec<_> =
        grants::of_org(rows, org)?.iter().map(|row| shown(&row.package)).collect();
    let before = json!({
        "description": row.description,
        "members": orgs::count_members(rows, org)?,
        "teams": teams::of_org(rows, org)?,
        "granted": granted,
    });
    audit::record(rows, &who.by, "org.remove", org, Some(&before), None)?;
    orgs::delete(rows, org)?;
    Ok(())
}

fn shown(name: &PackageName) -> String {
    name.to_string()
}

/// Makes a user a member of an org and of its developers, or gives a member another role. Answers
/// the role and how many members there are now.
///
/// # Errors
/// 403 for who may not, 404 for an org and a user that are not there.
pub fn set_member(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    user: &str,
    role: OrgRole,
) -> Result<i64, NotChanged> {
    named.find(rows)?;
    let before = managed_member(rows, who, named, user, role)?;
    let org = &named.org;
    if before.is_none() {
        room(&format!("Org \"{org}\""), orgs::count_members(rows, org)?, "members", MEMBERS)?;
    }
    orgs::set_member(rows, org, user, role)?;
    if teams::find(rows, org, DEVELOPERS)?.is_some() {
        teams::add_member(rows, org, DEVELOPERS, user)?;
    }
    let told = |role: OrgRole| json!({ "user": user, "role": role.as_str() });
    let (before, after) = (before.map(told), told(role));
    audit::record(rows, &who.by, "org.member", org, before.as_ref(), Some(&after))?;
    Ok(orgs::count_members(rows, org)?)
}

/// The role that a user has so far, where `who` may give him another one: an admin of the org makes
/// and unmakes members, and no owners and admins.
fn managed_member(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    user: &str,
    role: OrgRole,
) -> Result<Option<OrgRole>, NotChanged> {
    named.managed_by(rows, who)?;
    known_user(rows, user)?;
    let before = orgs::role(rows, &named.org, user)?;
    let is_owner = who.admin || orgs::role(rows, &named.org, &who.name)? == Some(OrgRole::Owner);
    if is_owner || !(role.manages() || before.is_some_and(OrgRole::manages)) {
        return Ok(before);
    }
    refuse("Only org owner can make and unmake owners and admins".to_owned())
}

/// Takes a member out of an org and of all its teams; who is none stays none.
///
/// # Errors
/// 403 for who may not, 404 for an org and a user that are not there.
pub fn remove_member(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    user: &str,
) -> Result<(), NotChanged> {
    named.find(rows)?;
    let before = managed_member(rows, who, named, user, OrgRole::Member)?;
    if orgs::remove_member(rows, &named.org, user)? {
        let before = json!({ "user": user, "role": before.map(OrgRole::as_str) });
        audit::record(rows, &who.by, "org.member", &named.org, Some(&before), None)?;
    }
    Ok(())
}

/// Makes a team, whose owner its maker is.
///
/// # Errors
/// 403 for who may not and for a name that is taken, 404.
pub fn add_team(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    description: &str,
) -> Result<(), NotChanged> {
    named.find(rows)?;
    if !named.open {
        named.managed_by(rows, who)?;
    }
    let org = &named.org;
    if teams::find(rows, org, team)?.is_some() {
        return refuse(format!("Team \"{team}\" already exists"));
    }
    room(&format!("Org \"{org}\""), teams::count_of(rows, org)?, "teams", TEAMS)?;
    teams::create(rows, org, team, description)?;
    teams::set_member(rows, org, team, &who.name, TeamRole::Owner)?;
    let after = json!({ "description": description });
    Ok(audit::record(rows, &who.by, "team.add", &subject(org, team), None, Some(&after))?)
}

fn subject(org: &str, team: &str) -> String {
    format!("{org}:{team}")
}

/// Deletes a team and what it was granted.
///
/// # Errors
/// 403 for who may not, 404.
pub fn remove_team(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
) -> Result<(), NotChanged> {
    let row = named.team(rows, team)?;
    named.team_owned_by(rows, team, who)?;
    if team == DEVELOPERS {
        return refuse("Cannot delete the developers team".to_owned());
    }
    let granted = grants::of_team(rows, &named.org, team)?;
    if !named.is_managed_by(rows, who)? {
        // without its last grant a package is open to everybody: not for a team's owner to decide
        for grant in &granted {
            must_have_say(rows, &grant.package, who)?;
        }
    }
    let granted: Vec<_> = granted.iter().map(|row| shown(&row.package)).collect();
    let members = teams::count_members(rows, &named.org, team)?;
    let before = json!({ "description": row.description, "members": members, "granted": granted });
    let subject = subject(&named.org, team);
    audit::record(rows, &who.by, "team.remove", &subject, Some(&before), None)?;
    teams::delete(rows, &named.org, team)?;
    Ok(())
}

/// Makes a user a member of a team; who is one keeps his role.
///
/// # Errors
/// 403 for who may not and for who is no member of the org, 404.
pub fn add_team_member(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    user: &str,
) -> Result<(), NotChanged> {
    named.team(rows, team)?;
    named.team_owned_by(rows, team, who)?;
    known_user(rows, user)?;
    let org = &named.org;
    if !named.open && orgs::role(rows, org, user)?.is_none() {
        return refuse("User must be an org member before joining a team".to_owned());
    }
    let what = format!("Team \"{team}\"");
    room(&what, teams::count_members(rows, org, team)?, "members", MEMBERS)?;
    if teams::add_member(rows, org, team, user)? {
        let after = json!({ "user": user, "role": TeamRole::Member.as_str() });
        audit::record(rows, &who.by, "team.member", &subject(org, team), None, Some(&after))?;
    }
    Ok(())
}

/// Takes a user out of a team; who is not in it stays out.
///
/// # Errors
/// 403 for who may not, 404.
pub fn remove_team_member(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    user: &str,
) -> Result<(), NotChanged> {
    named.team(rows, team)?;
    named.team_owned_by(rows, team, who)?;
    known_user(rows, user)?;
    let role = teams::role(rows, &named.org, team, user)?;
    if teams::remove_member(rows, &named.org, team, user)? {
        let before = json!({ "user": user, "role": role.map(TeamRole::as_str) });
        let subject = subject(&named.org, team);
        audit::record(rows, &who.by, "team.member", &subject, Some(&before), None)?;
    }
    Ok(())
}

/// Gives a member of a team another role.
///
/// # Errors
/// 403 for who may not, 404 also for who is no member.
pub fn set_team_role(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    user: &str,
    role: TeamRole,
) -> Result<(), NotChanged> {
    named.team(rows, team)?;
    named.team_owned_by(rows, team, who)?;
    known_user(rows, user)?;
    let Some(before) = teams::role(rows, &named.org, team, user)? else {
        let text = format!("User \"{user}\" is not a member of this team");
        return Err(ApiError::NotThere(text).into());
    };
    teams::set_member(rows, &named.org, team, user, role)?;
    let told = |role: TeamRole| json!({ "user": user, "role": role.as_str() });
    let (subject, before, after) = (subject(&named.org, team), told(before), told(role));
    Ok(audit::record(rows, &who.by, "team.member", &subject, Some(&before), Some(&after))?)
}

/// Whether somebody may change what a team has of a package: one who owns the team, and has a say
/// about the package as well. Who manages the org of the package's scope has that.
fn may_grant(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
    package: &PackageName,
) -> Result<(), NotChanged> {
    named.team(rows, team)?;
    named.team_owned_by(rows, team, who)?;
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
