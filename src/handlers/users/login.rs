//! `PUT /-/user/org.couchdb.user:NAME`: a login, or a new account where that is allowed.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::attempt::{Attempt, Credentials};
use crate::accounts::names::{LONGEST_NAME, check_password, is_email};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::by;
use crate::extract::fields::{Fields, invalid};
use crate::views::account::{LoggedIn, USER_PREFIX};
use crate::views::created;

impl Credentials {
    fn parse(fields: &Fields, name: &str) -> Result<Self, ApiError> {
        if fields.required("type")? != "user" {
            return Err(invalid("type", "must be equal to constant"));
        }
        let sent = fields.required("name")?.trim();
        if sent.is_empty() {
            return Err(invalid("name", "must NOT have fewer than 1 characters"));
        }
        if sent.chars().count() > LONGEST_NAME {
            return Err(invalid("name", "must NOT have more than 100 characters"));
        }
        let password = fields.required("password")?;
        check_password(password).map_err(|rule| invalid("password", rule))?;
        // Berry sends an empty one
        let email = fields.text("email")?.map(str::trim).filter(|email| !email.is_empty());
        if email.is_some_and(|email| !is_email(email)) {
            return Err(invalid("email", "must match format \"email\""));
        }
        let id = fields.text("_id")?.unwrap_or_default();
        if sent != name || (!id.is_empty() && id.strip_prefix(USER_PREFIX) != Some(name)) {
            let text = format!("username({name}) not match user.name({sent})");
            return Err(ApiError::Invalid(text));
        }
        Ok(Self {
            name: sent.to_owned(),
            password: password.to_owned(),
            email: email.map(str::to_owned),
        })
    }
}

/// Answers a new token of the user, who is made where registration is open.
///
/// # Errors
/// 422 for a body that breaks a rule, 429 above the limit, those of [`Attempt::log_in`] and of
/// [`Attempt::register`].
pub async fn put_user(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: &str,
) -> Result<HttpResponse, ApiError> {
    let asked = Credentials::parse(&Fields::read(request, payload).await?, name)?;
    let attempt = Attempt { app, request, way: "password" };
    attempt.count(Some(&asked.name))?;
    let user = match attempt.find(&asked.name).await? {
        Some(user) => attempt.log_in(user, asked).await?,
        None => attempt.register(asked).await?,
    };
    let token = app.accounts.log_in(&user.name, by(app, request, &user.name)).await?;
    let token = token.ok_or_else(|| ApiError::Conflict("try again".to_owned()))?;
    Ok(created(&LoggedIn::new(&user, token.text())))
}
