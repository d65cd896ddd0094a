//! The `grants` table: what teams may do with packages.

use diesel::prelude::*;
use npm::PackageName;

use crate::dialect::{RowsStatement, Value};
use crate::packages::package_name;
use crate::schema::{grants, team_members};
use crate::states::Permission;
use crate::{AnyConnection, StoreError, epochs, orgs};

/// What one team may do with one package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantRow {
    /// The team's org.
    pub org: String,
    /// The team.
    pub team: String,
    /// The package.
    pub package: PackageName,
    /// What it may do.
    pub permission: Permission,
}

type Raw = (String, String, String, String);

const SET: RowsStatement = RowsStatement {
    head: "INSERT INTO grants (org, team, package, permission) VALUES ",
    columns: 4,
    tail: " ON CONFLICT (org, team, package) DO UPDATE SET permission = excluded.permission",
};

fn row((org, team, package, permission): Raw) -> Result<GrantRow, StoreError> {
    Ok(GrantRow {
        org,
        team,
        package: package_name(&package)?,
        permission: Permission::from_text(&permission)?,
    })
}

/// Grants a package to a team, or changes what was granted (a write).
///
/// # Errors
/// Those of the database.
pub fn set(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
    package: &PackageName,
    permission: Permission,
) -> Result<(), StoreError> {
    let values = [
        Value::Text(org),
        Value::Text(team),
        Value::Text(package.as_str()),
        Value::Text(permission.as_str()),
    ];
    SET.execute(connection, &values)?;
    epochs::raise(connection, epochs::Kind::Access)
}

/// Takes a package from a team; `false` when it was not granted (a write).
///
/// # Errors
/// Those of the database.
pub fn remove(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
    package: &PackageName,
) -> Result<bool, StoreError> {
    let granted = grants::table.find((org, team, package.as_str()));
    let gone = diesel::delete(granted).execute(connection)?;
    epochs::raise(connection, epochs::Kind::Access)?;
    Ok(gone > 0)
}

/// What one team may do with one package.
///
/// # Errors
/// Those of the database.
pub fn find(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
    package: &PackageName,
) -> Result<Option<Permission>, StoreError> {
    let found = grants::table.find((org, team, package.as_str())).select(grants::permission);
    let found = found.get_result::<String>(connection).optional()?;
    found.map(|text| Permission::from_text(&text)).transpose()
}

/// What a team may do, by package.
///
/// # Errors
/// Those of the database.
pub fn of_team(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
) -> Result<Vec<GrantRow>, StoreError> {
    let rows = grants::table.filter(grants::org.eq(org)).filter(grants::team.eq(team));
    let rows = rows.order(grants::package).load::<Raw>(connection)?;
    rows.into_iter().map(row).collect()
}

/// Every grant of an org's teams, by package.
///
/// # Errors
/// Those of the database.
pub fn of_org(connection: &mut AnyConnection, org: &str) -> Result<Vec<GrantRow>, StoreError> {
    let rows = grants::table.filter(grants::org.eq(org));
    let rows = rows.order((grants::package, grants::team)).load::<Raw>(connection)?;
    rows.into_iter().map(row).collect()
}

/// Who may do what with a package, by team.
///
/// # Errors
/// Those of the database.
pub fn of_package(
    connection: &mut AnyConnection,
    package: &PackageName,
) -> Result<Vec<GrantRow>, StoreError> {
    let rows = grants::table.filter(grants::package.eq(package.as_str()));
    let rows = rows.order((grants::org, grants::team)).load::<Raw>(connection)?;
    rows.into_iter().map(row).collect()
}

/// Every grant there is.
pub(crate) fn all(connection: &mut AnyConnection) -> Result<Vec<GrantRow>, StoreError> {
    grants::table.load::<Raw>(connection)?.into_iter().map(row).collect()
}

/// How many packages a team was granted.
///
/// # Errors
/// Those of the database.
pub fn count_of_team(
    connection: &mut AnyConnection,
    org: &str,
    team: &str,
) -> Result<i64, StoreError> {
    let rows = grants::table.filter(grants::org.eq(org)).filter(grants::team.eq(team));
    Ok(rows.count().get_result(connection)?)
}

/// What the teams of a user may do, by package; of two teams the one that may do more counts.
///
/// # Errors
/// Those of the database.
pub fn of_user(
    connection: &mut AnyConnection,
    user: &str,
) -> Result<Vec<(PackageName, Permission)>, StoreError> {
    let is_in = grants::org.eq(team_members::org).and(grants::team.eq(team_members::team));
    let rows = grants::table
        .inner_join(team_members::table.on(is_in))
        .filter(team_members::user_name.eq(user))
        .order((grants::package, grants::permission))
        .select((grants::package, grants::permission))
        .load::<(String, String)>(connection)?;
    let mut found: Vec<(PackageName, Permission)> = Vec::with_capacity(rows.len());
    // `write` comes behind `read`
    for (package, permission) in rows {
        let (package, permission) = (package_name(&package)?, Permission::from_text(&permission)?);
        match found.last_mut() {
            Some((last, kept)) if *last == package => *kept = permission,
            _ => found.push((package, permission)),
        }
    }
    Ok(found)
}

/// The users that have a package through their teams, by name, and what they may do with it.
///
/// # Errors
/// Those of the database.
pub fn users_of_package(
    connection: &mut AnyConnection,
    package: &PackageName,
) -> Result<Vec<(String, Permission)>, StoreError> {
    let is_in = grants::org.eq(team_members::org).and(grants::team.eq(team_members::team));
    let rows = grants::table
        .inner_join(team_members::table.on(is_in))
        .filter(grants::package.eq(package.as_str()))
        .order((team_members::user_name, grants::permission))
        .select((team_members::user_name, grants::permission))
        .load::<(String, String)>(connection)?;
    let mut found: Vec<(String, Permission)> = Vec::with_capacity(rows.len());
    for (user, permission) in rows {
        let permission = Permission::from_text(&permission)?;
        match found.last_mut() {
            Some((last, kept)) if *last == user => *kept = permission,
            _ => found.push((user, permission)),
        }
    }
    Ok(found)
}

/// Whether a user who is no maintainer may publish versions of a package: as a member of a team
/// that may write it, or as one who manages the org that its scope is.
///
/// # Errors
/// Those of the database.
pub fn may_write(
    connection: &mut AnyConnection,
    package: &PackageName,
    user: &str,
) -> Result<bool, StoreError> {
    if let Some(org) = package.scope().and_then(|scope| scope.strip_prefix('@'))
        && orgs::role(connection, org, user)?.is_some_and(|role| role.manages())
    {
        return Ok(true);
    }
    let is_in = grants::org.eq(team_members::org).and(grants::team.eq(team_members::team));
    let writing = grants::table
        .inner_join(team_members::table.on(is_in))
        .filter(grants::package.eq(package.as_str()))
        .filter(grants::permission.eq(Permission::Write.as_str()))
        .filter(team_members::user_name.eq(user))
        .select(grants::team);
    Ok(writing.first::<String>(connection).optional()?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestStore, on_each_database, package};
    use crate::{OrgRole, teams};

    fn grant(test: &TestStore, team: &str, name: &str, permission: Permission) {
        test.write(|c| set(c, "garden", team, &package(name), permission));
    }

    #[test]
    fn of_two_teams_the_one_that_may_do_more_counts() {
        on_each_database(|test| {
            for (team, user) in [("readers", "ada"), ("writers", "ada"), ("readers", "bob")] {
                test.write(|c| teams::create(c, "garden", team, ""));
                test.write(|c| teams::add_member(c, "garden", team, user));
            }
            grant(test, "readers", "@garden/seeds", Permission::Read);
            grant(test, "writers", "@garden/seeds", Permission::Write);
            grant(test, "readers", "@garden/soil", Permission::Write);
            grant(test, "readers", "@garden/soil", Permission::Read);
            let (seeds, soil) = (package("@garden/seeds"), package("@garden/soil"));
            let of = |user: &str| test.read(|c| of_user(c, user));
            let (read, write) = (Permission::Read, Permission::Write);
            assert_eq!(of("ada"), [(seeds.clone(), write), (soil.clone(), read)]);
            assert_eq!(of("bob"), [(seeds.clone(), read), (soil.clone(), read)]);
            let users = test.read(|c| users_of_package(c, &seeds));
            assert_eq!(users, [("ada".to_owned(), write), ("bob".to_owned(), read)]);
            let writes = |name: &PackageName, user: &str| test.read(|c| may_write(c, name, user));
            assert!(writes(&seeds, "ada") && !writes(&seeds, "bob") && !writes(&soil, "ada"));
            test.write(|c| orgs::set_member(c, "garden", "cy", OrgRole::Member));
            assert!(!writes(&soil, "cy"));
            test.write(|c| orgs::set_member(c, "garden", "cy", OrgRole::Admin));
            assert!(writes(&soil, "cy") && !writes(&package("@cellar/wine"), "cy"));

            assert_eq!(test.read(|c| of_team(c, "garden", "readers")).len(), 2);
            assert_eq!(test.read(|c| count_of_team(c, "garden", "readers")), 2);
            assert_eq!(test.read(|c| of_org(c, "garden")).len(), 3);
            assert_eq!(test.read(|c| find(c, "garden", "writers", &seeds)), Some(write));
            assert!(test.write(|c| remove(c, "garden", "writers", &seeds)));
            assert!(!test.write(|c| remove(c, "garden", "writers", &seeds)));
            assert_eq!(test.read(|c| of_package(c, &seeds)).len(), 1);
            assert!(!writes(&seeds, "ada"));
        });
    }
}
