//! `npm star`, `npm unstar`, `npm stars`, and the routes that pnpm has for the same.
//!
//! Stars are kept here and nowhere else, also those of packages that come from an upstream; documents
//! do not tell them, so a star makes no document anew. Hooks hear of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use npm::{HookEvent, PackageName};
use store::hooks::outbox::{self, PackageNews};
use store::{AnyConnection, stars, users};
use url::form_urlencoded;

use crate::access::NotChanged;
use crate::access::gate::{self, Shown};
use crate::access::rights::no_user;
use crate::accounts::names::check_name;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::{Caller, User};
use crate::extract::fields::{Fields, invalid};
use crate::views::star::StarredBy;
use crate::views::{Done, created, json_answer};

/// Most packages that one user likes.
const MOST: i64 = 10_000;

/// Whether a document that is put is a wish of `npm star` or `npm unstar`: it names those who like
/// the package, and has nothing that could be published.
#[must_use]
pub fn is_star(fields: &Fields) -> bool {
    fields.has("users")
        && !["versions", "_attachments", "maintainers"].iter().any(|name| fields.has(name))
}

/// `PUT /:name` with the users who like it. Of them all only the caller counts.
///
/// # Errors
/// 401, 403 for a token that may not write, 404, 422.
pub async fn put_users(
    app: &App,
    request: &HttpRequest,
    fields: &Fields,
    name: PackageName,
) -> Result<HttpResponse, ApiError> {
    let user = starring(app, request, &name).await?;
    let likes = match fields.object("users")? {
        Some(users) => users.flag(&user.name).map_err(|_| invalid("users", "must be booleans"))?,
        None => false,
    };
    set(app, request, &user, name, likes).await?;
    Ok(created(&Done { ok: true }))
}

async fn starring(app: &App, request: &HttpRequest, name: &PackageName) -> Result<User, ApiError> {
    let Caller::User(user) = Caller::of(app, request).await? else {
        return Err(ApiError::LoginFirst);
    };
    user.may_change(name, "star")?;
    Ok(user)
}

async fn set(
    app: &App,
    request: &HttpRequest,
    user: &User,
    name: PackageName,
    likes: bool,
) -> Result<(), ApiError> {
    gate::of_name(app, request, &name).await?;
    if likes && app.packages.find(&name).await?.is_none() {
        return Err(ApiError::not_here(name));
    }
    let user = user.name.clone();
    let owners = app.engine.owners_for_hooks(&name).await?;
    let hooks = Arc::clone(app.engine.store().hooks());
    let change = move |rows: &mut _| {
        let (changed, event) = match likes {
            true => (add(rows, &user, &name)?, HookEvent::star(&user)),
            false => (stars::remove(rows, &user, &name)?, HookEvent::unstar(&user)),
        };
        if !changed {
            return Ok(0);
        }
        let news = PackageNews { name: &name, owners: &owners, events: &[event] };
        Ok(outbox::queue(rows, &hooks.current(), &[news])?)
    };
    if app.access.note(change).await? > 0 {
        app.engine.store().hooks().ring();
    }
    Ok(())
}

fn add(rows: &mut AnyConnection, user: &str, name: &PackageName) -> Result<bool, NotChanged> {
    let has = stars::count_of_user(rows, user)?;
    if has >= MOST && !stars::of_user(rows, user)?.contains(name) {
        let text = format!("{user} has {has} stars, more than {MOST} are not allowed");
        return Err(ApiError::Forbidden(text).into());
    }
    Ok(stars::add(rows, user, name)?)
}

/// `PUT` and `DELETE /-/user/v1/star`, with the package as `name` or `package`.
///
/// # Errors
/// As [`put_users`].
pub async fn change_own(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    likes: bool,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let Caller::User(user) = Caller::of(app, request).await? else {
        return Err(ApiError::LoginFirst);
    };
    let named = match fields.text("name")? {
        Some(name) => Some(name),
        None => fields.text("package")?,
    };
    let named = named.ok_or_else(|| ApiError::Unprocessable("name is required".to_owned()))?;
    let name = PackageName::parse(named)?;
    user.may_change(&name, "star")?;
    set(app, request, &user, name, likes).await?;
    Ok(json_answer(&Done { ok: true }))
}

/// `GET /-/user/v1/star`: what the caller likes.
///
/// # Errors
/// 401.
pub async fn get_own(app: &App, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let caller = Caller::of(app, request).await?;
    let user = caller.user()?.name.clone();
    Ok(json_answer(&liked(app, request, &user).await?))
}

/// `GET /-/user/:user/stars`: `{"lamp":true}`.
///
/// # Errors
/// 404 for a user that is not there.
pub async fn get_of_user(
    app: &App,
    request: &HttpRequest,
    user: &str,
) -> Result<HttpResponse, ApiError> {
    check_name(user).map_err(|_| no_user(user))?;
    let wanted = user.to_owned();
    let known = app.engine.store().read(move |rows| users::find(rows, &wanted)).await?;
    if known.is_none() {
        return Err(no_user(user));
    }
    let names = liked(app, request, user).await?;
    let names: BTreeMap<_, _> = names.iter().map(|name| (name.as_str(), true)).collect();
    Ok(json_answer(&names))
}

/// `GET /-/_view/starredByUser?key="ada"`; a user that is not there likes nothing.
///
/// # Errors
/// 422 without a user.
pub async fn get_starred_by(
    app: Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let mut query = form_urlencoded::parse(request.query_string().as_bytes());
    let key = query.find_map(|(key, value)| (key == "key").then_some(value));
    let key = key.ok_or_else(|| ApiError::Invalid("must have required property 'key'".into()))?;
    // npm sends a JSON string, people a name
    let user = serde_json::from_str::<String>(&key).unwrap_or_else(|_| key.into_owned());
    let names = match check_name(&user) {
        Ok(()) => liked(&app, &request, &user).await?,
        Err(_) => Vec::new(),
    };
    Ok(json_answer(&StarredBy::new(&user, &names)))
}

/// What a user likes, of what the caller may know of.
async fn liked(app: &App, request: &HttpRequest, user: &str) -> Result<Vec<PackageName>, ApiError> {
    let user = user.to_owned();
    let mut names = app.engine.store().read(move |rows| stars::of_user(rows, &user)).await?;
    if let Some(shown) = Shown::to(app, request).await? {
        names.retain(|name| shown.has(name));
    }
    Ok(names)
}
