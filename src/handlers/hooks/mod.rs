//! `/-/npm/v1/hooks…`: `npm hook add | ls | update | rm` (wire contract, 6.4), and beside npm's
//! routes what became of deliveries, sending one again and trying a hook.
//!
//! A hook belongs to the user who made it. Its secret goes in and never comes out.

mod deliveries;
pub mod wish;

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use actors::clock::now_ms;
use percent_encoding::percent_decode_str;
use store::hooks::{self, HookRow, Made};

use self::wish::{HookUpdate, HookWish, ListQuery};
use super::unserved;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::{Caller, User, by};
use crate::extract::fields::Fields;
use crate::views::hook::{HookAnswer, HookList};
use crate::views::{created, json_answer};

/// `/-/npm/v1/hooks…`.
///
/// # Errors
/// Those of the route, 404 and 405.
pub async fn hook_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let rest = path.split_once("/-/npm/v1/hooks").map_or("", |(_, rest)| rest);
    let segments: Vec<String> = rest
        .split('/')
        .skip(1)
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (segments.as_slice(), request.method()) {
        ([], _) if reads => list(&app, &request).await,
        (["hook"], &Method::POST) => create(&app, &request, payload).await,
        (["hook", id], _) if reads => {
            let user = reader(&app, &request).await?;
            Ok(json_answer(&HookAnswer::from(&own(&app, &user, id).await?)))
        }
        (["hook", id], &Method::PUT) => change(&app, &request, payload, id).await,
        (["hook", id], &Method::DELETE) => remove(&app, &request, payload, id).await,
        (["hook", id, "deliveries"], _) if reads => deliveries::list(&app, &request, id).await,
        (["hook", id, "deliveries", delivery], _) if reads => {
            deliveries::show(&app, &request, id, delivery).await
        }
        (["hook", id, "deliveries", delivery, "redeliver"], &Method::POST) => {
            drain(&request, payload, app.settings.max_body_bytes).await?;
            deliveries::redeliver(&app, &request, id, delivery).await
        }
        (["hook", id, "test"], &Method::POST) => {
            drain(&request, payload, app.settings.max_body_bytes).await?;
            deliveries::test(&app, &request, id).await
        }
        ([] | ["hook", _, "deliveries"] | ["hook", _, "deliveries", _], _) => {
            unserved::only(&app, &request, payload, "GET, HEAD, OPTIONS").await
        }
        (["hook", _, "deliveries", _, "redeliver"] | ["hook", _, "test"] | ["hook"], _) => {
            unserved::only(&app, &request, payload, "POST, OPTIONS").await
        }
        (["hook", _], _) => {
            unserved::only(&app, &request, payload, "GET, HEAD, PUT, DELETE, OPTIONS").await
        }
        _ => unserved::unknown(app, request, payload).await,
    }
}

/// Somebody who is logged in.
async fn reader(app: &App, request: &HttpRequest) -> Result<User, ApiError> {
    match Caller::of(app, request).await? {
        Caller::User(user) => Ok(user),
        Caller::Anonymous => Err(ApiError::LoginFirst),
    }
}

/// The same with a token that may change things of the account.
async fn setter(app: &App, request: &HttpRequest) -> Result<User, ApiError> {
    let user = reader(app, request).await?;
    user.may_set()?;
    Ok(user)
}

/// The hook of this id, when it is the user's.
async fn own(app: &App, user: &User, id: &str) -> Result<HookRow, ApiError> {
    let wanted = id.to_owned();
    let found = app.engine.store().read(move |rows| hooks::find(rows, &wanted)).await?;
    let hook = found.ok_or_else(|| not_there(id))?;
    if hook.owner != user.name {
        return Err(ApiError::Forbidden(format!("hook {id} not belong to {}", user.name)));
    }
    Ok(hook)
}

fn not_there(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    ApiError::NotThere(format!("hook {id} not found"))
}

async fn list(app: &App, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let user = reader(app, request).await?;
    let wanted = ListQuery::parse(request.query_string())?;
    let read = move |rows: &mut _| {
        let name = wanted.package.as_deref();
        hooks::of_owner(rows, &user.name, name, wanted.offset, wanted.limit)
    };
    let rows = app.engine.store().read(read).await?;
    Ok(json_answer(&HookList { objects: rows.iter().map(HookAnswer::from).collect() }))
}

async fn create(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let wish = HookWish::parse(app, &Fields::read(request, payload).await?)?;
    let user = setter(app, request).await?;
    let new = wish.of(&user.name);
    let by = by(app, request, &user.name);
    match app.engine.create_hook(new, app.settings.hooks_per_user, by).await? {
        Made::Hook(hook) => Ok(created(&HookAnswer::from(&*hook))),
        Made::TooMany => Err(ApiError::Forbidden("hooks limit exceeded".to_owned())),
        Made::Exists => Err(ApiError::Conflict(format!(
            "{} has a hook for this {} already; change it instead",
            user.name, wish.kind
        ))),
    }
}

async fn change(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    let update = HookUpdate::parse(app, &Fields::read(request, payload).await?)?;
    let user = setter(app, request).await?;
    let hook = own(app, &user, id).await?;
    let by = by(app, request, &user.name);
    let changed =
        app.engine.change_hook(&hook.id, &update.endpoint, Some(update.secret), by).await?;
    let changed = changed.ok_or_else(|| not_there(id))?;
    Ok(json_answer(&HookAnswer::from(&changed)))
}

async fn remove(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    let user = setter(app, request).await?;
    let hook = own(app, &user, id).await?;
    let gone = app.engine.remove_hook(&hook.id, by(app, request, &user.name)).await?;
    let gone = gone.ok_or_else(|| not_there(id))?;
    Ok(json_answer(&HookAnswer::from(&gone).deleted(now_ms())))
}
