//! Teams and their members.

use serde_json::json;
use store::teams::{DEVELOPERS, TeamRow};
use store::{AnyConnection, TeamRole, audit, grants, orgs, teams};

use super::{MEMBERS, refuse, room, shown};
use crate::access::NotChanged;
use crate::access::rights::{Named, Who, known_user, must_have_say};
use crate::error::ApiError;

/// Most teams of an org; in an open scope anybody may make some.
const TEAMS: i64 = 1_000;

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

/// What a team is called in the audit log.
pub(super) fn subject(org: &str, team: &str) -> String {
    format!("{org}:{team}")
}

/// A team that is there, for those who own it.
pub(super) fn owned_team(
    rows: &mut AnyConnection,
    who: &Who,
    named: &Named,
    team: &str,
) -> Result<TeamRow, NotChanged> {
    let row = named.team(rows, team)?;
    named.team_owned_by(rows, team, who)?;
    Ok(row)
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
    let row = owned_team(rows, who, named, team)?;
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
    owned_team(rows, who, named, team)?;
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
    owned_team(rows, who, named, team)?;
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
    owned_team(rows, who, named, team)?;
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
