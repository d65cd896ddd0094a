//! The page behind a sign-in link: whoever has the link chooses the password of the account.
//!
//! Looking at the page uses nothing up, because mail programs look at links, too.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use store::sign_ins;
use store::users::{UserChange, UserRow};

use super::form::{Form, FormSecret};
use crate::accounts::changes::change_user;
use crate::accounts::key_of;
use crate::accounts::names::check_password;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::by;
use crate::handlers::users::attempt::Attempt;
use crate::views::sign_in::{JoinPage, LastPage, answer};

/// `GET /-/ui/join/:secret`.
///
/// # Errors
/// Those of the store; a link that opens nothing is a page, too.
pub async fn get_join(
    app: Data<App>,
    request: HttpRequest,
    link: Path<String>,
) -> Result<HttpResponse, ApiError> {
    match user_of(&app, &link).await? {
        Some(user) => join_page(&app, &request, &user, StatusCode::OK, None),
        None => over(),
    }
}

/// `POST` of the same: the new password, twice.
///
/// # Errors
/// Those of the store; what is wrong with the password is said on the page.
pub async fn post_join(
    app: Data<App>,
    request: HttpRequest,
    link: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let form = Form::read(&request, payload).await;
    let Some(user) = user_of(&app, &link).await? else { return over() };
    let chosen = match form {
        Ok(form) => chosen(&app, &request, &user, &form),
        Err(refused) => Err(refused),
    };
    let password = match chosen {
        Ok(password) => password,
        Err(error) => {
            let (status, text) = (error.status_code(), error.to_string());
            return join_page(&app, &request, &user, status, Some(&text));
        }
    };
    if set_password(&app, &request, &link, user, password).await?.is_none() {
        return over();
    }
    let command = format!("npm login --registry={}/", app.base_of(&request)?.url);
    let page = LastPage::new("Password set", "Sign in with it at a terminal:", Some(&command));
    answer(StatusCode::OK, &page, None)
}

async fn user_of(app: &App, link: &str) -> Result<Option<String>, ApiError> {
    let key = key_of(link);
    Ok(app.engine.store().read(move |rows| sign_ins::of_link(rows, &key)).await?)
}

fn chosen(app: &App, request: &HttpRequest, user: &str, form: &Form) -> Result<String, ApiError> {
    Attempt { app, request, way: "link" }.count(Some(user))?;
    let password = form.text("password");
    check_password(password).map_err(|rule| ApiError::Invalid(format!("The password {rule}")))?;
    if password != form.text("again") {
        return Err(ApiError::Invalid("The two passwords differ".to_owned()));
    }
    Ok(password.to_owned())
}

/// Uses the link up; `None` when somebody was quicker.
async fn set_password(
    app: &App,
    request: &HttpRequest,
    link: &str,
    user: String,
    password: String,
) -> Result<Option<UserRow>, ApiError> {
    let hash = app.accounts.passwords.hash(password).await?;
    let change = UserChange { password: Some(hash), ..UserChange::default() };
    let (key, by) = (key_of(link), by(app, request, &user));
    app.accounts
        .write(move |rows| {
            if !sign_ins::use_link(rows, &key)? {
                return Ok(None);
            }
            change_user(rows, &user, &change, &by)
        })
        .await
}

fn join_page(
    app: &App,
    request: &HttpRequest,
    user: &str,
    status: StatusCode,
    problem: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    let form = FormSecret::of(app, request)?;
    let mut page = JoinPage::new(user, &form.text);
    page.problem = problem;
    answer(status, &page, form.cookie)
}

/// The link was used, or has run out, or never was.
fn over() -> Result<HttpResponse, ApiError> {
    let text = "This link is over: it works once, for 30 minutes. Whoever gave it to you can make \
                another:";
    let page = LastPage::new("This link opens nothing", text, Some("espejo token link NAME"));
    answer(StatusCode::NOT_FOUND, &page, None)
}
