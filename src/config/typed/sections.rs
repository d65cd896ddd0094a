//! The typed fields, a struct for each section of the settings.

use std::path::PathBuf;
use std::time::Duration;

use actors::SyncPolicy;
use actors::changes_follower::FeedStart;
use actors::hook_dispatcher::HookSettings;
use actors::upstream::FeedChoice;
use ipnet::IpNet;
use url::Url;

/// `upstream.*`.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Address of the upstream registry; `None` when no layer knows one.
    pub url: Option<Url>,
    /// Its changes feed.
    pub feed: FeedChoice,
    /// Where a feed that was never read begins.
    pub feed_since: FeedStart,
    /// Wait between two looks at the feed.
    pub feed_every: Duration,
    /// Silence of the feed that is an alarm; zero = never.
    pub feed_alarm: Duration,
    /// Bearer token for it.
    pub token: Option<String>,
    /// Requests a second, 0 = no limit.
    pub rate: u32,
    /// Background requests a second, 0 = no limit.
    pub background_rate: u32,
    /// Requests a month, 0 = no limit.
    pub monthly: u64,
    /// HTTP proxy for all requests.
    pub proxy: Option<Url>,
    /// File of further certificate authorities.
    pub ca: Option<PathBuf>,
    /// Serve what is here, ask nobody.
    pub offline: bool,
}

/// `sync.*`.
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// `none`, `admin`, `exist` or `all`.
    pub mode: String,
    /// Whether a sync may be asked for without a token.
    pub anonymous: bool,
    /// Packages synced at the same time.
    pub workers: usize,
    /// Largest tarball in bytes.
    pub max_tarball_bytes: u64,
    /// `fetch`, `redirect` or `none`.
    pub on_miss: String,
    /// Age below which a document is served without asking.
    pub fresh_for: Duration,
    /// Time in which every package is asked for anew; zero = never.
    pub sweep: Duration,
    /// Time in which every package is checked without a feed; zero = never.
    pub sweep_without_feed: Duration,
    /// How often the list of names is compared; zero = never.
    pub compare_names: Duration,
    /// How long a 404 of the upstream is believed.
    pub negative_for: Duration,
    /// Waiting tasks at which dependencies are left out; 0 = no limit.
    pub high_water: i64,
    /// Signatures, and what upstream takes away.
    pub policy: SyncPolicy,
}

/// `limits.*`: requests a minute per address and account, 0 = no limit.
#[derive(Debug, Clone, Copy)]
pub struct LimitsConfig {
    /// Requests for a sync.
    pub sync_per_minute: u32,
    /// Logins.
    pub login_per_minute: u32,
    /// New tokens.
    pub token_per_minute: u32,
}

/// `hooks.*`.
#[derive(Debug, Clone)]
pub struct HooksConfig {
    /// Most hooks of a user.
    pub max_per_user: i64,
    /// How deliveries are made.
    pub delivery: HookSettings,
}

/// `security.*`.
#[derive(Debug, Clone, Copy)]
pub struct SecurityConfig {
    /// Whether people make their own accounts.
    pub registration_open: bool,
    /// Whether every read needs a token.
    pub always_auth: bool,
    /// bcrypt's cost.
    pub password_cost: u32,
    /// How long rows of the audit log are kept; `None`: for good.
    pub keep_audit_log: Option<Duration>,
}

/// `search.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchConfig {
    /// Whether there is a search.
    pub enabled: bool,
}

/// `storage.*`.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// `local` or `s3`.
    pub kind: String,
    /// The data folder.
    pub path: PathBuf,
    /// Address of the PostgreSQL database; `None`: SQLite in the data folder.
    pub database: Option<String>,
    /// Bytes that stay free.
    pub keep_free_bytes: u64,
    /// S3 address.
    pub endpoint: Option<Url>,
    /// S3 bucket.
    pub bucket: String,
    /// S3 region.
    pub region: String,
    /// S3 access key.
    pub access_key: String,
    /// S3 secret key.
    pub secret_key: String,
}

/// `server.*` and `tls.*`.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Host names answered; empty: all.
    pub hosts: Vec<String>,
    /// Certificate chain and private key.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// `log.*`.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `auto`, `text` or `json`.
    pub format: String,
    /// Level or filter.
    pub level: String,
    /// `errors` or `all`.
    pub access: String,
}

/// `publish.*`.
#[derive(Debug, Clone)]
pub struct PublishConfig {
    /// Whether anything may be published.
    pub enabled: bool,
    /// Scopes that are published here and asked nowhere.
    pub scopes: Vec<String>,
    /// Whether users may publish new names without a scope.
    pub unscoped: bool,
    /// Largest tarball that is taken.
    pub max_tarball_bytes: u64,
    /// Whether all of a tarball's manifest is compared with the one that is sent.
    pub strict: bool,
}
