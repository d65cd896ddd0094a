//! Changes of orgs, teams and grants, each with its line in the audit log in the same transaction.
//!
//! All run inside [`Access::change`](super::Access::change): they check first and write then.

mod packages;
mod teams;

use npm::PackageName;
use serde_json::json;
use store::teams::{self as team_rows, DEVELOPERS};
use store::{AnyConnection, OrgRole, TeamRole, audit, grants, orgs};

pub use self::packages::{changeable, grant, revoke, say, set_visibility};
pub use self::teams::{add_team, add_team_member, remove_team, remove_team_member, set_team_role};
use super::NotChanged;
use super::rights::{Named, Who, known_user, no_org};
use crate::error::ApiError;

/// Most members of an org, and of a team.
const MEMBERS: i64 = 10_000;

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
    team_rows::create(rows, org, DEVELOPERS, "")?;
    orgs::set_member(rows, org, &who.name, OrgRole::Owner)?;
    team_rows::set_member(rows, org, DEVELOPERS, &who.name, TeamRole::Owner)?;
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
        "teams": team_rows::of_org(rows, org)?,
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
    if team_rows::find(rows, org, DEVELOPERS)?.is_some() {
        team_rows::add_member(rows, org, DEVELOPERS, user)?;
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
