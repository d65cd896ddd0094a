//! One way to fail: what happened, why, and what to try.

use std::fmt;

use serde_json::json;

use super::exit::Exit;
use crate::{
    config::ConfigError,
    discovery::{DiscoveryError, ask_npm::NPM_TIMEOUT},
};

/// A failure as it is shown to people and programs.
#[derive(Debug, Clone)]
pub struct Problem {
    /// How the process ends.
    pub exit: Exit,
    /// A word for programs: `PORT_TAKEN`.
    pub code: &'static str,
    /// What happened.
    pub what: String,
    /// Why, when that says more.
    pub why: Option<String>,
    /// One command or setting to try.
    pub hint: Option<String>,
}

/// What every command answers.
pub type Outcome = Result<Exit, Problem>;

impl Problem {
    /// A failure with a code of its own.
    #[must_use]
    pub fn new(exit: Exit, code: &'static str, what: impl Into<String>) -> Self {
        Self { exit, code, what: what.into(), why: None, hint: None }
    }

    /// A plain failure.
    #[must_use]
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Exit::Failed, "FAILED", what)
    }

    /// A wrong command line that clap could not see.
    #[must_use]
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "USAGE", what)
    }

    /// Adds the cause.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was attempted in front; what was said becomes the cause.
    #[must_use]
    pub fn named(mut self, what: impl Into<String>) -> Self {
        let said = std::mem::replace(&mut self.what, what.into());
        self.why = Some(match self.why {
            Some(why) => format!("{said}: {why}"),
            None => said,
        });
        self
    }

    /// The failure as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "type": "error",
            "code": self.code,
            "error": self.what,
            "why": self.why,
            "hint": self.hint,
            "exit": self.exit.number(),
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.what)?;
        if let Some(why) = &self.why {
            write!(formatter, "\n  why: {why}")?;
        }
        if let Some(hint) = &self.hint {
            write!(formatter, "\n  try: {hint}")?;
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        let problem = Self::failed(error.to_string());
        let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
        if causes.is_empty() { problem } else { problem.why(causes.join(": ")) }
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        let what = error.to_string();
        let refused = |code| Self::new(Exit::Usage, code, what.clone());
        match error {
            ConfigError::UnknownKey { suggestion, file, .. } => {
                let problem = refused("CONFIG_KEY")
                    .why(format!("not a setting of version {}", env!("CARGO_PKG_VERSION")));
                let around = "use another file with --config FILE";
                let hint = match (suggestion, file) {
                    (Some(near), Some(_)) => {
                        format!(
                            "did you mean `{near}`? check with `espejo config check`; or {around}"
                        )
                    }
                    (Some(near), None) => format!("did you mean `{near}`?"),
                    (None, Some(_)) => {
                        format!("see the settings with `espejo config show`; or {around}")
                    }
                    (None, None) => "see the settings with `espejo config show`".into(),
                };
                problem.hint(hint)
            }
            ConfigError::BadValue { .. } => refused("CONFIG_VALUE")
                .hint("see the settings and their values with `espejo help config`"),
            ConfigError::Syntax { .. } => refused("CONFIG_SYNTAX")
                .why("the file is no TOML")
                .hint("correct the line, or use another file with --config FILE"),
            ConfigError::Unreadable { .. } => {
                refused("CONFIG_FILE").hint("name another file with --config FILE")
            }
            ConfigError::GivenTwice { .. } => refused("CONFIG_TWICE").hint("unset one of them"),
        }
    }
}

impl From<DiscoveryError> for Problem {
    fn from(error: DiscoveryError) -> Self {
        let what = error.to_string();
        match error {
            DiscoveryError::UndefinedVariable { name, .. } => {
                Self::new(Exit::Failed, "NPMRC_VARIABLE", what)
                    .why(format!("`${{{name}}}` is not defined in this environment"))
                    .hint("define it, or pass `--upstream`")
            }
            DiscoveryError::NotAnAddress { .. } => {
                Self::new(Exit::Failed, "UPSTREAM_ADDRESS", what).hint("pass `--upstream URL`")
            }
        }
    }
}

/// There is no upstream and this command needs one.
#[must_use]
pub fn no_upstream() -> Problem {
    let seconds = NPM_TIMEOUT.as_secs();
    Problem::new(Exit::Unreachable, "NO_UPSTREAM", "there is no upstream to fetch from")
        .why(format!(
            "none was given, and npm has none configured or did not answer within {seconds} s"
        ))
        .hint("espejo serve --upstream URL once (it is remembered), or ESPEJO_UPSTREAM=URL")
}
