//! `/-/whoami` and `/-/npm/v1/user`: `npm whoami`, `npm profile get`, `npm profile set`.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use store::users::{self, UserChange, UserRow};

use super::attempt::Attempt;
use crate::accounts::changes::change_user;
use crate::accounts::names::{check_password, is_email};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::{Caller, User, by};
use crate::extract::fields::{Fields, invalid};
use crate::views::account::{Profile, WhoAmI};
use crate::views::json_answer;

/// Whose token was sent.
///
/// # Errors
/// 401 without one.
pub async fn get_whoami(caller: Caller) -> Result<HttpResponse, ApiError> {
    Ok(json_answer(&WhoAmI::new(caller.user()?.token())))
}

/// The account of the token that was sent.
///
/// # Errors
/// 401 without one.
pub async fn get_profile(app: Data<App>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let user = account(&app, caller.user()?).await?;
    Ok(json_answer(&Profile::new(&user)))
}

/// Changes the e-mail address or the password; the other things npm knows are not kept here.
///
/// # Errors
/// 401, 403 for a limited token and for what is not kept, 422, 429 for too many passwords.
pub async fn set_profile(
    app: Data<App>,
    caller: Caller,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let fields = Fields::read(&request, payload).await?;
    let caller = caller.user()?;
    caller.may_set()?;
    if let Some(other) = fields.given().find(|name| !matches!(*name, "email" | "password")) {
        return Err(ApiError::Forbidden(format!("npm profile set of \"{other}\" is not allowed")));
    }
    let user = account(&app, caller).await?;
    let email = fields.text("email")?.map(str::trim);
    if email.is_some_and(|email| !is_email(email)) {
        return Err(invalid("email", "must match format \"email\""));
    }
    let mut change =
        UserChange { email: email.map(|email| Some(email.to_owned())), ..UserChange::default() };
    if let Some(passwords) = fields.object("password")? {
        let attempt = Attempt { app: &app, request: &request, way: "profile" };
        attempt.count(Some(&user.name))?;
        change.password = Some(new_password(&attempt, &user, &passwords).await?);
    }
    let (name, by) = (user.name, by(&app, &request, &caller.name));
    let changed = app.accounts.write(move |rows| change_user(rows, &name, &change, &by));
    Ok(json_answer(&Profile::new(&changed.await?.ok_or(ApiError::LoginFirst)?)))
}

async fn new_password(
    attempt: &Attempt<'_>,
    user: &UserRow,
    passwords: &Fields,
) -> Result<users::PasswordHash, ApiError> {
    let (old, new) = (passwords.required("old")?, passwords.required("new")?);
    check_password(new).map_err(|rule| invalid("password/new", rule))?;
    attempt.check_own_password(user, old).await?;
    attempt.app.accounts.passwords.hash(new.to_owned()).await
}

/// The row behind a token.
///
/// # Errors
/// 401 when the user is gone meanwhile.
pub async fn account(app: &App, user: &User) -> Result<UserRow, ApiError> {
    let name = user.name.clone();
    let found = app.engine.store().read(move |rows| users::find(rows, &name)).await?;
    found.ok_or(ApiError::LoginFirst)
}
