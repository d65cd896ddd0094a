//! Orgs and teams as the API and npm show them.

use serde::Serialize;
use store::teams::TeamRow;
use store::{OrgRole, TeamRole};

use super::account::iso;

/// An org or a team.
#[derive(Debug, Serialize)]
pub struct Described<'a> {
    name: &'a str,
    description: &'a str,
    created: String,
}

impl<'a> Described<'a> {
    /// With the moment it was made, unix milliseconds.
    #[must_use]
    pub fn new(name: &'a str, description: &'a str, created_at_ms: i64) -> Self {
        Self { name, description, created: iso(created_at_ms) }
    }
}

/// A team of a user.
#[derive(Debug, Serialize)]
pub struct InTeam<'a> {
    name: &'a str,
    description: &'a str,
    role: &'static str,
}

impl<'a> InTeam<'a> {
    /// With what the user is in it.
    #[must_use]
    pub fn new(team: &'a TeamRow, role: TeamRole) -> Self {
        Self { name: &team.name, description: &team.description, role: role.as_str() }
    }
}

/// A member of a team.
#[derive(Debug, Serialize)]
pub struct Member<'a> {
    user: &'a str,
    role: &'static str,
}

impl<'a> Member<'a> {
    /// With what he is in it.
    #[must_use]
    pub fn new(user: &'a str, role: TeamRole) -> Self {
        Self { user, role: role.as_str() }
    }
}

/// What `npm org set` prints.
#[derive(Debug, Serialize)]
pub struct Membership {
    org: OrgSize,
    user: String,
    role: &'static str,
}

#[derive(Debug, Serialize)]
struct OrgSize {
    name: String,
    size: i64,
}

impl Membership {
    /// Of a user in an org that has `size` members now.
    #[must_use]
    pub fn new(org: String, size: i64, user: String, role: OrgRole) -> Self {
        Self { org: OrgSize { name: org, size }, user, role: npm_role(role) }
    }
}

/// What npm calls a role.
#[must_use]
pub fn npm_role(role: OrgRole) -> &'static str {
    match role {
        OrgRole::Owner => "owner",
        OrgRole::Admin => "admin",
        OrgRole::Member => "developer",
    }
}
