//! [`ApiError`]: the one type that knows HTTP status codes and the error envelope.
//!
//! Every error leaves as `{"error":"[CODE] message","reason":"message"}`; what to do next is
//! the header `npm-notice`, which npm prints. The owner-only API gets the same envelope plus
//! `code`, `hint` and `request_id` (see [`ApiError::body`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use actors::registries::NotAsked;
use actors::upstream::LOOP_HEADER;
use actors::{EngineError, MissError};
use npm::NameError;
use store::StoreError;

use crate::blocked::NoTarget;
use crate::control::messages::ErrorBody;

/// The header npm prints after an error.
pub const NPM_NOTICE: HeaderName = HeaderName::from_static("npm-notice");

/// Content type of every JSON answer that is not a packument.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Why a request was not served. Cloned to all who waited for the same work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// The request cannot be understood.
    BadRequest(String),
    /// Nobody is logged in where somebody has to be.
    LoginFirst,
    /// The token that was sent opens nothing; the text says why.
    Unauthorized(&'static str),
    /// Refused by a rule or by the upstream.
    Forbidden(String),
    /// Not here, and upstream does not have it either; the text says what.
    NotFound {
        /// `lamp`, `lamp@9.9.9`, or a path.
        what: String,
        /// What to try.
        hint: Option<&'static str>,
    },
    /// Not here, in exactly these words, which clients know.
    NotThere(String),
    /// The path exists, the method does not.
    MethodNotAllowed {
        /// Value of `Allow`.
        allow: &'static str,
    },
    /// Not possible in the state that the thing is in.
    Conflict(String),
    /// Asked too often.
    TooManyRequests {
        /// The limit, in words.
        rule: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// Taken away for good.
    Gone(String),
    /// The body is larger than this many bytes.
    BodyTooLarge(u64),
    /// No byte of the representation lies in the asked range; its length is this.
    RangeNotSatisfiable(u64),
    /// Understood, but not a legal value.
    Invalid(String),
    /// Understood, and against a rule that no schema tells.
    Unprocessable(String),
    /// Too young to be given out; the text says until when.
    Held(String),
    /// Withheld for legal reasons by upstream.
    Legal(String),
    /// Upstream answered with something that cannot be used.
    BadUpstream(String),
    /// The request has passed the mirror with this id already: this one, or one behind it.
    Loop(String),
    /// Will work later.
    Unavailable {
        /// What happened and why.
        reason: String,
        /// When to come back.
        retry_after: Duration,
        /// What to do until then.
        hint: &'static str,
    },
    /// Our own fault; the cause is logged, not told.
    Internal(String),
}

/// The refusal of what a rule of the settings denies, in the words of the rule.
#[must_use]
pub fn denied(what: impl fmt::Display, rule: &str) -> ApiError {
    ApiError::Legal(format!("{what} is denied: {rule}"))
}

impl ApiError {
    /// `<what> not found`.
    #[must_use]
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::NotFound { what: what.to_string(), hint: None }
    }

    /// `<name> not found` of what was looked for here and nowhere else.
    #[must_use]
    pub fn not_here(name: impl fmt::Display) -> Self {
        Self::NotFound { what: name.to_string(), hint: Some(NOT_HERE) }
    }

    /// `<name> not found` of a name that no upstream is asked for.
    #[must_use]
    pub fn not_asked(what: impl fmt::Display, why: &NotAsked) -> Self {
        let hint = match why {
            NotAsked::Private(_) => PRIVATE_SCOPE,
            NotAsked::Published(_) => PUBLISHED_HERE,
            NotAsked::OwnedBy { .. } => OWNED_BY_ANOTHER,
        };
        Self::NotFound { what: what.to_string(), hint: Some(hint) }
    }

    /// `<name> not found`, after upstream was asked.
    #[must_use]
    pub fn package_not_found(name: impl fmt::Display) -> Self {
        Self::NotFound { what: name.to_string(), hint: Some(CHECK_NAME) }
    }

    /// `<name> not found` where misses are not fetched.
    #[must_use]
    pub fn not_mirrored(name: impl fmt::Display) -> Self {
        Self::NotFound { what: name.to_string(), hint: Some(NOT_FETCHED) }
    }

    /// A blob that should be here is not what it should be.
    #[must_use]
    pub fn damaged(what: impl fmt::Display) -> Self {
        Self::Unavailable {
            reason: format!("the stored bytes of {what} are damaged and are being fetched again"),
            retry_after: Duration::from_secs(2),
            hint: "try again in a moment; nothing damaged is ever served",
        }
    }

    /// What upstream's answer to the request for `what` means for a reader.
    #[must_use]
    pub fn from_miss(what: impl fmt::Display, error: &MissError) -> Self {
        match error {
            MissError::NotFound => Self::package_not_found(what),
            MissError::NotAsked(why) => Self::not_asked(what, why),
            MissError::Gone(451) => {
                Self::Legal(format!("{what} is not available for legal reasons, says upstream"))
            }
            MissError::Denied(rule) => denied(what, rule),
            MissError::Gone(403) => Self::Forbidden(format!("{what} is refused by upstream (403)")),
            MissError::Gone(status) => {
                Self::Gone(format!("{what} is gone from upstream ({status})"))
            }
            MissError::Unavailable { reason, retry_after } => Self::Unavailable {
                reason: format!("{what} is not here, and upstream cannot be asked: {reason}"),
                retry_after: *retry_after,
                hint: "try again later; packages that are here still work",
            },
            MissError::Loop(instance_id) => Self::Loop(instance_id.clone()),
            MissError::Parked(reason) => Self::Unavailable {
                reason: format!("{what} is not here, and fetching is paused: {reason}"),
                retry_after: Duration::from_secs(60),
                hint: "packages that are here still work; fetching resumes by itself",
            },
            other => Self::BadUpstream(format!("{what} cannot be had: {other}")),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "BAD_REQUEST",
            Self::LoginFirst | Self::Unauthorized(_) => "UNAUTHORIZED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::Held(_) => "HELD",
            Self::NotFound { .. } | Self::NotThere(_) => "NOT_FOUND",
            Self::MethodNotAllowed { .. } => "METHOD_NOT_ALLOWED",
            Self::Conflict(_) => "CONFLICT",
            Self::TooManyRequests { .. } => "TOO_MANY_REQUESTS",
            Self::Gone(_) => "GONE",
            Self::BodyTooLarge(_) => "PAYLOAD_TOO_LARGE",
            Self::RangeNotSatisfiable(_) => "RANGE_NOT_SATISFIABLE",
            Self::Invalid(_) => "INVALID_PARAM",
            Self::Unprocessable(_) => "UNPROCESSABLE_ENTITY",
            Self::Legal(_) => "UNAVAILABLE_FOR_LEGAL_REASONS",
            Self::BadUpstream(_) => "BAD_GATEWAY",
            Self::Loop(_) => "LOOP_DETECTED",
            Self::Unavailable { .. } => "SERVICE_UNAVAILABLE",
            Self::Internal(_) => "INTERNAL_SERVER_ERROR",
        }
    }

    /// What to do next, in a sentence for people. npm prints it, so an answer that every
    /// install gets (no advisory data) has none.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { hint, .. } => *hint,
            Self::Unavailable { hint, .. } => Some(hint),
            Self::Legal(text) if text.contains(" is denied: ") => {
                Some("use another version, or ask an admin for an exception")
            }
            Self::Held(_) => Some("use an older version, or ask an admin for an early release"),
            Self::LoginFirst => Some("log in, or send a token: Authorization: Bearer TOKEN"),
            Self::BadUpstream(_) => Some("try again later; the log of the mirror says more"),
            Self::Internal(_) => {
                Some("look for the request id of this answer in the log of the mirror")
            }
            _ => None,
        }
    }

    /// The envelope; `request_id` turns on the fields of our own API.
    #[must_use]
    pub fn body(&self, request_id: Option<&str>) -> ErrorBody {
        let reason = self.to_string();
        let own = request_id.is_some();
        ErrorBody {
            error: format!("[{}] {reason}", self.code()),
            reason,
            code: own.then(|| self.code().to_owned()),
            hint: self.hint().filter(|_| own).map(str::to_owned),
            request_id: request_id.map(str::to_owned),
        }
    }

    /// The answer; `request_id` turns on the fields of our own API.
    #[must_use]
    pub fn respond(&self, request_id: Option<&str>) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        answer.insert_header((header::CONTENT_TYPE, JSON));
        if let Some(hint) = self.hint() {
            answer.insert_header((NPM_NOTICE, HeaderValue::from_static(hint)));
        }
        match self {
            Self::MethodNotAllowed { allow } => {
                answer.insert_header((header::ALLOW, HeaderValue::from_static(allow)));
            }
            Self::Unavailable { retry_after, .. } | Self::TooManyRequests { retry_after, .. } => {
                answer.insert_header((header::RETRY_AFTER, retry_after.as_secs().max(1)));
            }
            Self::RangeNotSatisfiable(length) => {
                answer.insert_header((header::CONTENT_RANGE, format!("bytes */{length}")));
            }
            Self::LoginFirst | Self::Unauthorized(_) => {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Self::Loop(instance_id) => {
                answer.insert_header((LOOP_HEADER, instance_id.as_str()));
            }
            _ => {}
        }
        answer.body(serde_json::to_vec(&self.body(request_id)).unwrap_or_default())
    }
}

const CHECK_NAME: &str = "check the name and the version; this mirror asked its upstream too";
const NOT_HERE: &str = "check the name and the version; only what is here already counts";
const PRIVATE_SCOPE: &str =
    "check the name and the version; its scope is private here, so no upstream is asked for it";
const PUBLISHED_HERE: &str =
    "check the version; the package is published here, so no upstream is asked for it";
const OWNED_BY_ANOTHER: &str =
    "check the name; the package belongs to another registry than the one that was to be asked";
const NOT_FETCHED: &str = "this mirror does not fetch what it lacks; ask its operator to sync it";

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(text)
            | Self::Forbidden(text)
            | Self::Held(text)
            | Self::Conflict(text)
            | Self::Gone(text)
            | Self::NotThere(text)
            | Self::Invalid(text)
            | Self::Unprocessable(text)
            | Self::Legal(text)
            | Self::BadUpstream(text) => formatter.write_str(text),
            Self::LoginFirst => formatter.write_str("Login first"),
            Self::Unauthorized(text) => formatter.write_str(text),
            Self::TooManyRequests { rule, .. } => formatter.write_str(rule),
            Self::NotFound { what, .. } => write!(formatter, "{what} not found"),
            Self::MethodNotAllowed { allow } => write!(formatter, "only {allow} work here"),
            Self::BodyTooLarge(limit) => {
                write!(formatter, "the request body is larger than {limit} bytes")
            }
            Self::RangeNotSatisfiable(length) => {
                write!(formatter, "the asked range lies outside of the {length} bytes there are")
            }
            Self::Loop(id) => write!(
                formatter,
                "the request came back to the mirror {id}; mirrors cannot be each other's upstream"
            ),
            Self::Unavailable { reason, .. } => formatter.write_str(reason),
            Self::Internal(_) => formatter.write_str("something went wrong in the mirror itself"),
        }
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::LoginFirst | Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Held(_) => StatusCode::FORBIDDEN,
            Self::NotFound { .. } | Self::NotThere(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Gone(_) => StatusCode::GONE,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RangeNotSatisfiable(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Invalid(_) | Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Legal(_) => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
            Self::BadUpstream(_) => StatusCode::BAD_GATEWAY,
            Self::Loop(_) => StatusCode::LOOP_DETECTED,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.respond(None)
    }
}

impl From<Arc<Self>> for ApiError {
    fn from(shared: Arc<Self>) -> Self {
        Arc::unwrap_or_clone(shared)
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<NoTarget> for ApiError {
    fn from(error: NoTarget) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() {
            return Self::Unavailable {
                reason: format!("the database cannot be read right now: {error}"),
                retry_after: Duration::from_secs(1),
                hint: "try again in a moment",
            };
        }
        Self::Internal(error.to_string())
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        Self::Unavailable {
            reason: format!("the engine does not answer: {error}"),
            retry_after: Duration::from_secs(1),
            hint: "try again in a moment",
        }
    }
}
