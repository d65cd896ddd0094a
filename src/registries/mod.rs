//! What an operator may change about registries and scopes: the one place with the rules, for the
//! HTTP API, the command line beside a running server, and the command line alone.
//!
//! A [`Change`] is checked for what it says ([`Change::check`]), then made with its row of the
//! audit log in one transaction ([`apply::apply`]); a running server reads the tables again after it.

mod apply;
mod rules;
mod shown;

use actors::EngineHandle;
use actors::registries::ReloadError;
use serde::{Deserialize, Serialize};
use store::audit::By;
use store::registries::RegistryRow;
use store::scopes::ScopeRow;

pub use self::apply::{apply, resolve};
pub use self::rules::{KINDS, Rules};
pub use self::shown::for_audit;
use crate::app::App;
use crate::error::ApiError;

/// What is to be changed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A new registry.
    Add {
        /// Its name.
        name: String,
        /// Its address.
        host: String,
        /// What else is said of it.
        traits: Traits,
    },
    /// Something else about a registry; what is not named stays.
    Set {
        /// Its name or id.
        name: String,
        /// Its address.
        host: Option<String>,
        /// What else is said of it.
        traits: Traits,
    },
    /// A registry is forgotten.
    Remove {
        /// Its name or id.
        name: String,
        /// Its scopes go with it, instead of keeping it.
        with_scopes: bool,
    },
    /// A scope belongs to a registry, or with `self` to nobody else.
    Bind {
        /// With its `@`.
        scope: String,
        /// Name or id of the registry.
        registry: String,
        /// Also when it is bound already.
        replace: bool,
    },
    /// A scope belongs to no registry of its own any more.
    Unbind {
        /// With its `@`, or its id.
        scope: String,
    },
    /// The feed of a registry is left alone.
    Pause {
        /// Its name or id.
        name: String,
    },
    /// The feed of a registry is followed.
    Resume {
        /// Its name or id.
        name: String,
        /// From this number on, instead of where it was left.
        since: Option<i64>,
    },
}

/// What may be said of a registry beside its address.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Traits {
    /// What it speaks, one of [`KINDS`].
    pub kind: Option<String>,
    /// Its bearer token; an empty one takes it away.
    pub token: Option<String>,
    /// Requests per second, 0 = no limit.
    pub rate: Option<u32>,
    /// `auto`, `off`, or the address of its changes feed.
    pub feed: Option<String>,
    /// What is put in front of the names of its users.
    pub user_prefix: Option<String>,
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such registry.
    #[error("there is no registry {0}")]
    NoRegistry(String),
    /// There is no such scope.
    #[error("{0} is bound to no registry")]
    NoScope(String),
    /// There is one already.
    #[error("{0} is there already")]
    Exists(String),
    /// Others still need it.
    #[error("registry {name} stays: {packages} packages and {} scopes are its own {}", .scopes.len(), .scopes.join(" "))]
    InUse {
        /// Its name.
        name: String,
        /// Packages that belong to it.
        packages: i64,
        /// Scopes that are bound to it.
        scopes: Vec<String>,
    },
    /// It cannot be done at the moment.
    #[error("{0}")]
    NotNow(String),
    /// A rule is broken.
    #[error("{0}")]
    Invalid(String),
}

/// What was changed.
pub enum Done {
    /// This registry is as it should be.
    Registry(RegistryRow),
    /// This scope is bound.
    Scope(ScopeRow),
    /// It is gone, or was not there.
    Gone,
}

/// Makes a change in a running server; it is in effect when this answers, and also when whoever
/// asked has gone.
///
/// # Errors
/// The refusal, or what the engine says.
pub async fn run(app: &App, by: By, change: Change) -> Result<Result<Done, Refused>, ApiError> {
    if let Err(refused) = change.check(&app.settings.registries) {
        return Ok(Err(refused));
    }
    let rules = app.settings.registries.clone();
    let engine = app.engine.clone();
    let running = app.runtime.spawn(async move {
        let written = engine.write_returning(move |rows| apply(rows, &rules, &by, &change)).await?;
        in_effect(&engine).await?;
        Ok(written)
    });
    running.await.map_err(|error| ApiError::Internal(format!("a change: {error}")))?
}

/// Makes what runs agree with what was written.
///
/// # Errors
/// When the tables cannot be read.
pub async fn in_effect(engine: &EngineHandle) -> Result<(), ApiError> {
    match engine.registries().reload().await {
        Ok(()) => Ok(()),
        // another row than the one that was written, which was checked
        Err(error @ ReloadError::Refused { .. }) => {
            tracing::error!(%error, "a registry");
            Ok(())
        }
        Err(ReloadError::Store(error)) => Err(error.into()),
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoRegistry(_) => Self::not_found("registry"),
            Refused::NoScope(_) => Self::not_found("scope"),
            Refused::Exists(_) | Refused::InUse { .. } => Self::Conflict(refused.to_string()),
            Refused::NotNow(text) => Self::BadRequest(text),
            Refused::Invalid(text) => Self::Invalid(text),
        }
    }
}
