//! `espejo registry`: the upstream registries, with and without a running server.
//!
//! Rows are written to the database; a running server is told to read them again, so changes
//! take effect at once. Tokens go in and never come out.

use std::collections::HashMap;

use actors::{
    EngineStatus,
    clock::now_ms,
    registry_sync::RegistrySyncStatus,
    upstream::{Upstream, UpstreamSettings},
};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use store::{
    Store, WriteFn, packages,
    registries::{self, DEFAULT, RegistryRow},
    scopes::{self, ScopeRow},
};

use super::{
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    open::{DataFolder, open_rows, write_blocking},
    output::Output,
    problem::{Outcome, Problem},
    runtime, status, text,
};
use crate::{
    config::{Config, Source, value, without_credentials},
    control::messages::{DoneAnswer, StatusAnswer},
};

/// What a registry may speak; `cnpm` is another name of `cnpmcore`.
const KINDS: [&str; 4] = ["npm", "cnpmcore", "cnpmjsorg", "cnpm"];

/// Commands of `registry`.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// All upstream registries
    List,
    /// Add a registry
    Add(AddArguments),
    /// Change a registry; what is not named stays
    Set(SetArguments),
    /// Forget a registry that owns no package
    Remove(NameArgument),
}

/// Arguments of `registry add`.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// Its name here
    pub name: String,
    /// Its address
    #[arg(long, value_name = "URL")]
    pub url: String,
    #[command(flatten)]
    traits: Traits,
}

/// Arguments of `registry set`.
#[derive(Debug, Args)]
pub struct SetArguments {
    /// Its name here
    pub name: String,
    /// Its address
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    #[command(flatten)]
    traits: Traits,
}

/// What may be said of a registry beside its address.
#[derive(Debug, Args)]
pub struct Traits {
    /// What it speaks: npm, cnpmcore, cnpmjsorg
    #[arg(long = "type", value_name = "TYPE", value_parser = KINDS)]
    kind: Option<String>,
    /// File with its bearer token, sent to its own origin only; an empty file takes it away
    #[arg(long, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
    /// Requests per second, 0 = no limit
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
    /// Its changes feed: auto, off or an address
    #[arg(long, value_name = "FEED")]
    feed: Option<String>,
    /// What is put in front of the names of its users
    #[arg(long, value_name = "TEXT")]
    user_prefix: Option<String>,
}

/// A registry by name.
#[derive(Debug, Args)]
pub struct NameArgument {
    /// Its name here
    pub name: String,
}

/// Runs a `registry` command.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub fn run(command: &RegistryCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let rows = Rows::open(&config)?;
    match command {
        RegistryCommand::List => list(&config, &rows, output),
        RegistryCommand::Add(arguments) => {
            check_name(&arguments.name)?;
            if rows.find(&arguments.name)?.is_some() {
                return Err(Problem::usage(format!("registry {} is there", arguments.name))
                    .hint(format!("espejo registry set {} --url URL", arguments.name)));
            }
            let row = RegistryRow::new(&arguments.name, "", "espejo registry add", now_ms());
            let row = changed(row, Some(&arguments.url), &arguments.traits)?;
            rows.save(&config, row, "Added", output)
        }
        RegistryCommand::Set(arguments) => {
            let row = rows.find(&arguments.name)?.or_else(|| {
                let row = RegistryRow::new(DEFAULT, "", "espejo registry set", now_ms());
                (arguments.name == DEFAULT).then_some(row)
            });
            let row = row.ok_or_else(|| not_found(&arguments.name))?;
            if row.name == DEFAULT {
                check_default(&config, arguments)?;
            }
            let row = changed(row, arguments.url.as_deref(), &arguments.traits)?;
            rows.save(&config, row, "Changed", output)
        }
        RegistryCommand::Remove(arguments) => remove(&config, &rows, &arguments.name, output),
    }
}

/// The tables, beside a running server or under the folder lock.
pub(super) struct Rows {
    store: Store,
    _folder: Option<DataFolder>,
}

impl Rows {
    /// Opens them; makes a database where there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(config: &Config) -> Result<Self, Problem> {
        if let Some(store) = open_rows(config)? {
            return Ok(Self { store, _folder: None });
        }
        let folder = DataFolder::lock(config)?;
        Ok(Self { store: folder.open_store(config)?, _folder: Some(folder) })
    }

    fn find(&self, name: &str) -> Result<Option<RegistryRow>, Problem> {
        Ok(self.store.read_blocking(|connection| registries::find(connection, name))?)
    }

    /// Every registry, `default` also while it is not stored.
    pub(super) fn all(&self) -> Result<Vec<RegistryRow>, Problem> {
        Ok(self.store.read_blocking(registries::list)?)
    }

    /// Every bound scope.
    pub(super) fn scopes(&self) -> Result<Vec<ScopeRow>, Problem> {
        Ok(self.store.read_blocking(scopes::list)?)
    }

    /// Writes and has a running server read again.
    pub(super) fn write(&self, config: &Config, write: WriteFn) -> Result<(), Problem> {
        write_blocking(&self.store, vec![write])?;
        if let Some(client) = ControlClient::connect(config)? {
            let nothing = json!({});
            let told = client.post::<_, DoneAnswer>("registries/reload", &nothing);
            runtime::small()?.block_on(told)?;
        }
        Ok(())
    }

    fn save(&self, config: &Config, row: RegistryRow, done: &str, output: &Output) -> Outcome {
        check_usable(config, &row)?;
        let shown = row.clone();
        self.write(config, Box::new(move |connection| registries::upsert(connection, &row)))?;
        if output.json {
            output.json(&describe(&shown, &[], None));
        } else {
            let host = without_credentials(&shown.host);
            output.line(format_args!("{done} registry {}: {host}", shown.name));
        }
        Ok(Exit::Done)
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let good = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if good && name != scopes::SELF {
        return Ok(());
    }
    Err(Problem::usage(format!("a registry cannot be called `{name}`"))
        .why("a name has letters a to z, digits and `-`, at most 64; `self` is this mirror"))
}

/// What flag, environment or file say of the default upstream wins over its row.
fn check_default(config: &Config, arguments: &SetArguments) -> Result<(), Problem> {
    if arguments.traits.rate.is_some() || arguments.traits.feed.is_some() {
        return Err(Problem::usage("the rate and the feed of `default` are settings")
            .hint("upstream.rate and upstream.feed, see: espejo help config"));
    }
    let given = config.row("upstream.url").map(|row| &row.source);
    match given {
        Some(
            source @ (Source::Environment(_) | Source::EnvironmentFile(_) | Source::File { .. }),
        ) if arguments.url.is_some() => {
            let what = format!("the address of {DEFAULT} is set elsewhere: {source}");
            Err(Problem::usage(what).hint("change it there, or take it out there first"))
        }
        _ => Ok(()),
    }
}

/// The row with what the arguments name.
fn changed(
    mut row: RegistryRow,
    url: Option<&str>,
    traits: &Traits,
) -> Result<RegistryRow, Problem> {
    if let Some(url) = url {
        let parsed =
            value::parse_address(url).map_err(|error| Problem::usage(format!("--url {error}")))?;
        row.host = parsed.to_string();
        row.source = "espejo registry".to_owned();
        row.stored_at_ms = now_ms();
    }
    if let Some(kind) = &traits.kind {
        row.kind = if kind == "cnpm" { "cnpmcore".to_owned() } else { kind.clone() };
    }
    if let Some(path) = &traits.token_file {
        let token = std::fs::read_to_string(path).map_err(|error| {
            Problem::usage(format!("cannot read {}", path.display())).why(error)
        })?;
        row.token = Some(token.trim().to_owned()).filter(|token| !token.is_empty());
        row.stored_at_ms = now_ms();
    }
    if let Some(rate) = traits.rate {
        row.rate = i64::from(rate);
    }
    if let Some(feed) = &traits.feed {
        value::parse_feed(feed).map_err(|error| Problem::usage(format!("--feed {error}")))?;
        row.change_stream = feed.clone();
    }
    if let Some(prefix) = &traits.user_prefix {
        row.user_prefix = prefix.clone();
    }
    Ok(row)
}

/// Refuses here what the engine would refuse: other schemes, credentials in the address.
fn check_usable(config: &Config, row: &RegistryRow) -> Result<(), Problem> {
    if row.host.is_empty() {
        return Err(Problem::usage(format!("registry {} has no address", row.name))
            .hint(format!("espejo registry set {} --url URL", row.name)));
    }
    let url = value::parse_address(&row.host).map_err(|error| Problem::usage(error.to_string()))?;
    super::upstream::refuse_own_address(config, &url)?;
    let settings =
        UpstreamSettings { token: row.token.clone(), ..UpstreamSettings::new(&row.name, url) };
    Upstream::new(settings).map(drop).map_err(|error| Problem::usage(error.to_string()))
}

fn not_found(name: &str) -> Problem {
    Problem::new(Exit::NotFound, "NOT_FOUND", format!("there is no registry {name}"))
        .hint("espejo registry list")
}

fn remove(config: &Config, rows: &Rows, name: &str, output: &Output) -> Outcome {
    if name == DEFAULT {
        return Err(Problem::usage("the registry `default` stays")
            .hint("give it another address: espejo registry set default --url URL"));
    }
    if rows.find(name)?.is_none() {
        return Err(not_found(name));
    }
    let owned = rows.store.read_blocking(|connection| packages::count_of(connection, name))?;
    let owned = u64::try_from(owned).unwrap_or(0);
    let bound: Vec<_> = rows.scopes()?.into_iter().filter(|row| row.registry == name).collect();
    if owned > 0 || !bound.is_empty() {
        let scopes: Vec<_> = bound.iter().map(|row| row.scope.as_str()).collect();
        let why = format!(
            "{} and {} are its own {}",
            text::counted(owned, "package"),
            text::counted(scopes.len() as u64, "scope"),
            scopes.join(" ")
        );
        return Err(Problem::failed(format!("registry {name} stays")).why(why.trim_end()));
    }
    let to_delete = name.to_owned();
    rows.write(
        config,
        Box::new(move |connection| registries::delete(connection, &to_delete).map(drop)),
    )?;
    if output.json {
        output.json(&json!({ "removed": name }));
    } else {
        output.line(format_args!("Removed registry {name}"));
    }
    Ok(Exit::Done)
}

fn list(config: &Config, rows: &Rows, output: &Output) -> Outcome {
    let engine = running(config)?;
    let bound = rows.scopes()?;
    let mut all = rows.all()?;
    if !all.iter().any(|row| row.name == DEFAULT) {
        let host = config.upstream.url.as_ref().map_or("", |url| url.as_str());
        all.insert(0, RegistryRow::new(DEFAULT, host, "", 0));
    }
    let syncs = engine.iter().flat_map(|engine| &engine.syncs);
    let syncs: HashMap<_, _> = syncs.map(|sync| (sync.registry.as_str(), sync)).collect();
    if output.json {
        let one = |row: &RegistryRow| describe(row, &bound, syncs.get(row.name.as_str()).copied());
        output.json(&all.iter().map(one).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "TYPE", "ADDRESS", "SCOPES", "REQUESTS", "BREAKER", "FEED"]);
    for row in &all {
        let upstream = syncs.get(row.name.as_str()).and_then(|sync| sync.upstream.as_ref());
        let feed = engine.iter().flat_map(|engine| &engine.followers);
        let feed = feed.into_iter().find(|feed| feed.registry == row.name);
        table.add_row([
            row.name.clone(),
            row.kind.clone(),
            without_credentials(&row.host),
            scopes_of(row, &bound),
            upstream.map_or_else(|| "-".to_owned(), status::rate),
            upstream.map_or_else(
                || "-".to_owned(),
                |upstream| status::breaker(upstream.breaker, upstream.breaker_opens_in_ms),
            ),
            feed.map_or_else(
                || row.change_stream.clone(),
                |feed| status::feed_state(feed.state).to_owned(),
            ),
        ]);
    }
    output.line(table);
    Ok(Exit::Done)
}

fn running(config: &Config) -> Result<Option<EngineStatus>, Problem> {
    let Some(client) = ControlClient::connect(config)? else { return Ok(None) };
    let answer: StatusAnswer = runtime::small()?.block_on(client.get("status"))?;
    Ok(serde_json::from_value(answer.engine).ok())
}

fn scopes_of(row: &RegistryRow, bound: &[ScopeRow]) -> String {
    let own = bound.iter().filter(|scope| scope.registry == row.name);
    let own: Vec<_> = own.map(|scope| scope.scope.as_str()).collect();
    match (row.name.as_str(), own.is_empty()) {
        (DEFAULT, true) => "all others".to_owned(),
        (_, true) => "-".to_owned(),
        _ => own.join(" "),
    }
}

/// A registry as JSON; its token stays inside.
fn describe(row: &RegistryRow, bound: &[ScopeRow], sync: Option<&RegistrySyncStatus>) -> Value {
    let own = bound.iter().filter(|scope| scope.registry == row.name);
    json!({
        "name": row.name,
        "type": row.kind,
        "host": without_credentials(&row.host),
        "source": row.source,
        "userPrefix": row.user_prefix,
        "changeStream": row.change_stream,
        "hasAuthToken": row.token.is_some(),
        "rate": row.rate,
        "createdAtMs": row.created_at_ms,
        "scopes": own.map(|scope| scope.scope.as_str()).collect::<Vec<_>>(),
        "running": sync,
    })
}
