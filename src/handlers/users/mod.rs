//! Accounts as npm asks for them: `/-/user/…`, `/-/whoami`, `/-/npm/v1/user`.

pub mod attempt;
mod login;
pub mod profile;

pub use profile::{get_profile, get_whoami, set_profile};

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;
use store::users;

use super::{access, stars, unserved};
use crate::accounts::changes::remove_token;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::{Caller, by};
use crate::views::account::{PublicUser, USER_PREFIX};
use crate::views::json_answer;

/// What stands behind `/-/user/`.
enum Target {
    /// `NAME/package`.
    Packages(String),
    /// `NAME/stars`.
    Stars(String),
    /// `v1/star`.
    OwnStars,
    /// `org.couchdb.user:NAME`, with or without `/-rev/REV`.
    User(String),
    /// `token/TOKEN`.
    Token(String),
}

/// `/-/user/…`: names come escaped or not, so the raw path is read once, here.
///
/// # Errors
/// Those of the route, 404 and 405.
pub async fn user_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let target = target(request.uri().path());
    match (target, request.method()) {
        (Some(Target::User(name)), &Method::PUT) => {
            login::put_user(&app, &request, payload, &name).await
        }
        (Some(Target::User(name)), &Method::GET | &Method::HEAD) => {
            get_user(&app, &request, &name).await
        }
        (Some(Target::Token(token)), &Method::DELETE) => {
            drain(&request, payload, app.settings.max_body_bytes).await?;
            log_out(&app, &request, &token).await
        }
        (Some(Target::Packages(name)), &Method::GET | &Method::HEAD) => {
            access::list_packages(&app, &request, &name).await
        }
        (Some(Target::Stars(name)), &Method::GET | &Method::HEAD) => {
            stars::get_of_user(&app, &request, &name).await
        }
        (Some(Target::OwnStars), &Method::GET | &Method::HEAD) => {
            stars::get_own(&app, &request).await
        }
        (Some(Target::OwnStars), &Method::PUT) => {
            stars::change_own(&app, &request, payload, true).await
        }
        (Some(Target::OwnStars), &Method::DELETE) => {
            stars::change_own(&app, &request, payload, false).await
        }
        (Some(Target::OwnStars), _) => {
            unserved::only(&app, &request, payload, "GET, HEAD, PUT, DELETE, OPTIONS").await
        }
        (Some(Target::Packages(_) | Target::Stars(_)), _) => {
            unserved::wrong_method(app, request, payload).await
        }
        (Some(Target::User(_)), _) => {
            unserved::only(&app, &request, payload, "GET, HEAD, PUT, OPTIONS").await
        }
        (Some(Target::Token(_)), _) => {
            unserved::only(&app, &request, payload, "DELETE, OPTIONS").await
        }
        (None, _) => unserved::unknown(app, request, payload).await,
    }
}

fn target(path: &str) -> Option<Target> {
    let (_, rest) = path.split_once("/-/user/")?;
    let rest = percent_decode_str(rest).decode_utf8().ok()?;
    let rest = rest.strip_suffix('/').unwrap_or(&rest);
    if let Some(token) = rest.strip_prefix("token/") {
        return Some(Target::Token(token.to_owned()));
    }
    let Some(name) = rest.strip_prefix(USER_PREFIX) else { return of_somebody(rest) };
    let name = name.split_once("/-rev/").map_or(name, |(name, _)| name);
    (!name.is_empty()).then(|| Target::User(name.to_owned()))
}

/// What is asked of a user by name.
fn of_somebody(rest: &str) -> Option<Target> {
    match rest.split_once('/')? {
        ("v1", "star") => Some(Target::OwnStars),
        ("", _) => None,
        (name, "package") => Some(Target::Packages(name.to_owned())),
        (name, "stars") => Some(Target::Stars(name.to_owned())),
        _ => None,
    }
}

async fn get_user(app: &App, request: &HttpRequest, name: &str) -> Result<HttpResponse, ApiError> {
    let caller = Caller::of(app, request).await?;
    let wanted = name.to_owned();
    let found = app.engine.store().read(move |rows| users::find(rows, &wanted)).await?;
    let user = found.ok_or_else(|| ApiError::not_found(format_args!("User \"{name}\"")))?;
    Ok(json_answer(&PublicUser::new(&user, caller.user().is_ok())))
}

/// `npm logout`: the token that is sent ends itself.
async fn log_out(app: &App, request: &HttpRequest, token: &str) -> Result<HttpResponse, ApiError> {
    let Caller::User(user) = Caller::of(app, request).await? else {
        return Ok(json_answer(&Ended { ok: false }));
    };
    let key = user.token().key;
    if crate::accounts::key_of(token) != key {
        return Err(ApiError::Invalid("invalid token".to_owned()));
    }
    let by = by(app, request, &user.name);
    app.accounts.write(move |rows| remove_token(rows, &key, &by)).await?;
    Ok(json_answer(&Ended { ok: true }))
}

/// Whether something ended.
#[derive(Debug, serde::Serialize)]
struct Ended {
    ok: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_token_are_told_apart_in_every_spelling() {
        let shown = |path: &str| match target(path) {
            Some(Target::User(name)) => format!("user {name}"),
            Some(Target::Token(token)) => format!("token {token}"),
            Some(Target::Packages(name)) => format!("packages of {name}"),
            Some(Target::Stars(name)) => format!("stars of {name}"),
            Some(Target::OwnStars) => "own stars".to_owned(),
            None => "none".to_owned(),
        };
        for (path, what) in [
            ("/-/user/org.couchdb.user:ada", "user ada"),
            ("/-/user/org.couchdb.user:ada/", "user ada"),
            ("/-/user/org.couchdb.user%3Aada", "user ada"),
            ("/-/user/org.couchdb.user:ada/-rev/1-abc", "user ada"),
            ("/-/user/org.couchdb.user:npm%3Aada", "user npm:ada"),
            ("/-/user/org.couchdb.user:%00", "user \0"),
            ("/-/user/token/npm_abc", "token npm_abc"),
            ("/-/user/org.couchdb.user:", "none"),
            ("/-/user/ada", "none"),
            ("/-/user/ada/package", "packages of ada"),
            ("/-/user/ada/stars/", "stars of ada"),
            ("/-/user/v1/star", "own stars"),
            ("/-/user/v1/stars", "stars of v1"),
            ("/-/user//stars", "none"),
            ("/-/user/ada/other", "none"),
            ("/-/user/%ff", "none"),
        ] {
            assert_eq!(shown(path), what, "{path}");
        }
    }
}
