//! The members of an org.

use std::collections::BTreeMap;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use store::{OrgRole, orgs, teams};

use super::{found, named, reader, required};
use crate::access::changes;
use crate::access::rights::{Who, known_user};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::fields::Fields;
use crate::views::org::{InTeam, Membership, npm_role};
use crate::views::{Done, json_answer};

/// `GET /-/org/:org/member`: `{"ada":"owner"}`.
pub(super) async fn list(
    app: &App,
    request: &HttpRequest,
    org: &str,
) -> Result<HttpResponse, ApiError> {
    answer(app, request, org, OrgRole::as_str).await
}

/// `GET /-/org/:org/user`: the same in the words of `npm org ls`.
pub(super) async fn list_for_npm(
    app: &App,
    request: &HttpRequest,
    org: &str,
) -> Result<HttpResponse, ApiError> {
    answer(app, request, org, npm_role).await
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    org: &str,
    word: fn(OrgRole) -> &'static str,
) -> Result<HttpResponse, ApiError> {
    reader(app, request).await?;
    let named = named(app, org)?;
    found(app, &named).await?;
    let members = app.engine.store().read(move |rows| orgs::members(rows, &named.org)).await?;
    let members: BTreeMap<_, _> =
        members.into_iter().map(|(user, role)| (user, word(role))).collect();
    Ok(json_answer(&members))
}

/// `GET /-/org/:org/member/:user/team`.
pub(super) async fn teams_of(
    app: &App,
    request: &HttpRequest,
    org: &str,
    user: &str,
) -> Result<HttpResponse, ApiError> {
    reader(app, request).await?;
    let named = named(app, org)?;
    found(app, &named).await?;
    let user = user.to_owned();
    let change = move |rows: &mut _| {
        known_user(rows, &user)?;
        Ok(teams::of_user(rows, &named.org, &user)?)
    };
    let teams = super::teams::look(app, change).await?;
    let teams: Vec<_> = teams.iter().map(|(team, role)| InTeam::new(team, *role)).collect();
    Ok(json_answer(&teams))
}

/// `PUT /-/org/:org/member`: `user`, and `role`, without which he is a member.
pub(super) async fn put(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
) -> Result<HttpResponse, ApiError> {
    set(app, request, payload, org).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// `PUT /-/org/:org/user`, as `npm org set` sends it and wants it answered.
pub(super) async fn put_for_npm(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
) -> Result<HttpResponse, ApiError> {
    Ok(json_answer(&set(app, request, payload, org).await?))
}

async fn set(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
) -> Result<Membership, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let named = named(app, org)?;
    let user = user_of(&fields)?;
    let role = role_of(&fields)?;
    let (of, wanted) = (named.org.clone(), user.clone());
    let change = move |rows: &mut _| changes::set_member(rows, &who, &named, &user, role);
    let size = app.access.change(change).await?;
    Ok(Membership::new(of, size, wanted, role))
}

fn user_of(fields: &Fields) -> Result<String, ApiError> {
    Ok(required(fields, "user")?.to_owned())
}

/// The words of the contract, and those of npm.
fn role_of(fields: &Fields) -> Result<OrgRole, ApiError> {
    match fields.text("role")? {
        None | Some("member" | "developer") => Ok(OrgRole::Member),
        Some("admin") => Ok(OrgRole::Admin),
        Some("owner") => Ok(OrgRole::Owner),
        Some(_) => {
            let text = "role must be \"owner\", \"admin\", \"developer\" or \"member\"";
            Err(ApiError::Unprocessable(text.to_owned()))
        }
    }
}

/// `DELETE /-/org/:org/member/:user`, and `DELETE /-/org/:org/user` with the user in the body.
pub(super) async fn delete(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    org: &str,
    user: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let who = Who::of(app, request).await?;
    let named = named(app, org)?;
    let user = user.map_or_else(|| user_of(&fields), |user| Ok(user.to_owned()))?;
    app.access.change(move |rows| changes::remove_member(rows, &who, &named, &user)).await?;
    Ok(json_answer(&Done { ok: true }))
}
