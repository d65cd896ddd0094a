//! Logs: where they go, in which form, and how much of them.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// A filter nobody understands.
    #[error("`log.level` must be a level like info or a filter like info,actors=debug: {0}")]
    Filter(String),
    /// Somebody was first.
    #[error("logs were already set up")]
    Already,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

impl LogFormat {
    /// `text`, `json`, or by whether standard error is a terminal.
    #[must_use]
    pub fn from_setting(text: &str) -> Self {
        match text {
            "json" => Self::Json,
            "text" => Self::Text,
            _ if std::io::stderr().is_terminal() => Self::Text,
            _ => Self::Json,
        }
    }
}

/// Sends logs to standard error from now on; standard output carries results only.
///
/// # Errors
/// When the filter is wrong or logs were set up before.
pub fn start(format: LogFormat, filter: &str, colour: bool) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(calm(filter))
        .map_err(|error| LoggingError::Filter(error.to_string()))?;
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    }
    .map_err(|_| LoggingError::Already)
}

/// A plain level leaves out what the web framework tells of each of its threads.
fn calm(filter: &str) -> String {
    match filter {
        "info" => "info,actix_server=warn".to_owned(),
        other => other.to_owned(),
    }
}
