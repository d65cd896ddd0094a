//! Where a command does its work: in a running server, over its socket or from afar, or on the
//! rows of the data folder.

use actors::clock::now_ms;
use store::audit::By;
use store::{AnyConnection, Store};

use super::{
    control::ControlClient,
    exit::Exit,
    open::{DataFolder, open_rows},
    problem::Problem,
    runtime, text,
};
use crate::{
    config::Config,
    operations::{Operation, Surroundings},
    registries::{Refused, Rules},
};

/// A running server, else the tables beside it or under the folder lock.
pub(super) enum Place {
    /// It answers.
    Running(ControlClient),
    /// The tables, with what operations look at; the folder is locked where it can be.
    Alone {
        /// The tables.
        store: Store,
        /// What operations look at.
        with: Box<Surroundings>,
        /// Keeps others out.
        _folder: Option<DataFolder>,
    },
}

impl Place {
    /// Finds it; makes a database where there is none.
    ///
    /// # Errors
    /// When neither a server nor the database can be used.
    pub(super) fn open(config: &Config) -> Result<Self, Problem> {
        if let Some(client) = ControlClient::connect(config)? {
            return Ok(Self::Running(client));
        }
        let admins = config.admins.clone();
        let with = Box::new(Surroundings { rules: Rules::of(config), admins, by: by() });
        if let Some(store) = open_rows(config)? {
            return Ok(Self::Alone { store, with, _folder: None });
        }
        let folder = DataFolder::lock(config)?;
        Ok(Self::Alone { store: folder.open_store(config)?, with, _folder: Some(folder) })
    }

    /// Does it.
    ///
    /// # Errors
    /// The refusal, or what the server or the database says.
    pub(super) fn run<O: Operation>(&self, operation: O) -> Result<O::Answer, Problem> {
        match self {
            Self::Running(client) => {
                runtime::small()?.block_on(client.post::<O, O::Answer>(O::PATH, &operation))
            }
            Self::Alone { store, with, .. } => {
                let perform = |rows: &mut AnyConnection| operation.perform(rows, with);
                let done = match O::READS {
                    true => store.read_blocking(perform)?,
                    false => store.writer_blocking()?.write_blocking(perform)?,
                };
                done.map_err(refused)
            }
        }
    }

    /// The server, when one runs.
    pub(super) fn server(&self) -> Option<&ControlClient> {
        match self {
            Self::Running(client) => Some(client),
            Self::Alone { .. } => None,
        }
    }
}

/// How a refusal looks at the terminal.
fn refused(refused: Refused) -> Problem {
    let text = refused.to_string();
    match refused {
        Refused::NoRegistry(name) => Problem::new(Exit::NotFound, "NOT_FOUND", text)
            .hint(format!("espejo registry list, or: espejo registry add {name} --url URL")),
        Refused::NoScope(_) => {
            Problem::new(Exit::NotFound, "NOT_FOUND", text).hint("espejo scope list")
        }
        Refused::InUse { .. } | Refused::NotNow(_) => Problem::failed(text),
        Refused::Exists(_) => Problem::usage(text).hint("espejo registry set NAME --url URL"),
        Refused::Invalid(_) => Problem::usage(text),
    }
}

/// Whoever sits at the terminal.
pub fn by() -> By {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    By::terminal(name.as_deref().unwrap_or("unknown"))
}

/// A moment that has passed, as an age.
pub(super) fn ago(at_ms: i64) -> String {
    text::age(now_ms().saturating_sub(at_ms).max(0).unsigned_abs())
}
