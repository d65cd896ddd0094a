//! The `orgs` and `org_members` tables: scopes as groups of people.
//!
//! What a member may do depends on the role and on teams ([`crate::teams`]). Every write that could
//! change who reads what tells all nodes ([`epochs::Kind::Access`]).

use diesel::prelude::*;

use crate::dialect::{self, RowsStatement, Value};
use crate::schema::{grants, org_members, orgs, team_members, teams};
use crate::states::OrgRole;
use crate::{AnyConnection, StoreError, epochs};

/// An org.
#[derive(Clone, PartialEq, Eq, Debug, Queryable)]
pub struct OrgRow {
    /// The scope without its `@`.
    pub name: String,
    /// What it is for, empty when nobody said.
    pub description: String,
    /// When it was made.
    pub created_at_ms: i64,
}

const CREATE: RowsStatement = RowsStatement {
    head: "INSERT INTO orgs (name, description, created_at_ms) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (name) DO NOTHING",
};

const SET_MEMBER: RowsStatement = RowsStatement {
    head: "INSERT INTO org_members (org, user_name, role) VALUES ",
    columns: 3,
    tail: " ON CONFLICT (org, user_name) DO UPDATE SET role = excluded.role",
};

/// The org of this name.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut AnyConnection, name: &str) -> Result<Option<OrgRow>, StoreError> {
    Ok(orgs::table.find(name).get_result(connection).optional()?)
}

/// Makes an org; `false` when there is one of this name, which stays as it is (a write).
///
/// # Errors
/// Those of the database.
pub fn create(
    connection: &mut AnyConnection,
    name: &str,
    description: &str,
) -> Result<bool, StoreError> {
    let now = Value::BigInt(dialect::now_ms(connection)?);
    Ok(CREATE.execute(connection, &[Value::Text(name), Value::Text(description), now])? > 0)
}

/// Deletes an org with its members, its teams and what they were granted; `false` when there was
/// none (a write).
///
/// # Errors
/// Those of the database.
pub fn delete(connection: &mut AnyConnection, name: &str) -> Result<bool, StoreError> {
    diesel::delete(grants::table.filter(grants::org.eq(name))).execute(connection)?;
    diesel::delete(team_members::table.filter(team_members::org.eq(name))).execute(connection)?;
    diesel::delete(teams::table.filter(teams::org.eq(name))).execute(connection)?;
    diesel::delete(org_members::table.filter(org_members::org.eq(name))).execute(connection)?;
    let gone = diesel::delete(orgs::table.find(name)).execute(connection)?;
    epochs::raise(connection, epochs::Kind::Access)?;
    Ok(gone > 0)
}

/// The role of a user in an org; `None` for who is no member.
///
/// # Errors
/// Those of the database.
pub fn role(
    connection: &mut AnyConnection,
    org: &str,
    user: &str,
) -> Result<Option<OrgRole>, StoreError> {
    let found = org_members::table.find((org, user)).select(org_members::role);
    let found = found.get_result::<String>(connection).optional()?;
    found.map(|role| OrgRole::from_text(&role)).transpose()
}

/// The members of an org by name.
///
/// # Errors
/// Those of the database.
pub fn members(
    connection: &mut AnyConnection,
    org: &str,
) -> Result<Vec<(String, OrgRole)>, StoreError> {
    let rows = org_members::table
        .filter(org_members::org.eq(org))
        .order(org_members::user_name)
        .select((org_members::user_name, org_members::role))
        .load::<(String, String)>(connection)?;
    rows.into_iter().map(|(user, role)| Ok((user, OrgRole::from_text(&role)?))).collect()
}

/// How many members an org has.
///
/// # Errors
/// Those of the database.
pub fn count_members(connection: &mut AnyConnection, org: &str) -> Result<i64, StoreError> {
    Ok(org_members::table.filter(org_members::org.eq(org)).count().get_result(connection)?)
}

/// Makes a user a member with this role, or gives a member another one (a write).
///
/// # Errors
/// Those of the database.
pub fn set_member(
    connection: &mut AnyConnection,
    org: &str,
    user: &str,
    role: OrgRole,
) -> Result<(), StoreError> {
    let values = [Value::Text(org), Value::Text(user), Value::Text(role.as_str())];
    SET_MEMBER.execute(connection, &values)?;
    epochs::raise(connection, epochs::Kind::Access)
}

/// Takes a member out of an org and of all its teams; `false` for who is none (a write).
///
/// # Errors
/// Those of the database.
pub fn remove_member(
    connection: &mut AnyConnection,
    org: &str,
    user: &str,
) -> Result<bool, StoreError> {
    let of_teams = team_members::table
        .filter(team_members::org.eq(org))
        .filter(team_members::user_name.eq(user));
    let teams = diesel::delete(of_teams).execute(connection)?;
    let gone = diesel::delete(org_members::table.find((org, user))).execute(connection)?;
    epochs::raise(connection, epochs::Kind::Access)?;
    Ok(gone + teams > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{on_each_database, package};
    use crate::{Permission, TeamRole};

    #[test]
    fn an_org_is_made_once_and_goes_with_all_that_is_in_it() {
        on_each_database(|test| {
            assert!(test.write(|c| create(c, "garden", "plants")));
            assert!(!test.write(|c| create(c, "garden", "others")));
            assert_eq!(test.read(|c| find(c, "garden")).unwrap().description, "plants");
            test.write(|c| set_member(c, "garden", "ada", OrgRole::Owner));
            test.write(|c| set_member(c, "garden", "bob", OrgRole::Member));
            test.write(|c| set_member(c, "garden", "bob", OrgRole::Admin));
            let all = [("ada".to_owned(), OrgRole::Owner), ("bob".to_owned(), OrgRole::Admin)];
            assert_eq!(test.read(|c| members(c, "garden")), all);
            assert_eq!(test.read(|c| count_members(c, "garden")), 2);
            assert_eq!(test.read(|c| role(c, "garden", "cy")), None);

            let seeds = package("@garden/seeds");
            test.write(|c| crate::teams::create(c, "garden", "growers", ""));
            test.write(|c| {
                crate::teams::set_member(c, "garden", "growers", "bob", TeamRole::Owner)
            });
            test.write(|c| crate::grants::set(c, "garden", "growers", &seeds, Permission::Write));
            assert!(test.write(|c| remove_member(c, "garden", "bob")));
            assert!(!test.write(|c| remove_member(c, "garden", "bob")));
            assert_eq!(test.read(|c| crate::teams::members(c, "garden", "growers")), []);
            assert!(test.write(|c| delete(c, "garden")));
            assert!(!test.write(|c| delete(c, "garden")));
            assert_eq!(test.read(|c| members(c, "garden")), []);
            assert_eq!(test.read(|c| crate::teams::of_org(c, "garden")), Vec::<String>::new());
            assert_eq!(test.read(|c| crate::grants::of_package(c, &seeds)), []);
        });
    }
}
