//! Who may read the packages that not everybody may read, as one picture of several tables.
//!
//! It is small, people change it seldom, and readers need it often: a server keeps it in memory and
//! reads it anew when [`epochs::Kind::Access`](crate::epochs::Kind::Access) was raised.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use npm::PackageName;

use crate::grants::GrantRow;
use crate::registries::SELF;
use crate::schema::{grants, org_members, team_members};
use crate::states::{OrgRole, Visibility};
use crate::{AnyConnection, StoreError, packages, visibilities};

type Team = (String, String);

/// The picture.
#[derive(Debug, Default)]
pub struct Gates {
    packages: HashMap<PackageName, Gate>,
    members: HashMap<Team, HashSet<String>>,
    managers: HashMap<String, HashSet<String>>,
}

#[derive(Debug, Default)]
struct Gate {
    said: Option<Visibility>,
    published_here: bool,
    teams: Vec<Team>,
}

impl Gates {
    /// Whether a package has readers of its own; `is_private` says whether its scope is ours alone.
    ///
    /// What somebody said counts; else a package of ours in a scope that was granted to a team is
    /// for its teams (wire contract, 6.5).
    #[must_use]
    pub fn is_closed(&self, name: &PackageName, is_private: bool) -> bool {
        let Some(gate) = self.packages.get(name) else { return false };
        match gate.said {
            Some(Visibility::Restricted) => true,
            Some(Visibility::Public) => false,
            None => {
                let is_ours = is_private || gate.published_here;
                !gate.teams.is_empty() && is_ours && name.scope().is_some()
            }
        }
    }

    /// Whether a user reads a package that is closed, as a member of a team that it was granted to
    /// or as one who manages the org of its scope. Maintainers and admins do, too.
    #[must_use]
    pub fn lets_in(&self, name: &PackageName, user: &str) -> bool {
        let org = name.scope().and_then(|scope| scope.strip_prefix('@'));
        let managers = org.and_then(|org| self.managers.get(org));
        if managers.is_some_and(|users| users.contains(user)) {
            return true;
        }
        let Some(gate) = self.packages.get(name) else { return false };
        let members = gate.teams.iter().filter_map(|team| self.members.get(team));
        members.into_iter().any(|users| users.contains(user))
    }

    /// The packages about which something was granted or said; no other one is closed.
    pub fn names(&self) -> impl Iterator<Item = &PackageName> {
        self.packages.keys()
    }

    /// Whether nothing was ever granted or restricted, so that everybody may read everything.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.packages.is_empty()
    }
}

/// Reads it.
///
/// # Errors
/// Those of the database.
pub fn read(connection: &mut AnyConnection) -> Result<Gates, StoreError> {
    let mut gates = Gates::default();
    gates.said(visibilities::all(connection)?);
    gates.granted(crate::grants::all(connection)?);
    let names: Vec<PackageName> = gates.packages.keys().cloned().collect();
    gates.owned(packages::owners(connection, &names)?);
    gates.people(granted_members(connection, None)?, managers(connection, None)?);
    Ok(gates)
}

/// The part of it that decides about one package, as the tables are now.
///
/// # Errors
/// Those of the database.
pub fn read_of(connection: &mut AnyConnection, name: &PackageName) -> Result<Gates, StoreError> {
    let mut gates = Gates::default();
    gates.said(visibilities::find(connection, name)?.map(|said| (name.clone(), said)));
    gates.granted(crate::grants::of_package(connection, name)?);
    if gates.are_none() {
        return Ok(gates);
    }
    gates.owned(packages::owners(connection, std::slice::from_ref(name))?);
    let org = name.scope().and_then(|scope| scope.strip_prefix('@'));
    let managers = managers(connection, Some(org.unwrap_or_default()))?;
    gates.people(granted_members(connection, Some(name))?, managers);
    Ok(gates)
}

impl Gates {
    fn said(&mut self, said: impl IntoIterator<Item = (PackageName, Visibility)>) {
        for (name, visibility) in said {
            self.packages.entry(name).or_default().said = Some(visibility);
        }
    }

    fn granted(&mut self, granted: Vec<GrantRow>) {
        for grant in granted {
            let team = (grant.org, grant.team);
            self.packages.entry(grant.package).or_default().teams.push(team);
        }
    }

    fn owned(&mut self, owners: HashMap<PackageName, String>) {
        for (name, owner) in owners {
            if let Some(gate) = self.packages.get_mut(&name) {
                gate.published_here = owner == SELF;
            }
        }
    }

    fn people(&mut self, members: Vec<(String, String, String)>, managers: Vec<(String, String)>) {
        for (org, team, user) in members {
            self.members.entry((org, team)).or_default().insert(user);
        }
        for (org, user) in managers {
            self.managers.entry(org).or_default().insert(user);
        }
    }
}

/// Of the teams that have a package, or this one.
fn granted_members(
    connection: &mut AnyConnection,
    package: Option<&PackageName>,
) -> Result<Vec<(String, String, String)>, StoreError> {
    let is_in = grants::org.eq(team_members::org).and(grants::team.eq(team_members::team));
    let mut rows = team_members::table
        .inner_join(grants::table.on(is_in))
        .select((team_members::org, team_members::team, team_members::user_name))
        .distinct()
        .into_boxed();
    if let Some(package) = package {
        rows = rows.filter(grants::package.eq(package.as_str()));
    }
    Ok(rows.load(connection)?)
}

/// Those who manage an org, or this one.
fn managers(
    connection: &mut AnyConnection,
    org: Option<&str>,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut rows = org_members::table
        .filter(org_members::role.ne(OrgRole::Member.as_str()))
        .select((org_members::org, org_members::user_name))
        .into_boxed();
    if let Some(org) = org {
        rows = rows.filter(org_members::org.eq(org));
    }
    Ok(rows.load(connection)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestStore, on_each_database, package};
    use crate::{Permission, orgs, teams};

    fn gates(test: &TestStore) -> Gates {
        test.read(read)
    }

    #[test]
    fn a_granted_package_of_a_private_scope_is_for_its_teams() {
        on_each_database(|test| {
            let (seeds, lamp) = (package("@garden/seeds"), package("lamp"));
            assert!(gates(test).are_none());
            assert!(!gates(test).is_closed(&seeds, true));
            test.write(|c| teams::create(c, "garden", "growers", ""));
            test.write(|c| teams::add_member(c, "garden", "growers", "bob"));
            test.write(|c| crate::grants::set(c, "garden", "growers", &seeds, Permission::Read));
            test.write(|c| crate::grants::set(c, "garden", "growers", &lamp, Permission::Write));
            test.write(|c| orgs::set_member(c, "garden", "ada", OrgRole::Owner));
            test.write(|c| orgs::set_member(c, "garden", "cy", OrgRole::Member));
            let now = gates(test);
            assert!(now.is_closed(&seeds, true) && !now.is_closed(&seeds, false));
            assert!(!now.is_closed(&lamp, false), "not for a name without a scope");
            let alone = test.read(|c| read_of(c, &seeds));
            assert!(alone.is_closed(&seeds, true) && !alone.is_closed(&seeds, false));
            assert!(test.read(|c| read_of(c, &package("@garden/soil"))).are_none());
            for (user, reads) in [("ada", true), ("bob", true), ("cy", false), ("", false)] {
                assert_eq!(now.lets_in(&seeds, user), reads, "{user}");
                assert_eq!(alone.lets_in(&seeds, user), reads, "{user}, of it alone");
            }
            test.write(|c| visibilities::set(c, &seeds, Visibility::Public));
            assert!(!gates(test).is_closed(&seeds, true), "somebody said so");
            test.write(|c| visibilities::set(c, &seeds, Visibility::Restricted));
            assert!(gates(test).is_closed(&seeds, false));
            assert_eq!(test.read(|c| visibilities::find(c, &seeds)), Some(Visibility::Restricted));
            test.write(|c| teams::remove_member(c, "garden", "growers", "bob"));
            assert!(!gates(test).lets_in(&seeds, "bob"));
            let access = test.read(crate::epochs::read).access;
            assert!(access >= 7, "{access} changes are told to other nodes");
        });
    }

    #[test]
    fn what_is_published_here_stays_closed_when_its_scope_is_no_longer_private() {
        on_each_database(|test| {
            let seeds = package("@garden/seeds");
            let mut change = test.change("@garden/seeds", None, "one");
            change.registry = SELF.to_owned();
            test.commit(change).unwrap();
            test.write(|c| crate::grants::set(c, "garden", "growers", &seeds, Permission::Read));
            assert!(gates(test).is_closed(&seeds, false));
            test.commit(test.change("@gardens/x", None, "two")).unwrap();
            let of = |registry| test.read(|c| packages::of_scope(c, registry, "@garden"));
            assert_eq!(of(SELF), [seeds]);
            assert_eq!(of("default"), []);
        });
    }
}
