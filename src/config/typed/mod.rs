//! The settings as typed fields, made from checked rows.

mod read;
mod reader;
mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use url::Url;

use self::reader::{Reader, bad};
pub use self::sections::{
    HooksConfig, LimitsConfig, LogConfig, PublishConfig, SearchConfig, SecurityConfig,
    ServerConfig, StorageConfig, SyncConfig, UpstreamConfig,
};
use super::{
    ConfigError, Given, LoadRequest, Row, SETTINGS, Source, Value, environment, file, setting,
    value,
};

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
            limits: read.limits()?,
            hooks: read.hooks()?,
            publish: read.publish()?,
            search: read.search(),
            storage: read.storage()?,
            server: read.server()?,
            log: read.log(),
            remote: None,
            file: file.map(Path::to_owned),
            rows: Vec::new(),
        };
        Ok(Self { rows, ..config })
    }
}
