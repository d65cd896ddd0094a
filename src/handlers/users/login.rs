//! `PUT /-/user/org.couchdb.user:NAME`: a login, or a new account where that is allowed.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use store::tokens::TokenLimits;
use store::users::{self, NewUser, UserRow};

use crate::accounts::changes::add_user;
use crate::accounts::names::{LONGEST_NAME, check_name, check_password, is_email};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::{by, client};
use crate::extract::fields::{Fields, invalid};
use crate::views::account::{LoggedIn, USER_PREFIX};
use crate::views::created;

/// What everybody is told whose name or password is wrong.
pub const WRONG: ApiError = ApiError::Unauthorized("Please check your login name and password");

/// What a login is asked for with.
pub struct Credentials {
    /// The login name.
    pub name: String,
    /// The password.
    pub password: String,
    /// E-mail address, when one was given.
    pub email: Option<String>,
}

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
/// 422 for a body that breaks a rule, 429 above the limit, 401 for a wrong name or password, 403
/// where nobody may register, 409 for another e-mail address than the account has.
pub async fn put_user(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    name: &str,
) -> Result<HttpResponse, ApiError> {
    let asked = Credentials::parse(&Fields::read(request, payload).await?, name)?;
    let address = client(app, request);
    app.accounts.login_limit.check(address, Some(&asked.name))?;
    let wanted = asked.name.clone();
    let found = app.engine.store().read(move |rows| users::find(rows, &wanted)).await?;
    let user = match found {
        Some(user) => log_in(app, user, asked).await?,
        None => register(app, request, asked).await?,
    };
    let issued = app.accounts.issue(&user.name, TokenLimits::default(), None).await?;
    let (token, _) = issued.ok_or_else(|| ApiError::Conflict("try again".to_owned()))?;
    Ok(created(&LoggedIn::new(&user, token.text())))
}

/// Checks a password, in the same time for an account that has none.
///
/// # Errors
/// 401 for a wrong one and for a locked account.
pub async fn check_login(app: &App, user: &UserRow, password: String) -> Result<(), ApiError> {
    if !app.accounts.passwords.is_right(password, user.password.clone()).await? {
        return Err(WRONG);
    }
    if user.disabled {
        return Err(ApiError::Unauthorized("Account disabled"));
    }
    Ok(())
}

async fn log_in(app: &App, user: UserRow, asked: Credentials) -> Result<UserRow, ApiError> {
    check_login(app, &user, asked.password).await?;
    match (&user.email, &asked.email) {
        (Some(known), Some(sent)) if !known.eq_ignore_ascii_case(sent) => {
            let name = &user.name;
            Err(ApiError::Conflict(format!("User \"{name}\" has another e-mail address")))
        }
        _ => Ok(user),
    }
}

/// Makes an account, where that is allowed.
///
/// # Errors
/// 401 and 403 where it is not, 422 for a name that breaks a rule, 409 for one that is taken.
pub async fn register(
    app: &App,
    request: &HttpRequest,
    asked: Credentials,
) -> Result<UserRow, ApiError> {
    let reserved = app.settings.admins.contains(&asked.name);
    if !app.settings.registration_open || reserved {
        // Without an address it is a login, and who guesses names learns nothing from it, not even
        // from the time it takes.
        app.accounts.passwords.is_right(asked.password, None).await?;
        return Err(if asked.email.is_none() {
            WRONG
        } else {
            ApiError::Forbidden("Public registration is not allowed".to_owned())
        });
    }
    check_name(&asked.name).map_err(|rule| invalid("name", rule))?;
    let password = app.accounts.passwords.hash(asked.password).await?;
    let new =
        NewUser { name: asked.name, admin: false, email: asked.email, password: Some(password) };
    let by = by(app, request, &new.name);
    let user = app.accounts.write(move |rows| add_user(rows, &new, &by)).await?;
    user.ok_or_else(|| ApiError::Conflict("the name was taken a moment ago".to_owned()))
}
