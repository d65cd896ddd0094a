//! Settings: one table, several layers, and every value knows where it came from.
//!
//! Flag > environment > file > stored > discovered > default. [`Config`] is the typed result;
//! [`Config::rows`] are the same values with their sources, for `config show`.

pub mod environment;
pub mod file;
pub mod setting;
mod suggest;
pub mod template;
mod typed;
pub mod value;

use std::{fmt, path::PathBuf};

use url::Url;

pub use self::{
    setting::{Kind, SETTINGS, Setting},
    typed::{
        Config, LimitsConfig, LogConfig, Remote, ServerConfig, StorageConfig, SyncConfig,
        UpstreamConfig,
    },
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

/// An address without the user name and password it may hold. One that is none loses everything up
/// to its last `@`, because it may be an address with a slip of the pen.
#[must_use]
pub fn without_credentials(address: &str) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return address.rsplit_once('@').map_or(address, |(_, rest)| rest).to_owned();
    };
    if url.username().is_empty() && url.password().is_none() {
        return address.to_owned();
    }
    // These fail only for addresses without a host, which hold no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests;
