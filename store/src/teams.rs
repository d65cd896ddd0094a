//! The `teams` and `team_members` tables: groups of people in an org, to whom packages are granted.

use diesel::prelude::*;

use crate::dialect::{self, RowsStatement, Value};
use crate::schema::{grants, team_members, teams};
use crate::states::TeamRole;
use crate::{AnyConnection, StoreError, epochs};

/// The team that every member of an org is in.
pub const DEVELOPERS: &str = "developers";

/// A team.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct TeamRow {
    /// Its org.
    pub org: String,
    /// Its name in the org.
    pub name: String,
    /// What it is for, empty when nobody said.
    pub description: String,
    /// When it was made.
    pub created_at_ms: i64,
}

const CREATE: RowsStatement = RowsStatement {
    head: "INSERT INTO teams (org, name, description, created_at_ms) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (org, name) DO NOTHING",
};

const SET_MEMBER: RowsStatement = RowsStatement {
    head: "INSERT INTO team_members (org, team, user_name, role) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (org, team, user_name) DO UPDATE SET role = excluded.role",
};

const ADD_MEMBER: RowsStatement = RowsStatement {
    head: "INSERT INTO team_members (org, team, user_name, role) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (org, team, user_name) DO NOTHING",
};

/// The team of this name.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    org: &str,
    name: &str,
) -> Result<Option<TeamRow>, StoreError> {
    Ok(teams::table.find((org, name)).get_result(connection).optional()?)
}

/// Makes a team; `false` when there is one of this name, which stays as it is (a write).
///
/// # Errors
/// Those of the database.
pub fn create(
    connection: &mut AnyConnection,
    org: &str,
    name: &str,
    description: &str,
) -> Result<bool, StoreError> {
    let now = Value::BigInt(dialect::now_ms(connection)?);
    let values = [Value::Text(org), Value::Text(name), Value::Text(description), now];
    Ok(CREATE.execute(connection, &values)? > 0)
}

/// Deletes a team and what it was granted; `false` when there was none (a write).
///
/// # Errors
/// Those of the database.
pub fn delete(connection: &mut AnyConnection, org: &str, name: &str) -> Result<bool, StoreError> {
    let granted = grants::table.filter(grants::org.eq(org)).filter(grants::team.eq(name));
    diesel::delete(granted).execute(connection)?;
    let members =
        team_members::table.filter(team_members::org.eq(org)).filter(team_members::team.eq(name));
    diesel::delete(members).execute(connection)?;
    let gone = diesel::delete(teams::table.find((org, name))).execute(connection)?;
    epochs::raise(connection, epochs::Kind::Access)?;
    Ok(gone > 0)
}

/// The names of an org's teams, in byte order.
///
/// # Errors
/// Those of the database.
pub fn of_org(connection: &mut AnyConnection, org: &str) -> Result<Vec<String>, StoreError> {
    let names = teams::table.filter(teams::org.eq(org)).order(teams::name).select(teams::name);
    Ok(names.load(connection)?)
}

/// How many teams an org has.
///
/// # Errors
/// Those of the database.
pub fn count_of(connection: &mut AnyConnection, org: &str) -> Result<i64, StoreError> {
    Ok(teams::table.filter(teams::org.eq(org)).count().get_result(connection)?)
}

/// The teams of an org that a user is in, by name, and as what.
///
/// # Errors
/// Those of the database.
pub fn of_user(
    connection: &mut AnyConnection,
    org: &str,
    user: &str,
) -> Result<Vec<(TeamRow, TeamRole)>, StoreError> {
    let is_in = teams::org.eq(team_members::org).and(teams::name.eq(team_members::team));
    let rows = teams::table
        .inner_join(team_members::table.on(is_in))
        .filter(team_members::user_name.eq(user))
        .filter(team_members::org.eq(org))
        .order(teams::name)
        .select((
            (teams::org, teams::name, teams::description, teams::created_at_ms),
            team_members::role,
        ))
        .load::<(TeamRow, String)>(connection)?;
    rows.into_iter().map(|(team, role)| Ok((team, TeamRole::from_text(&role)?))).collect()
}

/// The members of a team by name.
///
/// # Errors
/// Those of the database.
pub fn members(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
) -> Result<Vec<(String, TeamRole)>, StoreError> {
    let rows = team_members::table
        .filter(team_members::org.eq(org))
        .filter(team_members::team.eq(team))
        .order(team_members::user_name)
        .select((team_members::user_name, team_members::role))
        .load::<(String, String)>(connection)?;
    rows.into_iter().map(|(user, role)| Ok((user, TeamRole::from_text(&role)?))).collect()
}

/// How many members a team has.
///
/// # Errors
/// Those of the database.
pub fn count_members(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
) -> Result<i64, StoreError> {
    let of_team =
        team_members::table.filter(team_members::org.eq(org)).filter(team_members::team.eq(team));
    Ok(of_team.count().get_result(connection)?)
}

/// The role of a user in a team; `None` for who is no member.
///
/// # Errors
/// Those of the database.
pub fn role(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
    user: &str,
) -> Result<Option<TeamRole>, StoreError> {
    let found = team_members::table.find((org, team, user)).select(team_members::role);
    let found = found.get_result::<String>(connection).optional()?;
    found.map(|role| TeamRole::from_text(&role)).transpose()
}

fn values<'a>(org: &'a str, team: &'a str, user: &'a str, role: TeamRole) -> [Value<'a>; 4] {
    [Value::Text(org), Value::Text(team), Value::Text(user), Value::Text(role.as_str())]
}

/// Makes a user a member with this role, or gives a member another one (a write).
///
/// # Errors
/// Those of the database.
pub fn set_member(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
    user: &str,
    role: TeamRole,
) -> Result<(), StoreError> {
    SET_MEMBER.execute(connection, &values(org, team, user, role))?;
    epochs::raise(connection, epochs::Kind::Access)
}

/// Makes a user a member; one who is a member already keeps the role, `false` then (a write).
///
/// # Errors
/// Those of the database.
pub fn add_member(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
    user: &str,
) -> Result<bool, StoreError> {
    let added = ADD_MEMBER.execute(connection, &values(org, team, user, TeamRole::Member))?;
    epochs::raise(connection, epochs::Kind::Access)?;
    Ok(added > 0)
}

/// Takes a member out of a team; `false` for who is none (a write).
///
/// # Errors
/// Those of the database.
pub fn remove_member(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
    user: &str,
) -> Result<bool, StoreError> {
    let gone = diesel::delete(team_members::table.find((org, team, user))).execute(connection)?;
    epochs::raise(connection, epochs::Kind::Access)?;
    Ok(gone > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_each_database;

    #[test]
    fn members_have_a_role_that_joining_again_does_not_change() {
        on_each_database(|test| {
            assert!(test.write(|c| create(c, "garden", "growers", "who grow")));
            assert!(!test.write(|c| create(c, "garden", "growers", "")));
            test.write(|c| create(c, "garden", "cutters", ""));
            test.write(|c| create(c, "cellar", "growers", ""));
            assert_eq!(test.read(|c| of_org(c, "garden")), ["cutters", "growers"]);
            assert_eq!(test.read(|c| count_of(c, "garden")), 2);
            test.write(|c| set_member(c, "garden", "growers", "ada", TeamRole::Owner));
            assert!(!test.write(|c| add_member(c, "garden", "growers", "ada")));
            assert!(test.write(|c| add_member(c, "garden", "growers", "bob")));
            assert!(test.write(|c| add_member(c, "cellar", "growers", "bob")));
            let found = test.read(|c| members(c, "garden", "growers"));
            let all = [("ada".to_owned(), TeamRole::Owner), ("bob".to_owned(), TeamRole::Member)];
            assert_eq!(found, all);
            assert_eq!(test.read(|c| count_members(c, "garden", "growers")), 2);
            let of_ada = test.read(|c| of_user(c, "garden", "ada"));
            assert_eq!(of_ada.len(), 1);
            assert_eq!(
                (of_ada[0].0.description.as_str(), of_ada[0].1),
                ("who grow", TeamRole::Owner)
            );
            assert_eq!(test.read(|c| role(c, "garden", "cutters", "ada")), None);
            assert!(test.write(|c| remove_member(c, "garden", "growers", "ada")));
            assert!(!test.write(|c| remove_member(c, "garden", "growers", "ada")));
            assert!(test.write(|c| delete(c, "garden", "growers")));
            assert!(!test.write(|c| delete(c, "garden", "growers")));
            assert_eq!(test.read(|c| members(c, "garden", "growers")), []);
            assert_eq!(test.read(|c| members(c, "cellar", "growers")).len(), 1);
        });
    }
}
