//! `npm access`: who has a package, whether everybody reads it, and what somebody has.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;
use store::registries::SELF;
use store::{
    AnyConnection, Permission, StoreError, Visibility, grants, maintainers, orgs, packages, users,
};

use crate::access::gate::{self, Shown};
use crate::access::names::{check_org, org_of};
use crate::access::rights::{Who, no_user};
use crate::access::{NotChanged, changes};
use crate::accounts::names::check_name;
use crate::app::App;
use crate::cache::bodies::{BodyPlace, NoBody};
use crate::cache::packages::Package;
use crate::cache::render::Wanted;
use crate::error::ApiError;
use crate::extract::caller::Caller;
use crate::extract::fields::{Fields, invalid};
use crate::views::access::VisibilityAnswer;
use crate::views::{Done, json_answer};

/// `GET /-/package/:name/collaborators`: maintainers for everybody, members of teams for those who
/// are logged in.
///
/// # Errors
/// 403 `Forbidden` for what is not here; 401 and 403 for what the caller may not read.
pub async fn get_collaborators(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let let_in = gate::of_name(app, request, &name).await?;
    let forbidden = || ApiError::Forbidden("Forbidden".to_owned());
    let package = app.packages.find(&name).await?.ok_or_else(forbidden)?;
    let mut who: BTreeMap<String, &str> = BTreeMap::new();
    if Caller::of(app, request).await?.user().is_ok() {
        let users = app.engine.store().read(move |rows| grants::users_of_package(rows, &name));
        who.extend(users.await?.into_iter().map(|(user, can)| (user, can.as_str())));
    }
    let maintainers = match &package.maintainers {
        Some(maintainers) => maintainers.clone(),
        None => documented(app, request, &package).await?,
    };
    who.extend(maintainers.into_iter().map(|user| (user, Permission::Write.as_str())));
    Ok(let_in.mark(json_answer(&who)))
}

/// The maintainers of a package of others, as its document tells them.
async fn documented(
    app: &App,
    request: &HttpRequest,
    package: &Arc<Package>,
) -> Result<Vec<String>, ApiError> {
    let body = match app.bodies.get(package, Wanted::Maintainers, &app.base_of(request)?).await {
        Ok(body) => body,
        Err(NoBody::Failed(error)) => return Err(error),
        Err(NoBody::NoVersion) => return Ok(Vec::new()),
        Err(NoBody::Damaged(_)) => return Err(ApiError::damaged(&package.name)),
    };
    // what is not in memory is above 8 MiB: no list of people
    let BodyPlace::Memory(bytes) = &body.place else { return Ok(Vec::new()) };
    serde_json::from_slice(bytes).map_err(|error| ApiError::Internal(error.to_string()))
}

/// `GET /-/package/:name/visibility`: `npm access get status`.
///
/// # Errors
/// 404, and 401 and 403 for what the caller may not read.
pub async fn get_visibility(
    app: &App,
    request: &HttpRequest,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let let_in = gate::of_name(app, request, &name).await?;
    if app.packages.find(&name).await?.is_none() {
        return Err(ApiError::not_here(name));
    }
    let public = let_in == gate::LetIn::Open;
    Ok(let_in.mark(json_answer(&VisibilityAnswer { public })))
}

/// `POST /-/package/:name/access`: `npm access set status=…` and `npm access set mfa=none`.
///
/// # Errors
/// 401, 403 for who has no say and for packages of others, 404, 422.
pub async fn post_access(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let wanted = match fields.text("access")? {
        None => None,
        Some("public") => Some(Visibility::Public),
        Some("restricted" | "private") => Some(Visibility::Restricted),
        Some(_) => return Err(invalid("access", "must be \"public\" or \"restricted\"")),
    };
    let second_factor = fields.flag("publish_requires_tfa")?;
    if wanted.is_none() && !fields.has("publish_requires_tfa") {
        return Err(ApiError::Unprocessable("access is required".to_owned()));
    }
    let is_private = app.engine.registries().ownership().is_private(&name);
    let change = move |rows: &mut AnyConnection| {
        changes::changeable(rows, &who, &name, is_private)?;
        if second_factor {
            let text = "publish_requires_tfa: there is no second factor here";
            return Err(NotChanged::from(ApiError::Unprocessable(text.to_owned())));
        }
        match wanted {
            Some(wanted) => changes::set_visibility(rows, &who, &name, is_private, wanted),
            None => Ok(()),
        }
    };
    app.access.change(change).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// `GET /-/org/:name/package` and `GET /-/user/:name/package`: what a user has, or, where no user is
/// of this name, what an org has. `npm access list packages` asks both in turn.
///
/// # Errors
/// 404 where there is neither.
pub async fn list_packages(
    app: &App,
    request: &HttpRequest,
    name: &str,
) -> Result<HttpResponse, ApiError> {
    let text = org_of(name).to_owned();
    let read = move |rows: &mut AnyConnection| match of_user(rows, &text)? {
        Some(found) => Ok(Some(found)),
        None => of_org(rows, &text),
    };
    let found = app.engine.store().read(read).await?;
    let found = found.ok_or_else(|| no_user(name))?;
    let shown = Shown::to(app, request).await?;
    let found = found.into_iter().filter(|(name, _)| shown.as_ref().is_none_or(|s| s.has(name)));
    let found: BTreeMap<_, _> = found.map(|(name, can)| (name.to_string(), can.as_str())).collect();
    Ok(json_answer(&found))
}

type Found = Option<Vec<(PackageName, Permission)>>;

/// What a user maintains, and what his teams have.
fn of_user(rows: &mut AnyConnection, user: &str) -> Result<Found, StoreError> {
    if check_name(user).is_err() || users::find(rows, user)?.is_none() {
        return Ok(None);
    }
    let mut found: BTreeMap<_, _> = grants::of_user(rows, user)?.into_iter().collect();
    for name in maintainers::packages_of(rows, user)? {
        found.insert(name, Permission::Write);
    }
    Ok(Some(here(rows, found.into_iter().collect())?))
}

/// What the teams of an org have, of two teams the one that may do more, and what else is published
/// here in its scope.
fn of_org(rows: &mut AnyConnection, org: &str) -> Result<Found, StoreError> {
    if check_org(org).is_err() || orgs::find(rows, org)?.is_none() {
        return Ok(None);
    }
    let mut granted: BTreeMap<PackageName, Permission> = BTreeMap::new();
    for row in grants::of_org(rows, org)? {
        let kept = granted.entry(row.package).or_insert(row.permission);
        if row.permission == Permission::Write {
            *kept = Permission::Write;
        }
    }
    // what was granted to nobody is read by everybody
    for name in packages::of_scope(rows, SELF, &format!("@{org}"))? {
        granted.entry(name).or_insert(Permission::Read);
    }
    Ok(Some(here(rows, granted.into_iter().collect())?))
}

/// Those that are here: a grant may outlive its package.
fn here(
    rows: &mut AnyConnection,
    found: Vec<(PackageName, Permission)>,
) -> Result<Vec<(PackageName, Permission)>, StoreError> {
    let names: Vec<PackageName> = found.iter().map(|(name, _)| name.clone()).collect();
    let known = packages::owners(rows, &names)?;
    Ok(found.into_iter().filter(|(name, _)| known.contains_key(name)).collect())
}
