//! The page on which a person signs in for a program that waits.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use npm::Sha512Digest;
use store::sign_ins::{self, LoginRow};

use super::checked;
use super::form::{Form, FormSecret};
use crate::accounts::changes::approve_login;
use crate::accounts::key_of;
use crate::accounts::names::check_password;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::by;
use crate::handlers::users::attempt::{Attempt, Credentials};
use crate::views::sign_in::{LastPage, LoginPage, answer};

/// `GET /-/v1/login/request/session/:sid`.
///
/// # Errors
/// Those of the store; a login that there is not is a page, too.
pub async fn get_page(
    app: Data<App>,
    request: HttpRequest,
    session: Path<String>,
) -> Result<HttpResponse, ApiError> {
    match waiting(&app, &session).await? {
        Some((_, login)) => login_page(&app, &request, &login, StatusCode::OK, None),
        None => over(),
    }
}

/// `POST` of the same: the person's name and password.
///
/// # Errors
/// Those of the store; what is wrong with the login is said on the page.
pub async fn post_page(
    app: Data<App>,
    request: HttpRequest,
    session: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let form = Form::read(&request, payload).await;
    let Some((key, login)) = waiting(&app, &session).await? else { return over() };
    let signed_in = match form {
        Ok(form) => sign_in(&app, &request, &form).await,
        Err(refused) => Err(refused),
    };
    let name = match signed_in {
        Ok(name) => name,
        Err(error) => {
            let (status, text) = (error.status_code(), error.to_string());
            return login_page(&app, &request, &login, status, Some(&text));
        }
    };
    let by = by(&app, &request, &name);
    if !app.accounts.write(move |rows| approve_login(rows, &key, &by)).await? {
        return over();
    }
    let text = format!("You are {name}. The program goes on by itself; you can close this page.");
    answer(StatusCode::OK, &LastPage::new("Signed in", &text, None), None)
}

/// A login that somebody still waits for.
async fn waiting(app: &App, session: &str) -> Result<Option<(Sha512Digest, LoginRow)>, ApiError> {
    let Ok(session) = checked(session) else { return Ok(None) };
    let key = key_of(session);
    let found = app.engine.store().read(move |rows| sign_ins::by_page(rows, &key)).await?;
    Ok(found.filter(|login| login.user.is_none()).map(|login| (key, login)))
}

async fn sign_in(app: &App, request: &HttpRequest, form: &Form) -> Result<String, ApiError> {
    let (name, password) = (form.text("name").trim().to_owned(), form.text("password").to_owned());
    let attempt = Attempt { app, request, way: "browser" };
    attempt.count(Some(&name))?;
    let found = attempt.find(&name).await?;
    let creates = form.text("create") == "yes" && app.settings.registration_open;
    let asked = Credentials { name, password, email: None };
    let user = match found {
        Some(user) => attempt.log_in(user, asked).await?,
        None if creates => {
            check_password(&asked.password)
                .map_err(|rule| ApiError::Invalid(format!("The password {rule}")))?;
            attempt.register(asked).await?
        }
        None => return Err(attempt.refuse_unknown(asked).await),
    };
    Ok(user.name)
}

fn login_page(
    app: &App,
    request: &HttpRequest,
    login: &LoginRow,
    status: StatusCode,
    problem: Option<&str>,
) -> Result<HttpResponse, ApiError> {
    let address = login.address.as_deref().unwrap_or("an unknown address");
    let from = match &login.hostname {
        Some(hostname) => format!("{address}, which calls itself {hostname},"),
        None => address.to_owned(),
    };
    let form = FormSecret::of(app, request)?;
    let mut page = LoginPage::new(&from, &form.text, app.settings.registration_open);
    page.problem = problem;
    answer(status, &page, form.cookie)
}

/// The login is over, or never was.
fn over() -> Result<HttpResponse, ApiError> {
    let text =
        "This sign-in is over: it was used, it took longer than 15 minutes, or it never was.";
    let page = LastPage::new("Nothing to sign in to", text, Some("npm login"));
    answer(StatusCode::NOT_FOUND, &page, None)
}
