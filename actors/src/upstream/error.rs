//! Why an upstream did not give what was asked, grouped by what the caller does next.

use std::time::Duration;

use store::TaskFailure;

/// A failed request to an upstream registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// 404: the upstream does not have it.
    #[error("upstream answered 404: it does not have this")]
    NotFound,
    /// 410 or 451: taken away on purpose.
    #[error("upstream answered {status}: it was taken away there")]
    Gone {
        /// 410 or 451.
        status: u16,
    },
    /// Any other 4xx: asking again gives the same.
    #[error("upstream refused the request with status {status}")]
    Refused {
        /// The status code.
        status: u16,
    },
    /// More bytes than the cap of this kind of body.
    #[error("{what} is {}larger than the limit of {limit} bytes", size_text(*.announced))]
    TooLarge {
        /// `document` or `tarball`.
        what: &'static str,
        /// The cap in bytes.
        limit: u64,
        /// What `Content-Length` said.
        announced: Option<u64>,
    },
    /// The answer is not what the protocol allows; the text says what it is.
    #[error("bad answer from upstream: {0}")]
    BadBody(String),
    /// A redirect that is not followed.
    #[error("redirect refused: {0}")]
    BadRedirect(String),
    /// An address that is never asked: other scheme, credentials inside, or an internal host.
    #[error("address refused: {0}")]
    BadAddress(String),
    /// The request came back to a mirror that it had passed already.
    #[error(
        "upstream {url} leads back to the mirror {instance_id}; mirrors cannot be each other's upstream"
    )]
    Loop {
        /// The address asked.
        url: String,
        /// The id of that mirror: our own, or another one in the circle.
        instance_id: String,
    },
    /// 429.
    #[error("upstream answered 429: asked too often{}", wait_text(*.retry_after))]
    RateLimited {
        /// From `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The breaker is open: the upstream failed too often and is left alone.
    #[error("upstream failed too often and rests for {} ms", .retry_after.as_millis())]
    Resting {
        /// Time until the next probe.
        retry_after: Duration,
    },
    /// No connection, or it broke before the response head.
    #[error("upstream cannot be reached: {0}")]
    Unreachable(String),
    /// 408, 425 or 5xx.
    #[error("upstream answered {status}{}", wait_text(*.retry_after))]
    Status {
        /// The status code.
        status: u16,
        /// From `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// Silence for longer than the timeout.
    #[error("upstream sent nothing for {} ms while waiting for {what}", .waited.as_millis())]
    Stalled {
        /// `the response head` or `the body`.
        what: &'static str,
        /// The timeout that ran out.
        waited: Duration,
    },
    /// Bytes came, but fewer than the slowest pace allows.
    #[error("upstream is too slow: {bytes} bytes of the body in {} ms", .waited.as_millis())]
    TooSlow {
        /// What came.
        bytes: u64,
        /// The time it took.
        waited: Duration,
    },
    /// The body ended before its announced or natural end.
    #[error("body cut short: {0}")]
    Truncated(String),
    /// The rank of the request has had its part of the month's requests.
    #[error(
        "{used} of this month's {most} requests (upstream.monthly) are used, the {rank} waits for {} s",
        .retry_after.as_secs()
    )]
    OverBudget {
        /// Requests of the month so far.
        used: u64,
        /// Most of a month.
        most: u64,
        /// The rank.
        rank: &'static str,
        /// Until its part has grown, or the month ends.
        retry_after: Duration,
    },
    /// A part of the month's requests could not be reserved.
    #[error("requests of this month cannot be reserved: {0}")]
    NotReserved(String),
    /// `upstream.offline` is set.
    #[error("upstream is not asked: upstream.offline is set")]
    Offline,
    /// A setting that cannot work.
    #[error("upstream setting refused: {0}")]
    Misconfigured(String),
}

fn size_text(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!("announced with {bytes} bytes, "))
}

fn wait_text(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(", come back in {} s", wait.as_secs()))
}

impl UpstreamError {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Resting { .. }
                | Self::OverBudget { .. }
                | Self::NotReserved(_)
                | Self::Unreachable(_)
                | Self::Status { .. }
                | Self::Stalled { .. }
                | Self::TooSlow { .. }
                | Self::Truncated(_)
        )
    }

    /// What it means for the task that asked.
    #[must_use]
    pub fn failure(&self) -> TaskFailure {
        match self {
            Self::NotFound | Self::Gone { .. } => TaskFailure::NotFound,
            Self::Unreachable(_) | Self::Stalled { .. } | Self::Resting { .. } | Self::Offline => {
                TaskFailure::Unreachable
            }
            _ => TaskFailure::Other,
        }
    }

    /// How long the upstream wants to be left alone, when it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::Status { retry_after, .. } => *retry_after,
            Self::Resting { retry_after } | Self::OverBudget { retry_after, .. } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }

    /// Whether the upstream itself is in trouble, as opposed to this one request.
    pub(super) fn counts_against_breaker(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Status { .. }
                | Self::Stalled { .. }
                | Self::TooSlow { .. }
                | Self::Truncated(_)
        )
    }
}
