//! `/-/team/:org/:team…`.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;
use store::teams::TeamRow;
use store::{AnyConnection, Permission, TeamRole, grants, teams};

use super::{found, named, reader, required};
use crate::access::gate::Shown;
use crate::access::rights::{Named, Who, no_team};
use crate::access::{NotChanged, changes, names};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::fields::Fields;
use crate::extract::segments::segments;
use crate::handlers::unserved;
use crate::views::org::{Described, Member};
use crate::views::{Done, json_answer};

/// `/-/team/:org/:team…`.
///
/// # Errors
/// Those of the route, 404 and 405.
pub async fn team_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Some(parts) = segments(request.uri().path(), "/-/team") else {
        return unserved::unknown(app, request, payload).await;
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let [org, team, rest @ ..] = parts.as_slice() else {
        return unserved::unknown(app, request, payload).await;
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (rest, request.method()) {
        ([], _) if reads => get_team(&app, &request, org, team).await,
        ([], &Method::DELETE) => {
            drain(&request, payload, app.settings.max_body_bytes).await?;
            delete_team(&app, &request, org, team).await
        }
        (["user"], _) if reads => list_users(&app, &request, org, team).await,
        (["user"], &Method::PUT) => change_user(&app, &request, payload, org, team, true).await,
        (["user"], &Method::DELETE) => change_user(&app, &request, payload, org, team, false).await,
        (["member"], _) if reads => list_members(&app, &request, org, team).await,
        (["member", user], &Method::PATCH) => {
            patch_member(&app, &request, payload, org, team, user).await
        }
        (["package"], _) if reads => list_packages(&app, &request, org, team).await,
        (["package"], &Method::PUT) => put_package(&app, &request, payload, org, team).await,
        (["package"], &Method::DELETE) => delete_package(&app, &request, payload, org, team).await,
        (other, _) => match allowed(other) {
            Some(allow) => unserved::only(&app, &request, payload, allow).await,
            None => unserved::unknown(app, request, payload).await,
        },
    }
}

fn allowed(parts: &[&str]) -> Option<&'static str> {
    Some(match parts {
        [] => "GET, HEAD, DELETE, OPTIONS",
        ["user" | "package"] => "GET, HEAD, PUT, DELETE, OPTIONS",
        ["member"] => unserved::READING,
        ["member", _] => "PATCH, OPTIONS",
        _ => return None,
    })
}

/// Runs a query that may find that something is not there.
pub(super) async fn look<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&mut AnyConnection) -> Result<T, NotChanged> + Send + 'static,
) -> Result<T, ApiError> {
    let read = app.engine.store().read(move |rows| match work(rows) {
        Ok(found) => Ok(Ok(found)),
        Err(NotChanged::Refused(refused)) => Ok(Err(refused)),
        Err(NotChanged::Store(error)) => Err(error),
    });
    read.await?
}

/// The org of a path, and its team, when that can be one.
fn team_named(app: &App, org: &str, team: &str) -> Result<(Named, String), ApiError> {
    let named = named(app, org)?;
    names::check_team(team).map_err(|_| no_team(team))?;
    Ok((named, team.to_owned()))
}

/// Whoever has a good token reads what there is to know of a team.
async fn looked<T: Send + 'static>(
    app: &App,
    request: &HttpRequest,
    (org, team): (&str, &str),
    work: impl FnOnce(&mut AnyConnection, &TeamRow) -> Result<T, NotChanged> + Send + 'static,
) -> Result<T, ApiError> {
    reader(app, request).await?;
    let (named, team) = team_named(app, org, team)?;
    found(app, &named).await?;
    look(app, move |rows| {
        let row = named.team(rows, &team)?;
        work(rows, &row)
    })
    .await
}

async fn get_team(
    app: &App,
    request: &HttpRequest,
    org: &str,
    team: &str,
) -> Result<HttpResponse, ApiError> {
    let row = looked(app, request, (org, team), |_, row| Ok(row.clone())).await?;
    Ok(json_answer(&Described::new(&row.name, &row.description, row.created_at_ms)))
}

async fn delete_team(
    app: &App,
    request: &HttpRequest,
    org: &str,
    team: &str,
) -> Result<HttpResponse, ApiError> {
    let who = Who::of(app, request).await?;
    let (named, team) = team_named(app, org, team)?;
    app.access.change(move |rows| changes::remove_team(rows, &who, &named, &team)).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// `["ada"]`.
async fn list_users(
    app: &App,
    request: &HttpRequest,
    org: &str,
    team: &str,
) -> Result<HttpResponse, ApiError> {
    let users: Vec<_> = members(app, request, org, team).await?;
    let users: Vec<_> = users.into_iter().map(|(user, _)| user).collect();
    Ok(json_answer(&users))
}

async fn members(
    app: &App,
    request: &HttpRequest,
    org: &str,
    team: &str,
) -> Result<Vec<(String, TeamRole)>, ApiError> {
    looked(app, request, (org, team), |rows, row| Ok(teams::members(rows, &row.org, &row.name)?))
        .await
}

/// `[{"user":"ada","role":"owner"}]`.
async fn list_members(
    app: &App,
    request: &HttpRequest,
    org: &str,
    team: &str,
) -> Result<HttpResponse, ApiError> {
    let members = members(app, request, org, team).await?;
    let members: Vec<_> = members.iter().map(|(user, role)| Member::new(user, *role)).collect();
    Ok(json_answer(&members))
}

/// Adds the user of the body, or takes him out.
async fn change_user(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
    team: &str,
    add: bool,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let (named, team) = team_named(app, org, team)?;
    let user = required(&fields, "user")?.to_owned();
    let change = move |rows: &mut _| match add {
        true => changes::add_team_member(rows, &who, &named, &team, &user),
        false => changes::remove_team_member(rows, &who, &named, &team, &user),
    };
    app.access.change(change).await?;
    Ok(json_answer(&Done { ok: true }))
}

async fn patch_member(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
    team: &str,
    user: &str,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let (named, team) = team_named(app, org, team)?;
    let role = match fields.text("role")? {
        Some("owner") => TeamRole::Owner,
        Some("member") => TeamRole::Member,
        _ => {
            let text = "role is required and must be \"owner\" or \"member\"";
            return Err(ApiError::Unprocessable(text.to_owned()));
        }
    };
    let user = user.to_owned();
    let change = move |rows: &mut _| changes::set_team_role(rows, &who, &named, &team, &user, role);
    app.access.change(change).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// `{"@garden/ui":"read"}`, of what the reader may know of.
async fn list_packages(
    app: &App,
    request: &HttpRequest,
    org: &str,
    team: &str,
) -> Result<HttpResponse, ApiError> {
    let granted = looked(app, request, (org, team), |rows, row| {
        Ok(grants::of_team(rows, &row.org, &row.name)?)
    });
    let granted = granted.await?;
    let shown = Shown::to(app, request).await?;
    let granted =
        granted.into_iter().filter(|row| shown.as_ref().is_none_or(|s| s.has(&row.package)));
    let granted: BTreeMap<_, _> =
        granted.map(|row| (row.package.to_string(), row.permission.as_str())).collect();
    Ok(json_answer(&granted))
}

/// The package of a body.
fn package_of(fields: &Fields) -> Result<PackageName, ApiError> {
    Ok(PackageName::parse(required(fields, "package")?)?)
}

/// What npm calls `read-only` and `read-write`; the contract has reading alone.
fn permission_of(fields: &Fields) -> Result<Permission, ApiError> {
    match fields.text("permissions")? {
        None | Some("read-only" | "read") => Ok(Permission::Read),
        Some("read-write" | "write") => Ok(Permission::Write),
        Some(_) => {
            let text = "permissions must be \"read-only\" or \"read-write\"";
            Err(ApiError::Unprocessable(text.to_owned()))
        }
    }
}

async fn put_package(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
    team: &str,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let (named, team) = team_named(app, org, team)?;
    let (package, permission) = (package_of(&fields)?, permission_of(&fields)?);
    let change =
        move |rows: &mut _| changes::grant(rows, &who, &named, &team, &package, permission);
    app.access.change(change).await?;
    Ok(json_answer(&Done { ok: true }))
}

async fn delete_package(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
    team: &str,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let (named, team) = team_named(app, org, team)?;
    let package = package_of(&fields)?;
    app.access.change(move |rows| changes::revoke(rows, &who, &named, &team, &package)).await?;
    Ok(json_answer(&Done { ok: true }))
}
