//! The settings as typed fields, made from checked rows.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use actors::SyncPolicy;
use actors::changes_follower::FeedStart;
use actors::clock::Clock;
use actors::deny::DenyRules;
use actors::hold::HoldPolicy;
use actors::hook_dispatcher::HookSettings;
use actors::policy::UnknownChoice;
use actors::upstream::FeedChoice;
use ipnet::IpNet;
use url::Url;

use crate::accounts::passwords::COSTS;

use super::{
    ConfigError, Given, LoadRequest, Row, SETTINGS, Source, Value, ValueError, environment, file,
    setting, value,
};

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

/// All settings, typed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the registry listens.
    pub listen: SocketAddr,
    /// How clients reach us.
    pub public_url: Option<Url>,
    /// Where the operations listener is.
    pub ops_listen: Option<SocketAddr>,
    /// Names that are admins.
    pub admins: Vec<String>,
    /// `security.*`.
    pub security: SecurityConfig,
    /// `upstream.*`.
    pub upstream: UpstreamConfig,
    /// `sync.*`.
    pub sync: SyncConfig,
    /// `limits.*`.
    pub limits: LimitsConfig,
    /// `hooks.*`.
    pub hooks: HooksConfig,
    /// `publish.*`.
    pub publish: PublishConfig,
    /// `search.*`.
    pub search: SearchConfig,
    /// `storage.*`.
    pub storage: StorageConfig,
    /// `server.*` and `tls.*`.
    pub server: ServerConfig,
    /// `log.*`.
    pub log: LogConfig,
    /// The server that commands speak to instead of that of the data folder; no setting, but
    /// given with the command.
    pub remote: Option<Remote>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Every setting with its source, in the order of the table.
    pub rows: Vec<Row>,
}

/// A server elsewhere, and what opens it.
#[derive(Clone)]
pub struct Remote {
    /// How it is reached.
    pub url: Url,
    /// An admin's token.
    pub token: Option<String>,
    /// File of further certificate authorities.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Remote({})", self.url)
    }
}

impl Config {
    /// Reads flags, environment and file; what is stored or discovered is added by [`Self::add`].
    ///
    /// # Errors
    /// When a layer holds an unknown key or a refused value.
    pub fn load(request: &LoadRequest) -> Result<Self, ConfigError> {
        let mut layers = request.flag_values()?;
        let read_file = |path: &str| std::fs::read_to_string(path);
        layers.extend(environment::read(&request.variables, read_file)?);
        let data = layers.iter().find(|given| given.key == "storage.path");
        let data = match data.map(|given| &given.value) {
            Some(Value::Text(path)) => PathBuf::from(path),
            _ => PathBuf::from(setting::find("storage.path").map_or("", |row| row.default)),
        };
        let asked =
            request.config.clone().or_else(|| request.variable("ESPEJO_CONFIG").map(Into::into));
        let candidates = file::candidates(&data, |name| request.variable(name));
        let file = file::load(asked.as_deref(), &candidates)?;
        layers.extend(file.given);
        Self::from_layers(&layers, file.path.as_deref())
    }

    /// The settings that `layers` give, strongest first.
    ///
    /// # Errors
    /// When a value is refused.
    pub fn from_layers(layers: &[Given], file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut rows = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let row = match layers.iter().find(|given| given.key == setting.key) {
                Some(given) => {
                    Row { setting, value: given.value.clone(), source: given.source.clone() }
                }
                None => Row {
                    setting,
                    value: setting.default_value().map_err(|error| bad(setting.key, error))?,
                    source: Source::Default,
                },
            };
            rows.push(row);
        }
        Self::typed(rows, file)
    }

    /// Adds a value of a weaker layer: kept only where no stronger one gave a value.
    ///
    /// # Errors
    /// When the value is refused.
    pub fn add(&mut self, given: &Given) -> Result<(), ConfigError> {
        let Some(row) = self.rows.iter_mut().find(|row| row.setting.key == given.key) else {
            return Ok(());
        };
        if row.source == Source::Default {
            row.value = given.value.clone();
            row.source = given.source.clone();
            *self = Self::typed(std::mem::take(&mut self.rows), self.file.as_deref())?;
        }
        Ok(())
    }

    /// The row of a setting.
    #[must_use]
    pub fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.setting.key == key)
    }

    fn typed(rows: Vec<Row>, file: Option<&Path>) -> Result<Self, ConfigError> {
        let read = Reader { rows: &rows };
        let config = Self {
            listen: read.with("listen", value::parse_listen)?,
            public_url: read.optional("public_url", value::parse_address)?,
            ops_listen: read.optional("ops_listen", value::parse_listen)?,
            upstream: read.upstream()?,
            sync: read.sync()?,
            admins: read.list("admins"),
            security: read.security()?,
            limits: LimitsConfig {
                sync_per_minute: read.count("limits.sync_per_minute")?,
                login_per_minute: read.count("limits.login_per_minute")?,
                token_per_minute: read.count("limits.token_per_minute")?,
            },
            hooks: read.hooks()?,
            publish: PublishConfig {
                enabled: read.flag("publish.enabled"),
                scopes: read.list("publish.scopes"),
                unscoped: read.flag("publish.unscoped"),
                max_tarball_bytes: read.with("publish.max_tarball", value::parse_size)?,
                strict: read.flag("publish.strict"),
            },
            search: SearchConfig { enabled: read.flag("search.enabled") },
            storage: read.storage()?,
            server: read.server()?,
            log: LogConfig {
                format: read.text("log.format"),
                level: read.text("log.level"),
                access: read.text("log.access"),
            },
            remote: None,
            file: file.map(Path::to_owned),
            rows: Vec::new(),
        };
        Ok(Self { rows, ..config })
    }
}

fn bad(key: &str, error: ValueError) -> ConfigError {
    ConfigError::BadValue { place: "settings".into(), key: key.into(), error }
}

/// Turns checked rows into typed fields.
struct Reader<'a> {
    rows: &'a [Row],
}

impl Reader<'_> {
    fn row(&self, key: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.setting.key == key)
    }

    fn text(&self, key: &str) -> String {
        match self.row(key).map(|row| &row.value) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    fn with<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<T, ConfigError> {
        let place = self.row(key).map(|row| row.source.place()).unwrap_or_default();
        parse(&self.text(key)).map_err(|error| ConfigError::BadValue {
            place,
            key: key.to_owned(),
            error,
        })
    }

    fn optional<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<Option<T>, ConfigError> {
        if self.text(key).is_empty() { Ok(None) } else { self.with(key, parse).map(Some) }
    }

    fn flag(&self, key: &str) -> bool {
        self.row(key).is_some_and(|row| row.value == Value::Flag(true))
    }

    fn count<T: TryFrom<u64>>(&self, key: &str) -> Result<T, ConfigError> {
        let number = match self.row(key).map(|row| &row.value) {
            Some(Value::Count(number)) => *number,
            _ => 0,
        };
        T::try_from(number).map_err(|_| ConfigError::BadValue {
            place: self.row(key).map(|row| row.source.place()).unwrap_or_default(),
            key: key.to_owned(),
            error: ValueError {
                rule: "must be a smaller number".into(),
                given: number.to_string(),
            },
        })
    }

    fn list(&self, key: &str) -> Vec<String> {
        match self.row(key).map(|row| &row.value) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    fn some(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    fn upstream(&self) -> Result<UpstreamConfig, ConfigError> {
        Ok(UpstreamConfig {
            url: self.optional("upstream.url", value::parse_address)?,
            feed: self.with("upstream.feed", value::parse_feed)?,
            feed_since: self.with("upstream.feed_since", value::parse_feed_start)?,
            feed_every: self.with("upstream.feed_every", value::parse_duration)?,
            feed_alarm: self.with("upstream.feed_alarm", value::parse_duration)?,
            token: self.some("upstream.token"),
            rate: self.count("upstream.rate")?,
            background_rate: self.count("upstream.background_rate")?,
            monthly: self.count("upstream.monthly")?,
            proxy: self.optional("upstream.proxy", value::parse_address)?,
            ca: self.some("upstream.ca").map(PathBuf::from),
            offline: self.flag("upstream.offline"),
        })
    }

    fn sync(&self) -> Result<SyncConfig, ConfigError> {
        let workers: usize = self.count("sync.workers")?;
        let mode = self.text("sync.mode");
        // a name for two settings at once
        let (mode, on_miss) = match mode.as_str() {
            "proxy" => (String::from("none"), String::from("fetch")),
            _ => (mode, self.text("sync.on_miss")),
        };
        Ok(SyncConfig {
            mode,
            anonymous: self.flag("sync.anonymous"),
            workers: workers.max(1),
            max_tarball_bytes: self.with("sync.max_tarball", value::parse_size)?,
            on_miss,
            fresh_for: self.with("sync.fresh_for", value::parse_duration)?,
            sweep: self.with("sync.sweep", value::parse_duration)?,
            sweep_without_feed: self.with("sync.sweep_without_feed", value::parse_duration)?,
            compare_names: self.with("sync.compare_names", value::parse_duration)?,
            negative_for: self.with("sync.negative_for", value::parse_duration)?,
            high_water: self.count("sync.high_water")?,
            policy: SyncPolicy {
                signatures: self.with("sync.signatures", choice)?,
                removed: self.with("sync.removed", choice)?,
                removed_after: self.with("sync.removed_after", value::parse_duration)?,
                hold: HoldPolicy {
                    time: self.with("security.hold", value::parse_duration)?,
                    except: self.list("security.hold_except"),
                    published: self.flag("security.hold_published"),
                },
                deny: DenyRules {
                    names: self.list("security.deny_names"),
                    licences: self.list("security.deny_licences"),
                    larger_than_bytes: self.with("security.deny_larger_than", value::parse_size)?,
                    install_scripts: self.flag("security.deny_install_scripts"),
                    except: self.list("security.deny_except"),
                },
                clock: Clock::default(),
            },
        })
    }

    fn security(&self) -> Result<SecurityConfig, ConfigError> {
        let key = "security.password_cost";
        let password_cost: u32 = self.count(key)?;
        if !COSTS.contains(&password_cost) {
            let rule = format!("must be {} to {}", COSTS.start(), COSTS.end());
            return Err(bad(key, ValueError { rule, given: password_cost.to_string() }));
        }
        Ok(SecurityConfig {
            registration_open: self.text("security.registration") == "open",
            always_auth: self.flag("security.always_auth"),
            password_cost,
            keep_audit_log: Some(self.with("security.keep_audit_log", value::parse_duration)?)
                .filter(|time| !time.is_zero()),
        })
    }

    fn hooks(&self) -> Result<HooksConfig, ConfigError> {
        let attempts: u32 = self.count("hooks.attempts")?;
        let delivery = HookSettings {
            allow_private: self.ranges("hooks.allow_private")?,
            timeout: self.with("hooks.timeout", value::parse_duration)?,
            attempts: attempts.max(1),
            pause_after: self.with("hooks.pause_after", value::parse_duration)?,
            keep_history: self.with("hooks.keep_history", value::parse_duration)?,
            keep_paused: self.with("hooks.keep_paused", value::parse_duration)?,
            ..HookSettings::default()
        };
        Ok(HooksConfig { max_per_user: self.count("hooks.max_per_user")?, delivery })
    }

    fn ranges(&self, key: &str) -> Result<Vec<IpNet>, ConfigError> {
        let ranges = self.list(key);
        let ranges: Result<_, ValueError> =
            ranges.iter().map(|text| value::parse_range(text)).collect();
        ranges.map_err(|error| bad(key, error))
    }

    fn storage(&self) -> Result<StorageConfig, ConfigError> {
        Ok(StorageConfig {
            kind: self.text("storage.kind"),
            path: self.text("storage.path").into(),
            database: self.some("storage.database").filter(|text| text != "sqlite"),
            keep_free_bytes: self.with("storage.keep_free", value::parse_size)?,
            endpoint: self.optional("storage.endpoint", value::parse_address)?,
            bucket: self.text("storage.bucket"),
            region: self.text("storage.region"),
            access_key: self.text("storage.access_key"),
            secret_key: self.text("storage.secret_key"),
        })
    }

    fn server(&self) -> Result<ServerConfig, ConfigError> {
        let tls = match (self.some("tls.cert"), self.some("tls.key")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            (Some(_), None) => return Err(bad_pair("tls.cert", "tls.key")),
            (None, Some(_)) => return Err(bad_pair("tls.key", "tls.cert")),
        };
        Ok(ServerConfig {
            trusted_proxies: self.ranges("server.trusted_proxies")?,
            hosts: self.list("server.hosts"),
            tls,
        })
    }
}

/// A word that the table's own check let through.
fn choice<T: FromStr<Err = UnknownChoice>>(text: &str) -> Result<T, ValueError> {
    text.parse()
        .map_err(|error: UnknownChoice| ValueError { rule: error.to_string(), given: text.into() })
}

fn bad_pair(given: &str, missing: &str) -> ConfigError {
    let rule = format!("must be given together with `{missing}`");
    bad(given, ValueError { rule, given: "alone".into() })
}
