//! What `espejo user` and `espejo token` share: the tables, the addresses of links, who asks.

use std::path::Path;

use actors::clock::now_ms;
use serde_json::json;
use store::audit::By;
use store::users::{self, UserRow};
use store::{AnyConnection, Store, StoreError};

use super::{
    control::ControlClient,
    exit::Exit,
    open::{DataFolder, open_rows},
    problem::Problem,
    runtime, text,
};
use crate::{
    accounts::{changes, names::check_password},
    config::Config,
    control::messages::{DoneAnswer, StatusAnswer},
    handlers::login::secret,
};

/// The tables of accounts, beside a running server or under the folder lock.
pub(super) struct Tables {
    store: Store,
    server: Option<ControlClient>,
    _folder: Option<DataFolder>,
}

impl Tables {
    /// Opens them; makes a database where there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(config: &Config) -> Result<Self, Problem> {
        let server = ControlClient::connect(config)?;
        if let Some(store) = open_rows(config)? {
            return Ok(Self { store, server, _folder: None });
        }
        let folder = DataFolder::lock(config)?;
        Ok(Self { store: folder.open_store(config)?, server, _folder: Some(folder) })
    }

    /// Reads.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        Ok(self.store.read_blocking(query)?)
    }

    /// Writes in one transaction; a running server forgets what it knew of accounts.
    ///
    /// # Errors
    /// Those of the database, and of a server that does not answer.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        let done = self.store.writer_blocking()?.write_blocking(work)?;
        if let Some(server) = &self.server {
            let nothing = json!({});
            let told = server.post::<_, DoneAnswer>("accounts/forget", &nothing);
            runtime::small()?.block_on(told)?;
        }
        Ok(done)
    }

    /// The user of this name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn user(&self, name: &str) -> Result<UserRow, Problem> {
        self.read(|rows| users::find(rows, name))?.ok_or_else(|| no_user(name))
    }

    /// Makes a sign-in link.
    ///
    /// # Errors
    /// When there is no such user.
    pub(super) fn link(&self, config: &Config, user: &str) -> Result<String, Problem> {
        let secret = secret().map_err(|error| Problem::failed(error.to_string()))?;
        let by = by();
        if !self.write(|rows| changes::add_link(rows, &secret, user, &by))? {
            return Err(no_user(user));
        }
        Ok(format!("{}/-/ui/join/{secret}", self.base(config)?))
    }

    /// How people reach the mirror.
    fn base(&self, config: &Config) -> Result<String, Problem> {
        if let Some(url) = &config.public_url {
            return Ok(url.as_str().trim_end_matches('/').to_owned());
        }
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        let listen = match &self.server {
            Some(server) => {
                runtime::small()?.block_on(server.get::<StatusAnswer>("status"))?.listen
            }
            None => config.listen.to_string(),
        };
        Ok(format!("{scheme}://{listen}"))
    }
}

/// There is no user of this name.
pub(super) fn no_user(name: &str) -> Problem {
    Problem::new(Exit::NotFound, "NOT_FOUND", format!("there is no user {name}"))
        .hint(format!("espejo user list, or espejo user add {name}"))
}

/// Whoever sits at the terminal.
pub(super) fn by() -> By {
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    By::terminal(name.as_deref().unwrap_or("unknown"))
}

/// A moment that has passed, as an age.
pub(super) fn ago(at_ms: i64) -> String {
    text::age(now_ms().saturating_sub(at_ms).max(0).unsigned_abs())
}

/// The first line of a file, `-` for standard input.
///
/// # Errors
/// When it cannot be read.
pub(super) fn secret_from(file: &Path, what: &str) -> Result<String, Problem> {
    let read = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = read.map_err(|error| {
        Problem::usage(format!("cannot read a {what} from {}", file.display())).why(error)
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The same as a password that may be chosen.
///
/// # Errors
/// When it cannot be read or breaks a rule.
pub(super) fn password_from(file: &Path) -> Result<String, Problem> {
    let password = secret_from(file, "password")?;
    check_password(&password).map_err(|rule| {
        Problem::usage(format!("the password {rule}")).hint("8 to 100 characters")
    })?;
    Ok(password)
}
