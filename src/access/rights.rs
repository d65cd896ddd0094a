//! Who may change what, asked inside the transaction of the change.

use actix_web::HttpRequest;
use npm::PackageName;
use store::audit::By;
use store::orgs::OrgRow;
use store::registries::SELF;
use store::teams::TeamRow;
use store::{
    AnyConnection, StoreError, TeamRole, grants, maintainers, orgs, packages, teams, users,
};

use super::NotChanged;
use crate::accounts::names::check_name;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::{Caller, User, by};

/// Somebody who changes something.
#[derive(Debug, Clone)]
pub struct Who {
    /// The login name.
    pub name: String,
    /// Everything is allowed.
    pub admin: bool,
    /// For the audit log.
    pub by: By,
}

impl Who {
    fn new(app: &App, request: &HttpRequest, user: &User) -> Self {
        Self { by: by(app, request, &user.name), admin: user.admin, name: user.name.clone() }
    }

    /// The caller, with a token that may change settings.
    ///
    /// # Errors
    /// 401 for nobody, 403 for a limited token.
    pub async fn of(app: &App, request: &HttpRequest) -> Result<Self, ApiError> {
        let caller = Caller::of(app, request).await?;
        let user = caller.user()?;
        user.may_set()?;
        Ok(Self::new(app, request, user))
    }

    /// The caller, who has to be an admin.
    ///
    /// # Errors
    /// 401 for nobody, 403 for others.
    pub async fn admin(app: &App, request: &HttpRequest) -> Result<Self, ApiError> {
        let caller = Caller::of(app, request).await?;
        let user = caller.user()?;
        if !user.admin {
            return Err(ApiError::Forbidden("Not allow to access".to_owned()));
        }
        Ok(Self::new(app, request, user))
    }
}

/// An org that a request names.
#[derive(Debug, Clone)]
pub struct Named {
    /// The scope without its `@`.
    pub org: String,
    /// Every user publishes in its scope: the org is made when it is touched, and nobody has to be
    /// a member of it.
    pub open: bool,
}

impl Named {
    /// The row; one of an open scope is made now if it has to be (a write then).
    ///
    /// # Errors
    /// 404, or those of the database.
    pub fn find(&self, rows: &mut AnyConnection) -> Result<OrgRow, NotChanged> {
        if let Some(org) = orgs::find(rows, &self.org)? {
            return Ok(org);
        }
        if self.open {
            orgs::create(rows, &self.org, "")?;
        }
        orgs::find(rows, &self.org)?.ok_or_else(|| no_org(&self.org).into())
    }

    /// Whether somebody manages the org: an admin of the mirror, or an owner or admin of the org.
    ///
    /// # Errors
    /// Those of the database.
    pub fn is_managed_by(&self, rows: &mut AnyConnection, who: &Who) -> Result<bool, StoreError> {
        if who.admin {
            return Ok(true);
        }
        Ok(orgs::role(rows, &self.org, &who.name)?.is_some_and(store::OrgRole::manages))
    }

    /// Refuses who does not manage the org.
    ///
    /// # Errors
    /// 403, or those of the database.
    pub fn managed_by(&self, rows: &mut AnyConnection, who: &Who) -> Result<(), NotChanged> {
        if self.is_managed_by(rows, who)? {
            return Ok(());
        }
        let text = "Only org owner or admin can perform this action";
        Err(ApiError::Forbidden(text.to_owned()).into())
    }

    /// One of its teams.
    ///
    /// # Errors
    /// 404, or those of the database.
    pub fn team(&self, rows: &mut AnyConnection, team: &str) -> Result<TeamRow, NotChanged> {
        self.find(rows)?;
        teams::find(rows, &self.org, team)?.ok_or_else(|| no_team(team).into())
    }

    /// Refuses who may not change a team: others than its owners and who manages the org.
    ///
    /// # Errors
    /// 403, or those of the database.
    pub fn team_owned_by(
        &self,
        rows: &mut AnyConnection,
        team: &str,
        who: &Who,
    ) -> Result<(), NotChanged> {
        let role = teams::role(rows, &self.org, team, &who.name)?;
        if role == Some(TeamRole::Owner) || self.is_managed_by(rows, who)? {
            return Ok(());
        }
        let text = "Only team owner or admin can perform this action";
        Err(ApiError::Forbidden(text.to_owned()).into())
    }
}

/// `Org "x" not found`.
#[must_use]
pub fn no_org(org: &str) -> ApiError {
    ApiError::NotThere(format!("Org \"{org}\" not found"))
}

/// `Team "x" not found`.
#[must_use]
pub fn no_team(team: &str) -> ApiError {
    ApiError::NotThere(format!("Team \"{team}\" not found"))
}

/// `User "x" not found`.
#[must_use]
pub fn no_user(user: &str) -> ApiError {
    ApiError::NotThere(format!("User \"{user}\" not found"))
}

/// A user that a request names has to be there.
///
/// # Errors
/// 404, or those of the database.
pub fn known_user(rows: &mut AnyConnection, user: &str) -> Result<(), NotChanged> {
    // other names are none, and might be nothing that a database takes
    if check_name(user).is_ok() && users::find(rows, user)?.is_some() {
        return Ok(());
    }
    Err(no_user(user).into())
}

/// A package that is here: the registry that owns it.
///
/// # Errors
/// Those of the database.
pub fn owner_of(
    rows: &mut AnyConnection,
    name: &PackageName,
) -> Result<Option<String>, StoreError> {
    let row = packages::find(rows, name)?;
    Ok(row.filter(|row| !row.status.is_absent()).map(|row| row.registry))
}

/// Whether somebody decides who has a package: a maintainer, one who may publish versions of it, an
/// admin of the mirror.
///
/// # Errors
/// Those of the database.
pub fn has_say(
    rows: &mut AnyConnection,
    name: &PackageName,
    who: &Who,
) -> Result<bool, StoreError> {
    Ok(who.admin
        || maintainers::has(rows, name, &who.name)?
        || grants::may_write(rows, name, &who.name)?)
}

/// Refuses who has no say about a package.
///
/// # Errors
/// 403, or those of the database.
pub fn must_have_say(
    rows: &mut AnyConnection,
    name: &PackageName,
    who: &Who,
) -> Result<(), NotChanged> {
    if has_say(rows, name, who)? {
        return Ok(());
    }
    let maintainers = maintainers::of_package(rows, name)?;
    let maintainers: Vec<_> = maintainers.iter().map(|user| format!("\"{user}\"")).collect();
    let mut text = format!("\"{}\" not authorized to modify {name}", who.name);
    if !maintainers.is_empty() {
        text.push_str(&format!(", please contact maintainers: {}", maintainers.join(", ")));
    }
    Err(ApiError::Forbidden(text).into())
}

/// Whether a package is ours, so that it can have readers of its own: published here, or in a scope
/// that no upstream is asked for.
#[must_use]
pub fn is_ours(registry: &str, is_private: bool) -> bool {
    registry == SELF || is_private
}
