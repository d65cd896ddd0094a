//! `/-/org…` and `/-/team…`: `npm org`, `npm team`, and the routes of the wire contract (6.5).
//!
//! The client and the contract name the members of an org differently (`/user` with `developer`,
//! `/member` with `member`); both are served.

mod members;
mod teams;

pub use teams::team_api;

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use store::orgs::{self, OrgRow};
use store::teams as team_rows;

use super::{access, unserved};
use crate::access::changes;
use crate::access::names::{check_description, check_org, check_team, org_of};
use crate::access::rights::{Named, Who, no_org};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::{Caller, User};
use crate::extract::fields::Fields;
use crate::extract::segments::segments;
use crate::views::org::Described;
use crate::views::{Done, json_answer};

/// `/-/org…`.
///
/// # Errors
/// Those of the route, 404 and 405.
pub async fn org_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Some(parts) = segments(request.uri().path(), "/-/org") else {
        return unserved::unknown(app, request, payload).await;
    };
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (parts.as_slice(), request.method()) {
        ([], &Method::PUT) => put_org(&app, &request, payload).await,
        ([org], _) if reads => get_org(&app, &request, org).await,
        ([org], &Method::DELETE) => delete_org(&app, &request, payload, org).await,
        ([org, "team"], _) if reads => get_teams(&app, &request, org).await,
        ([org, "team"], &Method::PUT) => put_team(&app, &request, payload, org).await,
        ([org, "package"], _) if reads => access::list_packages(&app, &request, org).await,
        ([org, "member"], _) if reads => members::list(&app, &request, org).await,
        ([org, "member"], &Method::PUT) => members::put(&app, &request, payload, org).await,
        ([org, "member", user], &Method::DELETE) => {
            members::delete(&app, &request, payload, org, Some(user)).await
        }
        ([org, "member", user, "team"], _) if reads => {
            members::teams_of(&app, &request, org, user).await
        }
        ([org, "user"], _) if reads => members::list_for_npm(&app, &request, org).await,
        ([org, "user"], &Method::PUT) => members::put_for_npm(&app, &request, payload, org).await,
        ([org, "user"], &Method::DELETE) => {
            members::delete(&app, &request, payload, org, None).await
        }
        (other, _) => match allowed(other) {
            Some(allow) => unserved::only(&app, &request, payload, allow).await,
            None => unserved::unknown(app, request, payload).await,
        },
    }
}

/// The methods of a path that is one of ours.
fn allowed(parts: &[&str]) -> Option<&'static str> {
    Some(match parts {
        [] => "PUT, OPTIONS",
        [_] => "GET, HEAD, DELETE, OPTIONS",
        [_, "team" | "member"] => "GET, HEAD, PUT, OPTIONS",
        [_, "user"] => "GET, HEAD, PUT, DELETE, OPTIONS",
        [_, "member", _] => "DELETE, OPTIONS",
        [_, "package"] | [_, "member", _, "team"] => unserved::READING,
        _ => return None,
    })
}

/// The org that a path names.
///
/// # Errors
/// 404 for what can be none.
fn named(app: &App, org: &str) -> Result<Named, ApiError> {
    let org = org_of(org);
    check_org(org).map_err(|_| no_org(org))?;
    let open = app.engine.registries().ownership().is_open(&format!("@{org}"));
    Ok(Named { org: org.to_owned(), open })
}

/// Anybody with a good token.
async fn reader(app: &App, request: &HttpRequest) -> Result<User, ApiError> {
    match Caller::of(app, request).await? {
        Caller::Anonymous => Err(ApiError::LoginFirst),
        Caller::User(user) => Ok(user),
    }
}

/// The row of an org; that of an open scope is made when it is asked for first.
async fn found(app: &App, named: &Named) -> Result<OrgRow, ApiError> {
    let org = named.org.clone();
    match app.engine.store().read(move |rows| orgs::find(rows, &org)).await? {
        Some(row) => Ok(row),
        None if named.open => {
            let named = named.clone();
            app.access.change(move |rows| named.find(rows)).await
        }
        None => Err(no_org(&named.org)),
    }
}

/// A text that has to be there and not empty, in the words of the contract.
fn required<'f>(fields: &'f Fields, name: &str) -> Result<&'f str, ApiError> {
    let text = fields.text(name)?.map(str::trim).filter(|text| !text.is_empty());
    text.ok_or_else(|| ApiError::Unprocessable(format!("{name} is required")))
}

fn description(fields: &Fields) -> Result<String, ApiError> {
    let text = fields.text("description")?.unwrap_or_default().trim();
    check_description(text).map_err(|rule| unprocessable("description", rule))?;
    Ok(text.to_owned())
}

fn unprocessable(field: &str, rule: &str) -> ApiError {
    ApiError::Unprocessable(format!("{field}: {rule}"))
}

/// `PUT /-/org`.
async fn put_org(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::admin(app, request).await?;
    let org = org_of(required(&fields, "name")?).to_owned();
    check_org(&org).map_err(|rule| unprocessable("name", rule))?;
    let description = description(&fields)?;
    app.access.change(move |rows| changes::add_org(rows, &who, &org, &description)).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// `GET /-/org/:org`.
async fn get_org(app: &App, request: &HttpRequest, org: &str) -> Result<HttpResponse, ApiError> {
    reader(app, request).await?;
    let row = found(app, &named(app, org)?).await?;
    Ok(json_answer(&Described::new(&row.name, &row.description, row.created_at_ms)))
}

/// `DELETE /-/org/:org`.
async fn delete_org(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    let who = Who::admin(app, request).await?;
    let named = named(app, org)?;
    app.access.change(move |rows| changes::remove_org(rows, &who, &named.org)).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// `GET /-/org/:org/team`: `["org:team"]`.
async fn get_teams(app: &App, request: &HttpRequest, org: &str) -> Result<HttpResponse, ApiError> {
    reader(app, request).await?;
    let named = named(app, org)?;
    found(app, &named).await?;
    let of = named.org.clone();
    let teams = app.engine.store().read(move |rows| team_rows::of_org(rows, &of)).await?;
    let teams: Vec<_> = teams.iter().map(|team| format!("{}:{team}", named.org)).collect();
    Ok(json_answer(&teams))
}

/// `PUT /-/org/:org/team`.
async fn put_team(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let named = named(app, org)?;
    let team = required(&fields, "name")?.to_owned();
    check_team(&team).map_err(|rule| unprocessable("name", rule))?;
    let description = description(&fields)?;
    let change = move |rows: &mut _| changes::add_team(rows, &who, &named, &team, &description);
    app.access.change(change).await?;
    Ok(json_answer(&Done { ok: true }))
}
