//! Which upstream this mirror has: given, stored at first run, or found where npm looks.

use std::path::Path;

use actors::{clock::now_ms, upstream::UpstreamSettings};
use store::{
    Store, WriteFn,
    registries::{self, DEFAULT, RegistryRow},
    settings,
};
use url::Url;
use uuid::Uuid;

use super::{
    exit::Exit,
    open::{open_rows, write_blocking},
    problem::Problem,
    text,
};
use crate::{
    config::{Config, Given, Source, Value, without_credentials},
    discovery::{self, Discovered, Process, ask_npm::ask_npm_blocking, is_own_address},
};

const KEY: &str = "upstream.url";
/// Setting that names this mirror in `Via`.
const INSTANCE_ID: &str = "instance.id";

/// Adds what the database knows, without disturbing a running server.
///
/// # Errors
/// When the database is there and cannot be read.
pub fn add_stored(config: &mut Config) -> Result<(), Problem> {
    match open_rows(config)? {
        Some(store) => add_stored_from(config, &store),
        None => Ok(()),
    }
}

/// Adds what an open store knows.
///
/// # Errors
/// When the database cannot be read.
pub fn add_stored_from(config: &mut Config, store: &Store) -> Result<(), Problem> {
    let row = store.read_blocking(|connection| registries::find(connection, DEFAULT))?;
    if let Some(row) = row.filter(|row| !row.host.is_empty()) {
        let age = u64::try_from(now_ms().saturating_sub(row.stored_at_ms)).unwrap_or_default();
        let source = format!("from {}, {} ago", row.source, text::age(age));
        config.add(&given(&row.host, Source::Stored(source)))?;
    }
    Ok(())
}

fn given(address: &str, source: Source) -> Given {
    Given { key: KEY, value: Value::Text(address.to_owned()), source }
}

/// Adds what npm's variables and files know, and npm itself when it may be asked.
///
/// # Errors
/// When what is found is refused.
pub fn add_discovered(config: &mut Config, ask_npm: bool) -> Result<(), Problem> {
    let found = match find_beside_npm()? {
        Some(found) => Some(found),
        None if ask_npm => {
            ask_npm_blocking().map(|answer| discovery::from_npm(&answer)).transpose()?
        }
        None => None,
    };
    match found {
        Some(found) => add_found(config, &found),
        None => Ok(()),
    }
}

fn find_beside_npm() -> Result<Option<Discovered>, Problem> {
    Ok(discovery::discover(&surroundings())?)
}

/// What npm would look at if it were started here.
#[must_use]
pub fn surroundings() -> Process {
    let variables = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    Process::new(variables.collect())
}

fn add_found(config: &mut Config, found: &Discovered) -> Result<(), Problem> {
    refuse_own_address(config, &found.url)?;
    config.add(&given(found.url.as_str(), Source::Discovered(found.origin.clone())))?;
    Ok(())
}

/// Refuses an upstream that is this mirror.
///
/// # Errors
/// `UPSTREAM_IS_US`.
pub fn refuse_own_address(config: &Config, url: &Url) -> Result<(), Problem> {
    if !is_own_address(url, config.listen, config.public_url.as_ref()) {
        return Ok(());
    }
    let what = format!("refused upstream {}", without_credentials(url.as_str()));
    Err(Problem::new(Exit::Failed, "UPSTREAM_IS_US", what)
        .why("that is this mirror; npm was pointed here before first use")
        .hint("espejo serve --upstream URL once; it is remembered"))
}

/// What is known without asking npm, checked; discovered and given ones are remembered.
///
/// # Errors
/// When what is found is refused or cannot be stored.
pub fn known(config: &mut Config, store: &Store, discover: bool) -> Result<(), Problem> {
    add_stored_from(config, store)?;
    if config.upstream.url.is_none() && discover {
        add_discovered(config, false)?;
    }
    if let Some(url) = config.upstream.url.clone() {
        refuse_own_address(config, &url)?;
        remember(config, store, &url)?;
    }
    Ok(())
}

/// The same, and npm is asked when nothing else knew.
///
/// # Errors
/// As [`known`].
pub fn complete(config: &mut Config, store: &Store, discover: bool) -> Result<(), Problem> {
    known(config, store, discover)?;
    if config.upstream.url.is_none() && discover {
        add_discovered(config, true)?;
        if let Some(url) = config.upstream.url.clone() {
            remember(config, store, &url)?;
        }
    }
    Ok(())
}

/// Stores an upstream given by flag or just discovered; environment and file speak for
/// themselves at every start.
fn remember(config: &Config, store: &Store, url: &Url) -> Result<(), Problem> {
    let source = match config.row(KEY).map(|row| &row.source) {
        Some(Source::Flag(flag)) => flag.clone(),
        Some(Source::Discovered(origin)) => origin.clone(),
        _ => return Ok(()),
    };
    let row = stored_row(url, &source);
    let before = store.read_blocking(|connection| registries::find(connection, DEFAULT))?;
    if before.is_some_and(|before| before.host == row.host) {
        return Ok(());
    }
    let write: WriteFn = Box::new(move |connection| registries::move_to(connection, &row));
    write_blocking(store, vec![write])
}

/// The row of a remembered upstream.
#[must_use]
pub fn stored_row(url: &Url, source: &str) -> RegistryRow {
    RegistryRow::new(DEFAULT, url.as_str(), source, now_ms())
}

/// What the engine is told of the upstream; `None` when there is none.
///
/// # Errors
/// When the database cannot be read or written.
pub fn settings(config: &Config, store: &Store) -> Result<Option<UpstreamSettings>, Problem> {
    let Some(url) = config.upstream.url.clone() else { return Ok(None) };
    let mut settings = upstream_settings(config, url, instance_id(store)?)?;
    if settings.token.is_none() {
        let row = store.read_blocking(|connection| registries::find(connection, DEFAULT))?;
        // the token of one origin is never sent to another
        let same = |row: &RegistryRow| {
            Url::parse(&row.host).is_ok_and(|host| host.origin() == settings.url.origin())
        };
        settings.token = row.filter(same).and_then(|row| row.token);
    }
    Ok(Some(settings))
}

/// What registries of the table are asked like, whether the default one is known or not.
///
/// # Errors
/// As [`settings`].
pub fn registry_defaults(config: &Config, store: &Store) -> Result<UpstreamSettings, Problem> {
    let nowhere = Url::parse("http://registry.invalid/").map_err(anyhow::Error::from)?;
    upstream_settings(config, nowhere, instance_id(store)?)
}

/// The same for an address that was learned later.
///
/// # Errors
/// When the file of `upstream.ca` cannot be read.
pub fn upstream_settings(
    config: &Config,
    url: Url,
    instance_id: String,
) -> Result<UpstreamSettings, Problem> {
    Ok(UpstreamSettings {
        feed: config.upstream.feed.clone(),
        token: config.upstream.token.clone(),
        rate_per_second: config.upstream.rate,
        background_rate_per_second: config.upstream.background_rate,
        requests_per_month: config.upstream.monthly,
        max_tarball_bytes: config.sync.max_tarball_bytes,
        offline: config.upstream.offline,
        proxy: config.upstream.proxy.clone(),
        ca_pem: config.upstream.ca.as_deref().map(read_ca).transpose()?,
        instance_id,
        ..UpstreamSettings::new(DEFAULT, url)
    })
}

fn read_ca(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| {
        let what = format!("cannot read `upstream.ca` {}", path.display());
        Problem::new(Exit::Usage, "CONFIG_VALUE", what).why(error)
    })
}

/// The name of this mirror in `Via`, made at first use.
///
/// # Errors
/// When the database cannot be read or written.
pub fn instance_id(store: &Store) -> Result<String, Problem> {
    let known = store.read_blocking(|connection| settings::find(connection, INSTANCE_ID))?;
    if let Some(id) = known {
        return Ok(id);
    }
    let id = Uuid::now_v7().simple().to_string();
    let written = id.clone();
    let write: WriteFn =
        Box::new(move |connection| settings::set(connection, INSTANCE_ID, &written));
    write_blocking(store, vec![write])?;
    Ok(id)
}
