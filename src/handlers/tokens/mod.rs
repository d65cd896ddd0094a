//! `/-/npm/v1/tokens`: `npm token create | list | revoke`, and granular tokens under `…/gat`.
//!
//! npm 11 makes granular tokens with the route of classic ones; those are listed there, because
//! npm looks for them there.

pub mod wish;

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use npm::Sha512Digest;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use store::TokenKind;
use store::tokens::{self, TokenRow};

use self::wish::TokenWish;
use super::unserved;
use super::users::attempt::Attempt;
use super::users::profile::account;
use crate::accounts::changes::remove_token;
use crate::accounts::key_of;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::{Caller, User, by, client};
use crate::extract::fields::Fields;
use crate::views::account::{TokenAnswer, TokenList};
use crate::views::{created, json_answer};

/// `/-/npm/v1/tokens…`.
///
/// # Errors
/// Those of the route, 404 and 405.
pub async fn token_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let rest = path.split_once("/-/npm/v1/tokens").map_or("", |(_, rest)| rest);
    let segments: Vec<&str> = rest.split('/').skip(1).collect();
    let (classic, granular) = (TokenKind::Classic, TokenKind::Granular);
    match (segments.as_slice(), request.method()) {
        ([], &Method::POST) => create(&app, &request, payload, classic).await,
        (["gat"], &Method::POST) => create(&app, &request, payload, granular).await,
        ([], &Method::GET | &Method::HEAD) => list(&app, &request, classic).await,
        (["gat"], &Method::GET | &Method::HEAD) => list(&app, &request, granular).await,
        (["token", key], &Method::DELETE) => {
            drain(&request, payload, app.settings.max_body_bytes).await?;
            revoke(&app, &request, key).await?;
            Ok(json_answer(&Done { ok: true }))
        }
        (["gat", key], &Method::DELETE) => {
            drain(&request, payload, app.settings.max_body_bytes).await?;
            revoke(&app, &request, key).await?;
            Ok(HttpResponse::NoContent().finish())
        }
        ([] | ["gat"], _) => {
            unserved::only(&app, &request, payload, "GET, HEAD, POST, OPTIONS").await
        }
        (["token" | "gat", _], _) => {
            unserved::only(&app, &request, payload, "DELETE, OPTIONS").await
        }
        _ => unserved::unknown(app, request, payload).await,
    }
}

#[derive(Serialize)]
struct Done {
    ok: bool,
}

/// The caller, when the token may see and change tokens.
async fn setter(app: &App, request: &HttpRequest) -> Result<User, ApiError> {
    let Caller::User(user) = Caller::of(app, request).await? else {
        return Err(ApiError::LoginFirst);
    };
    user.may_set()?;
    Ok(user)
}

async fn create(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    kind: TokenKind,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(request, payload).await?;
    let user = setter(app, request).await?;
    let wish = TokenWish::parse(&fields, kind)?;
    if !user.admin {
        app.accounts.token_limit.check(client(app, request), Some(&user.name))?;
    }
    match wish.password {
        Some(password) => {
            let attempt = Attempt { app, request, way: "token" };
            attempt.count(Some(&user.name))?;
            attempt.check_own_password(&account(app, &user).await?, password).await?;
        }
        // A token that ends, or that works from few places, must not make one that does not.
        None if is_bounded(user.token()) => return Err(ApiError::Unauthorized("Invalid password")),
        None => {}
    }
    let name = wish.limits.name.clone().unwrap_or_default();
    let (token, row) = app
        .accounts
        .issue(&user.name, wish.limits, by(app, request, &user.name))
        .await?
        .ok_or_else(|| {
            ApiError::Conflict(format!("name: {} has a token named \"{name}\"", user.name))
        })?;
    Ok(created(&TokenAnswer::new(&row, Some(token.text()))))
}

fn is_bounded(token: &TokenRow) -> bool {
    token.limits.expires_at_ms.is_some() || !token.limits.cidr.is_empty()
}

async fn list(app: &App, request: &HttpRequest, kind: TokenKind) -> Result<HttpResponse, ApiError> {
    let user = setter(app, request).await?;
    let name = user.name;
    let mut rows = app.engine.store().read(move |rows| tokens::of_user(rows, &name)).await?;
    rows.retain(|row| row.limits.kind == kind);
    Ok(json_answer(&TokenList::new(&rows)))
}

/// Ends a token, named by its key or its text.
async fn revoke(app: &App, request: &HttpRequest, named: &str) -> Result<(), ApiError> {
    let user = setter(app, request).await?;
    let named = percent_decode_str(named).decode_utf8_lossy();
    let key = Sha512Digest::from_hex(&named).unwrap_or_else(|_| key_of(&named));
    let found = app.engine.store().read(move |rows| tokens::find(rows, &key)).await?;
    // the text of a token is not for logs and answers
    let shown = if named.starts_with("npm_") { "npm_..." } else { &named };
    match found {
        None => Err(ApiError::NotThere(format!("Token \"{shown}\" not exists"))),
        Some(token) if token.user != user.name && !user.admin => {
            Err(ApiError::Forbidden(format!("Not authorized to remove token \"{shown}\"")))
        }
        Some(_) => {
            let by = by(app, request, &user.name);
            app.accounts.write(move |rows| remove_token(rows, &key, &by)).await?;
            Ok(())
        }
    }
}
