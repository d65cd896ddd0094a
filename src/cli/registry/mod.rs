//! `espejo registry`: the upstream registries, with and without a running server.
//!
//! Rows are written to the database; a running server is told to read them again, so changes
//! take effect at once. Tokens go in and never come out.

mod test;

use std::collections::HashMap;

use actors::{
    EngineStatus, changes_follower::FollowerStatus, clock::now_ms,
    registry_sync::RegistrySyncStatus,
};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use store::{
    Store, feeds,
    registries::{self, DEFAULT, RegistryRow},
    scopes::{self, ScopeRow},
};

use super::{
    accounts::by,
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    open::{DataFolder, open_rows},
    output::Output,
    problem::{Outcome, Problem},
    runtime, status, upstream,
};
use crate::{
    config::{Config, value, without_credentials},
    control::messages::{DoneAnswer, StatusAnswer},
    discovery,
    registries::{self as registry, Change, Done, KINDS, Refused, Rules, apply},
};

/// Commands of `registry`.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// All upstream registries
    List,
    /// Add a registry
    Add(AddArguments),
    /// Change a registry; what is not named stays
    Set(SetArguments),
    /// Ask a registry whether all is well with it: host, documents, feed, token
    Test(test::TestArguments),
    /// Leave its feed alone until it is resumed
    Pause(NameArgument),
    /// Follow its feed again from where it was left
    Resume(ResumeArguments),
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
    /// Take the token that npm has for it, from .npmrc
    #[arg(long, conflicts_with = "token_file")]
    token_from_npmrc: bool,
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

/// Arguments of `registry resume`.
#[derive(Debug, Args)]
pub struct ResumeArguments {
    /// Its name here
    pub name: String,
    /// Number of the feed to go on from, instead of where it was left
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    pub since: Option<i64>,
}

/// Runs a `registry` command.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub fn run(command: &RegistryCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    if let RegistryCommand::Test(arguments) = command {
        return test::run(&config, arguments, output);
    }
    let rows = Rows::open(&config)?;
    match command {
        RegistryCommand::List => list(&config, &rows, output),
        RegistryCommand::Add(arguments) => {
            let host = Some(arguments.url.as_str());
            let traits = arguments.traits.read(&rows, &arguments.name, host)?;
            let (name, host) = (arguments.name.clone(), arguments.url.clone());
            let done = rows.change(&config, Change::Add { name, host, traits })?;
            said(&done, "Added", output)
        }
        RegistryCommand::Set(arguments) => {
            let traits = arguments.traits.read(&rows, &arguments.name, arguments.url.as_deref())?;
            let (name, host) = (arguments.name.clone(), arguments.url.clone());
            let done = rows.change(&config, Change::Set { name, host, traits })?;
            said(&done, "Changed", output)
        }
        RegistryCommand::Remove(arguments) => {
            let name = arguments.name.clone();
            rows.change(&config, Change::Remove { name, with_scopes: false })?;
            if output.json {
                output.json(&json!({ "removed": arguments.name }));
            } else {
                output.line(format_args!("Removed registry {}", arguments.name));
            }
            Ok(Exit::Done)
        }
        RegistryCommand::Pause(arguments) => {
            let name = arguments.name.clone();
            let done = rows.change(&config, Change::Pause { name })?;
            said(&done, "Paused the feed of", output)
        }
        RegistryCommand::Resume(arguments) => {
            let change = Change::Resume { name: arguments.name.clone(), since: arguments.since };
            let done = rows.change(&config, change)?;
            said(&done, "Resumed the feed of", output)
        }
        RegistryCommand::Test(_) => Ok(Exit::Done), // above
    }
}

fn said(done: &Done, what: &str, output: &Output) -> Outcome {
    if let Done::Registry(row) = done {
        if output.json {
            output.json(&describe(row, &[], None, None));
        } else {
            let host = without_credentials(&row.host);
            let host = if host.is_empty() { host } else { format!(": {host}") };
            output.line(format_args!("{what} registry {}{host}", row.name));
        }
    }
    Ok(Exit::Done)
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
        Ok(self.store.read_blocking(|rows| registries::find_by_name_or_id(rows, name))?)
    }

    /// Every bound scope.
    pub(super) fn scopes(&self) -> Result<Vec<ScopeRow>, Problem> {
        Ok(self.store.read_blocking(scopes::list)?)
    }

    /// Makes a change and has a running server read again.
    pub(super) fn change(&self, config: &Config, change: Change) -> Result<Done, Problem> {
        let (rules, by) = (Rules::of(config), by());
        change.check(&rules).map_err(refused)?;
        let mut writer = self.store.writer_blocking()?;
        let done = writer.write_blocking(move |rows| apply(rows, &rules, &by, &change))?;
        let done = done.map_err(refused)?;
        if let Some(client) = ControlClient::connect(config)? {
            let nothing = json!({});
            let told = client.post::<_, DoneAnswer>("registries/reload", &nothing);
            runtime::small()?.block_on(told)?;
        }
        Ok(done)
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
        Refused::Invalid(_) => Problem::usage(text).hint("espejo registry --help"),
    }
}

impl Traits {
    /// What the flags say, with the token out of its file.
    fn read(
        &self,
        rows: &Rows,
        name: &str,
        url: Option<&str>,
    ) -> Result<registry::Traits, Problem> {
        let token = match &self.token_file {
            Some(path) => {
                let token = std::fs::read_to_string(path).map_err(|error| {
                    Problem::usage(format!("cannot read {}", path.display())).why(error)
                })?;
                Some(token.trim().to_owned())
            }
            None if self.token_from_npmrc => Some(npm_token(rows, name, url)?),
            None => None,
        };
        Ok(registry::Traits {
            kind: self.kind.clone(),
            token,
            rate: self.rate,
            feed: self.feed.clone(),
            user_prefix: self.user_prefix.clone(),
        })
    }
}

/// The token that npm itself would send to the registry.
fn npm_token(rows: &Rows, name: &str, url: Option<&str>) -> Result<String, Problem> {
    let stored = rows.find(name)?.map(|row| row.host);
    let address = url.map(str::to_owned).or(stored).unwrap_or_default();
    let url = value::parse_address(&address)
        .map_err(|error| Problem::usage(format!("--token-from-npmrc: {error}")))?;
    let found = discovery::find_token(&upstream::surroundings(), &url)?;
    found.ok_or_else(|| {
        Problem::new(Exit::NotFound, "NOT_FOUND", "npm has no token for this registry")
            .why(format!("no .npmrc has a line //{}/:_authToken=", url.authority()))
            .hint("npm login --registry URL, or --token-file FILE")
    })
}

fn list(config: &Config, rows: &Rows, output: &Output) -> Outcome {
    let engine = running(config)?;
    let bound = rows.scopes()?;
    let mut all = rows.store.read_blocking(registries::list)?;
    let paused = rows.store.read_blocking(feeds::list)?;
    if !all.iter().any(|row| row.name == DEFAULT) {
        let host = config.upstream.url.as_ref().map_or("", |url| url.as_str());
        all.insert(0, RegistryRow::new(DEFAULT, host, "", 0));
    }
    let syncs = engine.iter().flat_map(|engine| &engine.syncs);
    let syncs: HashMap<_, _> = syncs.map(|sync| (sync.registry.as_str(), sync)).collect();
    let feed_of = |name: &str| paused.iter().find(|feed| feed.registry == name);
    if output.json {
        let one = |row: &RegistryRow| {
            let sync = syncs.get(row.name.as_str()).copied();
            describe(row, &bound, sync, feed_of(&row.name))
        };
        output.json(&all.iter().map(one).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "TYPE", "ADDRESS", "SCOPES", "REQUESTS", "BREAKER", "FEED"]);
    for row in &all {
        let upstream = syncs.get(row.name.as_str()).and_then(|sync| sync.upstream.as_ref());
        let followers = engine.iter().flat_map(|engine| &engine.followers);
        let follower = followers.into_iter().find(|feed| feed.registry == row.name);
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
            feed_text(row, feed_of(&row.name), follower),
        ]);
    }
    output.line(table);
    Ok(Exit::Done)
}

/// Who paused it, when somebody did; else what the running server does about it.
fn feed_text(
    row: &RegistryRow,
    feed: Option<&feeds::FeedRow>,
    follower: Option<&FollowerStatus>,
) -> String {
    if let Some(feed) = feed
        && let (Some(who), Some(at_ms)) = (&feed.paused_by, feed.paused_at_ms)
    {
        return status::paused(who, at_ms, now_ms());
    }
    follower.map_or_else(
        || row.change_stream.clone(),
        |follower| status::feed_state(follower.state).to_owned(),
    )
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
fn describe(
    row: &RegistryRow,
    bound: &[ScopeRow],
    sync: Option<&RegistrySyncStatus>,
    feed: Option<&feeds::FeedRow>,
) -> Value {
    let own = bound.iter().filter(|scope| scope.registry == row.name);
    json!({
        "id": row.id,
        "name": row.name,
        "type": row.kind,
        "host": without_credentials(&row.host),
        "source": row.source,
        "userPrefix": row.user_prefix,
        "changeStream": row.change_stream,
        "hasAuthToken": row.token.is_some(),
        "rate": row.rate,
        "createdAtMs": row.created_at_ms,
        "updatedAtMs": row.updated_at_ms,
        "pausedBy": feed.and_then(|feed| feed.paused_by.as_deref()),
        "pausedAtMs": feed.and_then(|feed| feed.paused_at_ms),
        "scopes": own.map(|scope| scope.scope.as_str()).collect::<Vec<_>>(),
        "running": sync,
    })
}
