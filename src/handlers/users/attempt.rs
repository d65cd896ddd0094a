//! Somebody who tries a password: to log in, at a terminal or on a page, or to change an account.
//!
//! A name that there is and one that there is not get the same answers after the same time, as far
//! as the specification leaves that open: see ARCHITECTURE.md.

use actix_web::HttpRequest;
use store::users::{self, NewUser, PasswordHash, UserRow};

use crate::accounts::changes::add_user;
use crate::accounts::names::check_name;
use crate::accounts::refusals::ANY_NAME;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::{by, client};
use crate::extract::fields::invalid;
use crate::rate_limits::customer_of;

/// What everybody is told whose name or password is wrong.
pub const WRONG: ApiError = ApiError::Unauthorized("Please check your login name and password");

/// What stands for the addresses of an account that has used up its minute.
const ANY_ADDRESS: &str = "(any address)";

/// What a login is asked for with.
pub struct Credentials {
    /// The login name.
    pub name: String,
    /// The password.
    pub password: String,
    /// E-mail address, when one was given.
    pub email: Option<String>,
}

/// One try.
pub struct Attempt<'a> {
    /// The server.
    pub app: &'a App,
    /// What it came with.
    pub request: &'a HttpRequest,
    /// The word for it in the audit log.
    pub way: &'static str,
}

impl Attempt<'_> {
    /// Counts a try under a name, where one was given. What is beyond the limit is noted under the
    /// name or the address that has used up its minute, whatever else it came with.
    ///
    /// # Errors
    /// 429 above the limit of logins.
    pub fn count(&self, name: Option<&str>) -> Result<(), ApiError> {
        let (accounts, address) = (&self.app.accounts, client(self.app, self.request));
        accounts.login_limit.count(address, name).map_err(|used_up| {
            let mut by = by(self.app, self.request, name.unwrap_or(ANY_NAME));
            match address {
                Some(address) if !used_up.of_account => {
                    ANY_NAME.clone_into(&mut by.who);
                    by.origin = customer_of(address);
                }
                _ => ANY_ADDRESS.clone_into(&mut by.origin),
            }
            accounts.refusals.note(by, self.way, "too many in a minute");
            used_up.into()
        })
    }

    /// Whether somebody who has a token of the user knows the password, too.
    ///
    /// # Errors
    /// 401 when not.
    pub async fn check_own_password(&self, user: &UserRow, password: &str) -> Result<(), ApiError> {
        let passwords = &self.app.accounts.passwords;
        if passwords.is_right(password.to_owned(), user.password.clone()).await? {
            return Ok(());
        }
        self.note_refused(&user.name, "wrong password");
        Err(ApiError::Unauthorized("Invalid password"))
    }

    /// The user of this name.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(&self, name: &str) -> Result<Option<UserRow>, ApiError> {
        let wanted = name.to_owned();
        Ok(self.app.engine.store().read(move |rows| users::find(rows, &wanted)).await?)
    }

    /// Lets a user in who knows the password, which is hashed anew where the hash is of another
    /// cost than new ones.
    ///
    /// # Errors
    /// 401 for a wrong one and for a locked account, 409 for another e-mail address than the account
    /// has.
    pub async fn log_in(&self, user: UserRow, asked: Credentials) -> Result<UserRow, ApiError> {
        let passwords = &self.app.accounts.passwords;
        if !passwords.is_right(asked.password.clone(), user.password.clone()).await? {
            self.note_refused(&asked.name, "wrong password");
            return Err(WRONG);
        }
        if user.disabled {
            self.note_refused(&asked.name, "account disabled");
            return Err(ApiError::Unauthorized("Account disabled"));
        }
        if let (Some(known), Some(sent)) = (&user.email, &asked.email)
            && !known.eq_ignore_ascii_case(sent)
        {
            self.note_refused(&asked.name, "another e-mail address");
            let name = &user.name;
            return Err(ApiError::Conflict(format!("User \"{name}\" has another e-mail address")));
        }
        if let Some(old) = user.password.clone().filter(|hash| passwords.is_outdated(hash)) {
            self.rehash(&user.name, asked.password, old).await;
        }
        Ok(user)
    }

    /// Makes an account, where that is allowed.
    ///
    /// # Errors
    /// As [`Attempt::refuse_unknown`] where it is not, 422 for a name that breaks a rule, 409 for
    /// one that is taken.
    pub async fn register(&self, asked: Credentials) -> Result<UserRow, ApiError> {
        if !self.may_register(&asked.name) {
            return Err(self.refuse_unknown(asked).await);
        }
        check_name(&asked.name).map_err(|rule| invalid("name", rule))?;
        let password = self.app.accounts.passwords.hash(asked.password).await?;
        let new = NewUser {
            name: asked.name,
            admin: false,
            email: asked.email,
            password: Some(password),
        };
        let by = by(self.app, self.request, &new.name);
        let user = self.app.accounts.write(move |rows| add_user(rows, &new, &by)).await?;
        user.ok_or_else(|| ApiError::Conflict("the name was taken a moment ago".to_owned()))
    }

    /// Refuses a login under a name that there is not, after the time of one that there is.
    pub async fn refuse_unknown(&self, asked: Credentials) -> ApiError {
        let wrong = self.unknown(&asked);
        self.note_refused(&asked.name, "no such account");
        match self.app.accounts.passwords.is_right(asked.password, None).await {
            Ok(_) => wrong,
            Err(error) => error,
        }
    }

    fn may_register(&self, name: &str) -> bool {
        let settings = &self.app.settings;
        settings.registration_open && !settings.admins.iter().any(|admin| admin == name)
    }

    /// With an address it is a registration, in the contract's eyes; without one it is a login.
    fn unknown(&self, asked: &Credentials) -> ApiError {
        if asked.email.is_some() && !self.may_register(&asked.name) {
            ApiError::Forbidden("Public registration is not allowed".to_owned())
        } else {
            WRONG
        }
    }

    fn note_refused(&self, name: &str, reason: &'static str) {
        let by = by(self.app, self.request, name);
        self.app.accounts.refusals.note(by, self.way, reason);
    }

    /// What cannot be done now is done at the next login.
    async fn rehash(&self, name: &str, password: String, old: PasswordHash) {
        let accounts = &self.app.accounts;
        let Ok(new) = accounts.passwords.hash(password).await else { return };
        let user = name.to_owned();
        let written = accounts.write(move |rows| users::rehash(rows, &user, &old, &new)).await;
        if let Err(error) = written {
            tracing::warn!(%error, user = name, "a password could not be hashed anew");
        }
    }
}
