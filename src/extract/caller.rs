//! Who asks: nobody in particular, or the user of the token that the request carries.
//!
//! A token is found by the SHA-512 of its text, so that no comparison takes longer for a better
//! guess, and it is read from the database each time, so that a deleted one opens nothing from
//! then on. Nothing is written. Only routes that care who asks look at the token.

use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use actors::clock::now_ms;
use futures_util::future::LocalBoxFuture;
use ipnet::IpNet;
use sha2::{Digest, Sha512};
use store::tokens::{self, TokenRow};

use crate::app::App;
use crate::error::ApiError;

/// The longest text that is looked up as a token; ours have 40 characters.
const LONGEST_TOKEN: usize = 256;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Sent no token.
    Anonymous,
    /// Sent a token that is good.
    User(User),
}

/// The user of a token, and what the token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// Everything is allowed; never with a read-only token.
    pub admin: bool,
    /// The token may not write.
    pub readonly: bool,
    /// The part of the token that may be shown.
    pub mark: String,
}

impl Caller {
    /// Reads who sends a request.
    ///
    /// # Errors
    /// 401 for a token that is unknown or expired, 403 for an address it may not be used from.
    pub async fn of(app: &App, request: &HttpRequest) -> Result<Self, ApiError> {
        let Some(sent) = request.headers().get(header::AUTHORIZATION) else {
            return Ok(Self::Anonymous);
        };
        let text = sent.to_str().ok().and_then(bearer).ok_or(INVALID)?;
        let key = hex::encode(Sha512::digest(text.as_bytes()));
        let found = app.engine.store().read(move |rows| tokens::find(rows, &key)).await?;
        let token = found.ok_or(INVALID)?;
        if token.expires_at_ms.is_some_and(|expires| expires <= now_ms()) {
            return Err(ApiError::Unauthorized("Token expired"));
        }
        check_address(&token, client(app, request))?;
        Ok(Self::User(User {
            admin: token.admin && !token.readonly,
            name: token.user,
            readonly: token.readonly,
            mark: token.mark,
        }))
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

fn check_address(token: &TokenRow, client: Option<IpAddr>) -> Result<(), ApiError> {
    if token.cidr.is_empty() {
        return Ok(());
    }
    let client = client.map(|address| address.to_canonical());
    let inside = |range: &String| {
        let net = range.parse::<IpNet>().or_else(|_| range.parse::<IpAddr>().map(IpNet::from));
        net.is_ok_and(|net| client.is_some_and(|client| net.contains(&client)))
    };
    if token.cidr.iter().any(inside) {
        return Ok(());
    }
    let from = client.map_or_else(|| "an unknown address".to_owned(), |client| client.to_string());
    Err(ApiError::Forbidden(format!("Token \"{}\" may not be used from {from}", token.mark)))
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
    fn a_token_with_ranges_works_from_them_only() {
        let token = |cidr: &[&str]| TokenRow {
            key: String::new(),
            user: "me".into(),
            admin: false,
            mark: "npm_ab...cd".into(),
            readonly: false,
            automation: false,
            cidr: cidr.iter().map(|range| (*range).to_owned()).collect(),
            created_at_ms: 0,
            expires_at_ms: None,
            last_used_at_ms: None,
        };
        let at = |address: &str| Some(address.parse::<IpAddr>().unwrap());
        assert!(check_address(&token(&[]), None).is_ok());
        let ranges = token(&["192.0.2.0/24", "2001:db8::1"]);
        assert!(check_address(&ranges, at("192.0.2.7")).is_ok());
        assert!(check_address(&ranges, at("::ffff:192.0.2.7")).is_ok());
        assert!(check_address(&ranges, at("2001:db8::1")).is_ok());
        let error = check_address(&ranges, at("198.51.100.1")).unwrap_err().to_string();
        assert_eq!(error, "Token \"npm_ab...cd\" may not be used from 198.51.100.1");
        assert!(check_address(&ranges, None).is_err());
        assert!(check_address(&token(&["nonsense"]), at("192.0.2.7")).is_err());
    }
}
