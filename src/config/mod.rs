//! Settings: one table, several layers, and every value knows where it came from.
//!
//! Flag > environment > file > stored > discovered > default. [`Config`] is the typed result;
//! [`Config::rows`] are the same values with their sources, for `config show`.

pub mod environment;
pub mod file;
pub mod setting;
mod suggest;
pub mod template;
pub mod value;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use url::Url;

pub use self::{
    setting::{Kind, SETTINGS, Setting},
    value::{Value, ValueError},
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Environment(String),
    /// A file named by an environment variable.
    EnvironmentFile(String),
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// The database; the text says how it came there.
    Stored(String),
    /// Found in this start, for example in npm's own settings.
    Discovered(String),
    /// The table.
    Default,
}

impl Source {
    /// The layer in one or two words.
    #[must_use]
    pub fn layer(&self) -> &'static str {
        match self {
            Self::Flag(_) => "flag",
            Self::Environment(_) => "env",
            Self::EnvironmentFile(_) => "env file",
            Self::File { .. } => "file",
            Self::Stored(_) => "stored",
            Self::Discovered(_) => "discovered",
            Self::Default => "default",
        }
    }

    /// Where exactly: flag, variable, file and line.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Flag(text)
            | Self::Environment(text)
            | Self::EnvironmentFile(text)
            | Self::Stored(text)
            | Self::Discovered(text) => text.clone(),
            Self::File { path, line } => format!("{}:{line}", path.display()),
            Self::Default => String::new(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            place if place.is_empty() => formatter.write_str(self.layer()),
            place => write!(formatter, "{} {place}", self.layer()),
        }
    }
}

/// A value that one layer gives to one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
    /// Where it came from.
    pub source: Source,
}

/// Why the settings were refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that is in no table.
    #[error("{place}: unknown key `{key}`")]
    UnknownKey {
        /// File and line, or "environment".
        place: String,
        /// The key as written.
        key: String,
        /// The nearest known key.
        suggestion: Option<String>,
        /// The refused file.
        file: Option<PathBuf>,
    },
    /// A value that breaks the rule of its setting.
    #[error("{place}: `{key}` {error}")]
    BadValue {
        /// File and line, variable or flag.
        place: String,
        /// The setting.
        key: String,
        /// The broken rule.
        error: ValueError,
    },
    /// The file is no TOML.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A file that exists cannot be read, or a named one does not exist.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// Two variables give the same secret.
    #[error("both {first} and {second} are set")]
    GivenTwice {
        /// The plain variable.
        first: String,
        /// The one that names a file.
        second: String,
    },
}

/// Which flags, variables and files to read.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Settings given by flags: key and text.
    pub flags: Vec<(&'static str, String, &'static str)>,
    /// The environment.
    pub variables: Vec<(String, String)>,
}

impl LoadRequest {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.clone())
    }

    fn flag_values(&self) -> Result<Vec<Given>, ConfigError> {
        let read = |(key, text, flag): &(&'static str, String, &'static str)| {
            let kind = setting::find(key).map_or(Kind::Text, |setting| setting.kind);
            let value = Value::from_text(kind, text).map_err(|error| ConfigError::BadValue {
                place: (*flag).to_owned(),
                key: (*key).to_owned(),
                error,
            })?;
            Ok(Given { key, value, source: Source::Flag((*flag).to_owned()) })
        };
        self.flags.iter().map(read).collect()
    }
}

/// One setting with the value in force and its source.
#[derive(Debug, Clone)]
pub struct Row {
    /// The row of the table.
    pub setting: &'static Setting,
    /// The value in force.
    pub value: Value,
    /// Where it came from.
    pub source: Source,
}

impl Row {
    /// The value as JSON text, or `(hidden)` for a secret that was given.
    #[must_use]
    pub fn shown(&self) -> serde_json::Value {
        let given = self.source != Source::Default && self.value != Value::Text(String::new());
        let open = self.value == Value::Text("sqlite".into());
        match (self.setting.secret && given && !open, &self.value) {
            (true, _) => "(hidden)".into(),
            (false, Value::Text(text)) if self.setting.kind == Kind::Address => {
                without_credentials(text).into()
            }
            (false, value) => value.to_json(),
        }
    }
}

/// An address without the user name and password it may hold.
#[must_use]
pub fn without_credentials(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else { return address.to_owned() };
    if url.username().is_empty() && url.password().is_none() {
        return address.to_owned();
    }
    // These fail only for addresses without a host, which hold no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// `upstream.*`.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Address of the upstream registry; `None` when no layer knows one.
    pub url: Option<Url>,
    /// Bearer token for it.
    pub token: Option<String>,
    /// Requests a second, 0 = no limit.
    pub rate: u32,
    /// Background requests a second, 0 = no limit.
    pub background_rate: u32,
    /// Serve what is here, ask nobody.
    pub offline: bool,
}

/// `sync.*`.
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// `none`, `admin`, `exist` or `all`.
    pub mode: String,
    /// Packages synced at the same time.
    pub workers: usize,
    /// Largest tarball in bytes.
    pub max_tarball_bytes: u64,
    /// `fetch`, `redirect` or `none`.
    pub on_miss: String,
    /// Age below which a document is served without asking.
    pub fresh_for: Duration,
    /// How long a 404 of the upstream is believed.
    pub negative_for: Duration,
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

/// All settings, typed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the registry listens.
    pub listen: SocketAddr,
    /// How clients reach us.
    pub public_url: Option<Url>,
    /// Where the operations listener is.
    pub ops_listen: Option<SocketAddr>,
    /// `upstream.*`.
    pub upstream: UpstreamConfig,
    /// `sync.*`.
    pub sync: SyncConfig,
    /// `storage.*`.
    pub storage: StorageConfig,
    /// `server.*` and `tls.*`.
    pub server: ServerConfig,
    /// `log.*`.
    pub log: LogConfig,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Every setting with its source, in the order of the table.
    pub rows: Vec<Row>,
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
            storage: read.storage()?,
            server: read.server()?,
            log: LogConfig {
                format: read.text("log.format"),
                level: read.text("log.level"),
                access: read.text("log.access"),
            },
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
            token: self.some("upstream.token"),
            rate: self.count("upstream.rate")?,
            background_rate: self.count("upstream.background_rate")?,
            offline: self.flag("upstream.offline"),
        })
    }

    fn sync(&self) -> Result<SyncConfig, ConfigError> {
        let workers: usize = self.count("sync.workers")?;
        Ok(SyncConfig {
            mode: self.text("sync.mode"),
            workers: workers.max(1),
            max_tarball_bytes: self.with("sync.max_tarball", value::parse_size)?,
            on_miss: self.text("sync.on_miss"),
            fresh_for: self.with("sync.fresh_for", value::parse_duration)?,
            negative_for: self.with("sync.negative_for", value::parse_duration)?,
        })
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
        let ranges = self.list("server.trusted_proxies");
        let ranges: Result<Vec<IpNet>, ValueError> =
            ranges.iter().map(|text| value::parse_range(text)).collect();
        let tls = match (self.some("tls.cert"), self.some("tls.key")) {
            (Some(cert), Some(key)) => Some((cert.into(), key.into())),
            (None, None) => None,
            (Some(_), None) => return Err(bad_pair("tls.cert", "tls.key")),
            (None, Some(_)) => return Err(bad_pair("tls.key", "tls.cert")),
        };
        Ok(ServerConfig {
            trusted_proxies: ranges.map_err(|error| bad("server.trusted_proxies", error))?,
            hosts: self.list("server.hosts"),
            tls,
        })
    }
}

fn bad_pair(given: &str, missing: &str) -> ConfigError {
    let rule = format!("must be given together with `{missing}`");
    bad(given, ValueError { rule, given: "alone".into() })
}

#[cfg(test)]
mod tests;
