//! Signing in with a browser: `npm login` by the web, and links from the command line.
//!
//! A program asks for two addresses: one for a person's browser, one that it asks itself until a
//! token comes. Each has a secret of its own, so that who sees the page's address, in a history
//! or over a shoulder, cannot fetch the token. The page tells where the program runs: that is all
//! that can be done for people who are sent the address of a login that somebody else began.

mod form;
mod join;
mod page;

pub use join::{get_join, post_join};
pub use page::{get_page, post_page};

use actix_web::http::header;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use store::sign_ins::{self, LoginState, NewLogin};
use store::tokens::TokenLimits;
use store::users;
use uuid::Builder;

use crate::accounts::changes::add_token;
use crate::accounts::key_of;
use crate::admin_token::Token;
use crate::app::App;
use crate::error::{ApiError, JSON};
use crate::extract::caller::{by, client};
use crate::extract::fields::Fields;
use crate::handlers::users::attempt::Attempt;
use crate::views::json_answer;

/// Characters of a session's secret: a UUID's, which clients of the reference know.
const SECRET_CHARACTERS: usize = 36;
/// How long a person may take to sign in.
const LOGIN_LIVES_MS: i64 = 15 * 60 * 1000;
/// Most characters of the machine's name that a program tells.
const LONGEST_HOSTNAME: usize = 100;
/// Seconds between two questions of a waiting program.
const ASK_AGAIN_S: u64 = 1;

/// Where a login goes on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    login_url: String,
    done_url: String,
}

#[derive(Serialize)]
struct Given<'a> {
    token: &'a str,
}

#[derive(Serialize)]
struct Processing {
    message: &'static str,
}

/// 122 random bits as a UUID.
///
/// # Errors
/// When the system gives none.
pub fn secret() -> Result<String, ApiError> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(Builder::from_random_bytes(random).into_uuid().hyphenated().to_string())
}

/// `POST /-/v1/login`: begins a login.
///
/// # Errors
/// 422 for a host name that is none, 429 above the limit of logins.
pub async fn begin_login(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&request, payload).await?;
    let hostname = fields.text_up_to("hostname", LONGEST_HOSTNAME)?.map(str::trim);
    let hostname = hostname.filter(|name| !name.is_empty() && !name.contains(char::is_control));
    let address = client(&app, &request);
    Attempt { app: &app, request: &request, way: "browser" }.count(None)?;
    let base = app.base_of(&request)?;
    let (page, done) = (secret()?, secret()?);
    let login = NewLogin {
        done_key: key_of(&done),
        login_key: key_of(&page),
        hostname: hostname.map(str::to_owned),
        address: address.map(|address| address.to_canonical().to_string()),
        lives_ms: LOGIN_LIVES_MS,
    };
    app.accounts.write(move |rows| sign_ins::begin(rows, &login)).await?;
    Ok(json_answer(&Begun {
        login_url: format!("{}/-/v1/login/request/session/{page}", base.url),
        done_url: format!("{}/-/v1/login/done/session/{done}", base.url),
    }))
}

/// `GET /-/v1/login/done/session/:sid`: the token, once, when somebody has signed in. The audit log
/// has where it went to.
///
/// # Errors
/// 404 for a login that there is not (any more), 422 for what is no session.
pub async fn get_done(
    app: Data<App>,
    request: HttpRequest,
    session: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let key = key_of(checked(&session)?);
    let state = app.engine.store().read(move |rows| sign_ins::state(rows, &key)).await?;
    let user = match state {
        LoginState::Unknown => return Err(ApiError::not_found("session")),
        LoginState::Pending => return Ok(processing()),
        LoginState::Done(user) => user,
    };
    let token = Token::generate().map_err(|error| ApiError::Internal(error.to_string()))?;
    let new = token.row(&user, TokenLimits::default());
    let by = by(&app, &request, &user);
    let made = app.accounts.write(move |rows| {
        let is_open = users::find(rows, &new.user)?.is_some_and(|user| !user.disabled);
        let goes_on = sign_ins::finish(rows, &key)? && is_open;
        Ok(goes_on && add_token(rows, &new, &by)?.is_some())
    });
    if !made.await? {
        return Err(ApiError::not_found("session"));
    }
    Ok(json_answer(&Given { token: token.text() }))
}

fn processing() -> HttpResponse {
    let body = serde_json::to_vec(&Processing { message: "processing" }).unwrap_or_default();
    HttpResponse::Accepted()
        .insert_header((header::CONTENT_TYPE, JSON))
        .insert_header((header::RETRY_AFTER, ASK_AGAIN_S))
        .body(body)
}

fn checked(session: &str) -> Result<&str, ApiError> {
    match session.chars().count() {
        SECRET_CHARACTERS => Ok(session),
        count => {
            let rule = if count < SECRET_CHARACTERS { "fewer" } else { "more" };
            Err(ApiError::Invalid(format!(
                "sessionId: must NOT have {rule} than {SECRET_CHARACTERS} characters"
            )))
        }
    }
}
