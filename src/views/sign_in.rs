//! The pages of signing in: whole without a script, and allowed to load nothing.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::error::ApiError;

/// Stands in the page itself: nothing is fetched beside it.
const STYLE: &str = include_str!("../../templates/sign_in/style.css");

/// Nothing may be loaded, run or framed; the style is known by its digest.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
});

/// The page of a login that `npm login` waits for.
#[derive(Template)]
#[template(path = "sign_in/login.html")]
pub struct LoginPage<'a> {
    /// Heading.
    pub title: &'a str,
    /// What went wrong in the try before.
    pub problem: Option<&'a str>,
    /// The program that waits.
    pub from: &'a str,
    /// The form's own secret.
    pub form: &'a str,
    /// Whether a new account may be made.
    pub registration: bool,
    style: &'static str,
}

impl<'a> LoginPage<'a> {
    /// Of a program.
    #[must_use]
    pub fn new(from: &'a str, form: &'a str, registration: bool) -> Self {
        Self { title: "Sign in", problem: None, from, form, registration, style: STYLE }
    }
}

/// The page behind a sign-in link.
#[derive(Template)]
#[template(path = "sign_in/join.html")]
pub struct JoinPage<'a> {
    /// Heading.
    pub title: &'a str,
    /// What went wrong in the try before.
    pub problem: Option<&'a str>,
    /// Whose account it is.
    pub user: &'a str,
    /// The form's own secret.
    pub form: &'a str,
    style: &'static str,
}

impl<'a> JoinPage<'a> {
    /// Of a user.
    #[must_use]
    pub fn new(user: &'a str, form: &'a str) -> Self {
        Self { title: "Choose a password", problem: None, user, form, style: STYLE }
    }
}

/// The page at the end, well or badly.
#[derive(Template)]
#[template(path = "sign_in/done.html")]
pub struct LastPage<'a> {
    /// Heading.
    pub title: &'a str,
    /// Never anything here: what went wrong is the page itself.
    problem: Option<&'a str>,
    /// What happened.
    pub text: &'a str,
    /// What to do next, at a terminal.
    pub command: Option<&'a str>,
    style: &'static str,
}

impl<'a> LastPage<'a> {
    /// With these words.
    #[must_use]
    pub fn new(title: &'a str, text: &'a str, command: Option<&'a str>) -> Self {
        Self { title, problem: None, text, command, style: STYLE }
    }
}

/// A page as an answer that nobody keeps and nothing frames.
///
/// # Errors
/// When the page cannot be written.
pub fn answer(
    status: StatusCode,
    page: &impl Template,
    cookie: Option<HeaderValue>,
) -> Result<HttpResponse, ApiError> {
    let text = page.render().map_err(|error| ApiError::Internal(format!("a page: {error}")))?;
    let mut answer = HttpResponse::build(status);
    if let Some(policy) = POLICY.as_ref() {
        answer.insert_header((header::CONTENT_SECURITY_POLICY, policy.clone()));
    }
    if let Some(cookie) = cookie {
        answer.insert_header((header::SET_COOKIE, cookie));
    }
    answer
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::X_FRAME_OPTIONS, "DENY"));
    Ok(answer.body(text))
}
