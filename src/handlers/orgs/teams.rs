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

/// The org and the team of a path.
type At<'a> = (&'a str, &'a str);

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
    let at: At<'_> = (org, team);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (rest, request.method()) {
        ([], _) if reads => get_team(&app, &request, at).await,
        ([], &Method::DELETE) => {
            drain(&request, payload, app.settings.max_body_bytes).await?;
            delete_team(&app, &request, at).await
        }
        (["user"], _) if reads => list_users(&app, &request, at).await,
        (["user"], &Method::PUT) => change_user(&app, &request, payload, at, true).await,
        (["user"], &Method::DELETE) => change_user(&app, &request, payload, at, false).await,
        (["member"], _) if reads => list_members(&app, &request, at).await,
        (["member", user], &Method::PATCH) => patch_member(&app, &request, payload, at, user).await,
        (["package"], _) if reads => list_packages(&app, &request, at).await,
        (["package"], &Method::PUT) => put_package(&app, &request, payload, at).await,
        (["package"], &Method::DELETE) => delete_package(&app, &request, payload, at).await,
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
fn team_named(app: &App, (org, team): At<'_>) -> Result<(Named, String), ApiError> {
    let named = named(app, org)?;
    names::check_team(team).map_err(|_| no_team(team))?;
    Ok((named, team.to_owned()))
}

/// Whoever has a good token reads what there is to know of a team.
async fn looked<T: Send + 'static>(
    app: &App,
    request: &HttpRequest,
    at: At<'_>,
    work: impl FnOnce(&mut AnyConnection, &TeamRow) -> Result<T, NotChanged> + Send + 'static,
) -> Result<T, ApiError> {
    reader(app, request).await?;
    let (named, team) = team_named(app, at)?;
    found(app, &named).await?;
    look(app, move |rows| {
        let row = named.team(rows, &team)?;
        work(rows, &row)
    })
    .await
}

async fn get_team(app: &App, request: &HttpRequest, at: At<'_>) -> Result<HttpResponse, ApiError> {
    let row = looked(app, request, at, |_, row| Ok(row.clone())).await?;
    Ok(json_answer(&Described::new(&row.name, &row.description, row.created_at_ms)))
}

/// A team, and who wants to change something about it.
struct Asked {
    who: Who,
    named: Named,
    team: String,
}

impl Asked {
    async fn of(app: &App, request: &HttpRequest, at: At<'_>) -> Result<Self, ApiError> {
        let who = Who::of(app, request).await?;
        let (named, team) = team_named(app, at)?;
        Ok(Self { who, named, team })
    }

    /// Makes the change.
    async fn changed(
        self,
        app: &App,
        work: impl FnOnce(&mut AnyConnection, &Who, &Named, &str) -> Result<(), NotChanged>
        + Send
        + 'static,
    ) -> Result<HttpResponse, ApiError> {
        let Self { who, named, team } = self;
        app.access.change(move |rows| work(rows, &who, &named, &team)).await?;
        Ok(json_answer(&Done { ok: true }))
    }
}

async fn delete_team(
    app: &App,
    request: &HttpRequest,
    at: At<'_>,
) -> Result<HttpResponse, ApiError> {
    Asked::of(app, request, at).await?.changed(app, changes::remove_team).await
}

/// `["ada"]`.
async fn list_users(
    app: &App,
    request: &HttpRequest,
    at: At<'_>,
) -> Result<HttpResponse, ApiError> {
    let users: Vec<_> = members(app, request, at).await?;
    let users: Vec<_> = users.into_iter().map(|(user, _)| user).collect();
    Ok(json_answer(&users))
}

async fn members(
    app: &App,
    request: &HttpRequest,
    at: At<'_>,
) -> Result<Vec<(String, TeamRole)>, ApiError> {
    looked(app, request, at, |rows, row| Ok(teams::members(rows, &row.org, &row.name)?)).await
}

/// `[{"user":"ada","role":"owner"}]`.
async fn list_members(
    app: &App,
    request: &HttpRequest,
    at: At<'_>,
) -> Result<HttpResponse, ApiError> {
    let members = members(app, request, at).await?;
    let members: Vec<_> = members.iter().map(|(user, role)| Member::new(user, *role)).collect();
    Ok(json_answer(&members))
}

/// Adds the user of the body, or takes him out.
async fn change_user(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    at: At<'_>,
    add: bool,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let asked = Asked::of(app, request, at).await?;
    let user = required(&fields, "user")?.to_owned();
    let change = if add { changes::add_team_member } else { changes::remove_team_member };
    asked.changed(app, move |rows, who, named, team| change(rows, who, named, team, &user)).await
}

async fn patch_member(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    at: At<'_>,
    user: &str,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let asked = Asked::of(app, request, at).await?;
    let role = match fields.text("role")? {
        Some("owner") => TeamRole::Owner,
        Some("member") => TeamRole::Member,
        _ => {
            let text = "role is required and must be \"owner\" or \"member\"";
            return Err(ApiError::Unprocessable(text.to_owned()));
        }
    };
    let user = user.to_owned();
    let change = move |rows: &mut _, who: &_, named: &_, team: &_| {
        changes::set_team_role(rows, who, named, team, &user, role)
    };
    asked.changed(app, change).await
}

/// `{"@garden/ui":"read"}`, of what the reader may know of.
async fn list_packages(
    app: &App,
    request: &HttpRequest,
    at: At<'_>,
) -> Result<HttpResponse, ApiError> {
    let granted =
        looked(app, request, at, |rows, row| Ok(grants::of_team(rows, &row.org, &row.name)?));
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
    at: At<'_>,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let asked = Asked::of(app, request, at).await?;
    let (package, permission) = (package_of(&fields)?, permission_of(&fields)?);
    let change = move |rows: &mut _, who: &_, named: &_, team: &_| {
        changes::grant(rows, who, named, team, &package, permission)
    };
    asked.changed(app, change).await
}

async fn delete_package(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    at: At<'_>,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let asked = Asked::of(app, request, at).await?;
    let package = package_of(&fields)?;
    let change = move |rows: &mut _, who: &_, named: &_, team: &_| {
        changes::revoke(rows, who, named, team, &package)
    };
    asked.changed(app, change).await
}
