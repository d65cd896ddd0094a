//! Who asks: nobody in particular, or the user of the token that the request carries.
//!
//! A token is found by the SHA-512 of its text, so that no comparison takes longer for a better
//! guess. It is read from the database, or believed for some seconds ([`crate::accounts::known`]);
//! a request writes nothing. Only routes that care who asks look at the token, and all of them
//! with `security.always_auth`.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use actors::clock::now_ms;
use futures_util::future::LocalBoxFuture;
use npm::PackageName;
use store::TokenKind;
use store::audit::By;
use store::tokens::{TokenLimits, TokenRow};

use crate::accounts::key_of;
use crate::accounts::known::Known;
use crate::app::App;
use crate::error::ApiError;

/// The longest text that is looked up as a token; ours have 40 characters.
const LONGEST_TOKEN: usize = 256;

/// Who asks.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Sent no token.
    Anonymous,
    /// Sent a token that is good.
    User(User),
}

/// The user of a token, and what the token allows.
#[derive(Debug, Clone)]
pub struct User {
    /// The login name.
    pub name: String,
    /// Everything is allowed; never with a token that is limited to reading or to packages.
    pub admin: bool,
    /// The token may not write.
    pub readonly: bool,
    /// The part of the token that may be shown.
    pub mark: String,
    known: Arc<Known>,
}

impl User {
    fn new(app: &App, known: Arc<Known>) -> Self {
        let (row, limits) = (&known.row, &known.row.limits);
        let limited = limits.readonly || !limits.packages.is_empty() || !limits.scopes.is_empty();
        Self {
            admin: (row.admin || app.settings.admins.contains(&row.user)) && !limited,
            name: row.user.clone(),
            readonly: limits.readonly,
            mark: row.mark.clone(),
            known,
        }
    }

    /// The token as it is stored.
    #[must_use]
    pub fn token(&self) -> &TokenRow {
        &self.known.row
    }

    /// Whether the token may change a package: `what` is the word for it.
    ///
    /// # Errors
    /// 403 for a read-only token and for a package that the token is not for.
    pub fn may_change(&self, name: &PackageName, what: &str) -> Result<(), ApiError> {
        if self.readonly {
            let text = format!("Read-only Token \"{}\" can't {what}", self.mark);
            return Err(ApiError::Forbidden(text));
        }
        if is_for(&self.known.row.limits, name) {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!("can't access package \"{name}\"")))
    }

    /// Whether the token may see and change the account and its tokens. One that was made for a
    /// few packages could make itself another without limits, else.
    ///
    /// # Errors
    /// 403 for a read-only, an automation and a granular token.
    pub fn may_set(&self) -> Result<(), ApiError> {
        let limits = &self.known.row.limits;
        let for_packages = !limits.packages.is_empty() || !limits.scopes.is_empty();
        let kind = match limits {
            TokenLimits { readonly: true, .. } => "Read-only",
            TokenLimits { automation: true, .. } => "Automation",
            TokenLimits { kind: TokenKind::Granular, .. } => "Granular",
            _ if for_packages => "Granular",
            _ => return Ok(()),
        };
        Err(ApiError::Forbidden(format!("{kind} Token \"{}\" can't setting", self.mark)))
    }
}

/// Whether a package is among those that a token may change.
fn is_for(limits: &TokenLimits, name: &PackageName) -> bool {
    let all = limits.packages.is_empty() && limits.scopes.is_empty();
    all || limits.packages.iter().any(|package| package == name.as_str())
        || name.scope().is_some_and(|scope| limits.scopes.iter().any(|allowed| allowed == scope))
}

impl Caller {
    /// Reads who sends a request.
    ///
    /// # Errors
    /// 401 for a token that is unknown or expired, 403 for an address it may not be used from.
    pub async fn of(app: &App, request: &HttpRequest) -> Result<Self, ApiError> {
        let known = Self::token_of(app, request).await?;
        Ok(known.map_or(Self::Anonymous, |known| Self::User(User::new(app, known))))
    }

    /// The token that a request carries, when it is a good one.
    ///
    /// # Errors
    /// As [`Caller::of`].
    pub async fn token_of(
        app: &App,
        request: &HttpRequest,
    ) -> Result<Option<Arc<Known>>, ApiError> {
        let Some(sent) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
        let text = sent.to_str().ok().and_then(bearer).ok_or(INVALID)?;
        let found = app.accounts.known.find(key_of(text)).await?;
        let known = found.ok_or(INVALID)?;
        let now_ms = now_ms();
        known.check(now_ms, || client(app, request))?;
        app.accounts.known.note_use(&known, now_ms);
        Ok(Some(known))
    }

    /// The user.
    ///
    /// # Errors
    /// 401 when nobody is logged in.
    pub fn user(&self) -> Result<&User, ApiError> {
        match self {
            Self::Anonymous => Err(ApiError::LoginFirst),
            Self::User(user) => Ok(user),
        }
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.user().ok().map(|user| user.name.as_str())
    }

    /// Whether everything is allowed.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.user().is_ok_and(|user| user.admin)
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let app = request.app_data::<Data<App>>().cloned();
        let request = request.clone();
        Box::pin(async move {
            let app = app.ok_or_else(|| ApiError::Internal("a server without its App".into()))?;
            Self::of(&app, &request).await
        })
    }
}

/// Somebody who changes something with a request, for the audit log.
#[must_use]
pub fn by(app: &App, request: &HttpRequest, who: &str) -> By {
    let origin = client(app, request).map(|address| address.to_canonical().to_string());
    By { who: who.to_owned(), origin: origin.unwrap_or_else(|| "an unknown address".to_owned()) }
}

/// The address a request comes from, as far as it can be told.
#[must_use]
pub fn client(app: &App, request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|address| address.ip());
    app.bases.client(request.headers(), peer)
}

const INVALID: ApiError = ApiError::Unauthorized("Invalid token");

/// The token of `Bearer TOKEN`, when its characters can be those of one.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    let plausible = (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(legal);
    (scheme.eq_ignore_ascii_case("bearer") && plausible).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_of_plausible_characters_is_looked_up() {
        for (value, token) in [
            ("Bearer npm_abc.1", Some("npm_abc.1")),
            ("bearer  npm_abc ", Some("npm_abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic YTpi", None),
            ("Bearer a-b", None),
            ("Bearer a b", None),
            ("npm_abc", None),
        ] {
            assert_eq!(bearer(value), token, "{value}");
        }
        assert_eq!(bearer(&format!("Bearer {}", "x".repeat(LONGEST_TOKEN + 1))), None);
    }

    #[test]
    fn a_token_is_for_its_packages_and_scopes_or_for_all() {
        let limits = |packages: &[&str], scopes: &[&str]| TokenLimits {
            packages: packages.iter().map(|text| (*text).to_owned()).collect(),
            scopes: scopes.iter().map(|text| (*text).to_owned()).collect(),
            ..TokenLimits::default()
        };
        let name = |text: &str| PackageName::parse(text).unwrap();
        assert!(is_for(&limits(&[], &[]), &name("lamp")));
        let both = limits(&["lamp", "@other/one"], &["@garden"]);
        for (package, allowed) in [
            ("lamp", true),
            ("@other/one", true),
            ("@garden/ui", true),
            ("lamp2", false),
            ("@other/two", false),
            ("@garden2/ui", false),
            ("garden", false),
        ] {
            assert_eq!(is_for(&both, &name(package)), allowed, "{package}");
        }
        assert!(!is_for(&limits(&[], &["@garden"]), &name("lamp")));
    }
}
