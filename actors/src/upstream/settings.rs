//! What an operator can say about one upstream registry.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::breaker::BreakerSettings;
use super::retry::RetryPolicy;

/// The largest document npm itself accepts (bytes, decoded).
pub const MAX_DOCUMENT_BYTES: u64 = 100_000_000;

/// The largest tarball fetched unless the operator says otherwise (bytes).
pub const MAX_TARBALL_BYTES: u64 = 1 << 30;

/// What an operator says of an upstream's feed (`upstream.feed`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FeedChoice {
    /// Not followed.
    #[default]
    Off,
    /// The upstream's own `/` and `/_changes`, if it has them.
    Auto,
    /// This address, with or without `_changes` at its end.
    At(Url),
}

/// One upstream registry: where it is, how fast it may be asked, when to give up.
#[derive(Clone)]
pub struct UpstreamSettings {
    /// Name of the registry row this upstream belongs to, for example `default`.
    pub name: String,
    /// Base address; a path prefix is kept.
    pub url: Url,
    /// Its changes feed, which may be on another host.
    pub feed: FeedChoice,
    /// Bearer token, sent to the exact origin of `url` and nowhere else.
    pub token: Option<String>,
    /// Requests per second of all kinds, 0 = no limit.
    pub rate_per_second: u32,
    /// Requests per second nobody waits for (feed, sweep): so many for documents and so many for
    /// tarballs; 0 = no limit of their own.
    pub background_rate_per_second: u32,
    /// Requests of all kinds in a calendar month (UTC), 0 = no limit.
    pub requests_per_month: u64,
    /// Cap of one document, received and decoded.
    pub max_document_bytes: u64,
    /// Cap of one tarball.
    pub max_tarball_bytes: u64,
    /// Time for name look-up, connection and TLS handshake.
    pub connect_timeout: Duration,
    /// Time from the request to the response head, on top of `connect_timeout`.
    pub first_byte_timeout: Duration,
    /// Longest silence between two pieces of a body.
    pub stall_timeout: Duration,
    /// The slowest body that still counts as coming.
    pub slowest: MinimumPace,
    /// When and how often a failed request is repeated.
    pub retry: RetryPolicy,
    /// When the upstream is left alone for a while.
    pub breaker: BreakerSettings,
    /// Identifies this mirror in requests, so that a loop of mirrors is found.
    pub instance_id: String,
    /// Ask nobody: every request fails with [`UpstreamError::Offline`](super::UpstreamError).
    pub offline: bool,
    /// HTTP proxy for all requests; names of other hosts are then looked up by the proxy.
    pub proxy: Option<Url>,
    /// Further certificate authorities, PEM.
    pub ca_pem: Option<Vec<u8>>,
}

/// Fewer bytes than this within one window of waiting count as a stall.
#[derive(Clone, Copy, Debug)]
pub struct MinimumPace {
    /// Bytes of one window.
    pub bytes: u64,
    /// Length of the window, counted in time spent waiting for the upstream.
    pub within: Duration,
}

impl Default for MinimumPace {
    /// 1 KiB a second, averaged over a minute: a fifth of what a modem carried, and far below
    /// any line a registry is reached over, but a peer that sends a byte now and then to keep a
    /// connection open holds the place of a package for a minute and not for days.
    fn default() -> Self {
        Self { bytes: 60 << 10, within: Duration::from_secs(60) }
    }
}

impl UpstreamSettings {
    /// The defaults for the registry at `url`.
    #[must_use]
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        Self {
            name: name.into(),
            url,
            feed: FeedChoice::Off,
            token: None,
            rate_per_second: 0,
            background_rate_per_second: 50,
            requests_per_month: 0,
            max_document_bytes: MAX_DOCUMENT_BYTES,
            max_tarball_bytes: MAX_TARBALL_BYTES,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
            slowest: MinimumPace::default(),
            retry: RetryPolicy::default(),
            breaker: BreakerSettings::default(),
            instance_id: String::from("unnamed"),
            offline: false,
            proxy: None,
            ca_pem: None,
        }
    }
}

impl fmt::Debug for UpstreamSettings {
    /// Everything but the secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UpstreamSettings")
            .field("name", &self.name)
            .field("url", &self.url.as_str())
            .field("feed", &self.feed)
            .field("has_token", &self.token.is_some())
            .field("rate_per_second", &self.rate_per_second)
            .field("background_rate_per_second", &self.background_rate_per_second)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}
