//! Forms that only the page they stand on can send.
//!
//! A page sets a cookie and has the same secret in its form; both have to come back. Another site
//! can make a browser send a form here, but it can neither read nor set the cookie. The cookie is
//! also `SameSite=Strict`, and a browser that says it sends for another site is refused.

use std::collections::HashMap;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Payload;
use url::form_urlencoded;

use super::secret;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::read;

const COOKIE: &str = "espejo-form";
/// A name, two passwords and a secret, all escaped.
const LIMIT: u64 = 8 << 10;
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The secret of a form, and the cookie that goes with it.
pub struct FormSecret {
    /// What stands in the form.
    pub text: String,
    /// What is set with the page.
    pub cookie: Option<HeaderValue>,
}

impl FormSecret {
    /// That of the browser, so that two open pages do not end each other, or a new one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn of(app: &App, request: &HttpRequest) -> Result<Self, ApiError> {
        let text = match cookie(request) {
            Some(known) => known.to_owned(),
            None => secret()?,
        };
        let secure = if app.base_of(request)?.url.starts_with("https:") { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={text}; Path=/; HttpOnly; SameSite=Strict{secure}");
        Ok(Self { text, cookie: HeaderValue::try_from(cookie).ok() })
    }
}

/// What a form holds.
pub struct Form(HashMap<String, String>);

impl Form {
    /// Reads a form that one of our pages sent.
    ///
    /// # Errors
    /// 403 for one that another page sent.
    pub async fn read(request: &HttpRequest, payload: Payload) -> Result<Self, ApiError> {
        let body = read(request, payload, LIMIT).await?;
        let form = Self(form_urlencoded::parse(&body).into_owned().collect());
        let site = request.headers().get(SEC_FETCH_SITE);
        let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
        // hashes, because their comparison takes the same time for all
        let sent = blake3::hash(form.text("form").as_bytes());
        let same = cookie(request).is_some_and(|known| blake3::hash(known.as_bytes()) == sent);
        if foreign || !same {
            let text = "the form was not sent by a page of this mirror, or its cookie was not kept";
            return Err(ApiError::Forbidden(text.to_owned()));
        }
        Ok(form)
    }

    /// A field; one that was not sent is empty.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn cookie(request: &HttpRequest) -> Option<&str> {
    let sent = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let mut pairs = sent.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    let known = pairs.find(|(name, _)| name.trim() == COOKIE)?.1.trim();
    (known.len() == super::SECRET_CHARACTERS && uuid::Uuid::try_parse(known).is_ok())
        .then_some(known)
}
