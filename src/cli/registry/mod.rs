//! `espejo registry`: the upstream registries, with and without a running server.
//!
//! Tokens go in and never come out.

mod test;

use std::collections::HashMap;

use actors::{
    EngineStatus, changes_follower::FollowerStatus, clock::now_ms,
    registry_sync::RegistrySyncStatus,
};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use store::registries::DEFAULT;

use super::{
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    place::Place,
    problem::{Outcome, Problem},
    runtime, status, upstream,
};
use crate::{
    config::{Config, value, without_credentials},
    control::messages::StatusAnswer,
    discovery,
    operations::registries::{
        AllRegistries, ChangeRegistries, ListRegistries, ShownRegistry, ShownScope,
    },
    registries::{self as registry, Change, KINDS},
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
    let place = Place::open(&config)?;
    match command {
        RegistryCommand::List => list(&config, &place, output),
        RegistryCommand::Add(arguments) => {
            let host = Some(arguments.url.as_str());
            let traits = arguments.traits.read(&place, &arguments.name, host)?;
            let (name, host) = (arguments.name.clone(), arguments.url.clone());
            let done = change(&place, Change::Add { name, host, traits })?;
            said(done.as_ref(), "Added", output)
        }
        RegistryCommand::Set(arguments) => {
            let traits =
                arguments.traits.read(&place, &arguments.name, arguments.url.as_deref())?;
            let (name, host) = (arguments.name.clone(), arguments.url.clone());
            let done = change(&place, Change::Set { name, host, traits })?;
            said(done.as_ref(), "Changed", output)
        }
        RegistryCommand::Remove(arguments) => {
            let name = arguments.name.clone();
            change(&place, Change::Remove { name, with_scopes: false })?;
            if output.json {
                output.json(&json!({ "removed": arguments.name }));
            } else {
                output.line(format_args!("Removed registry {}", arguments.name));
            }
            Ok(Exit::Done)
        }
        RegistryCommand::Pause(arguments) => {
            let name = arguments.name.clone();
            let done = change(&place, Change::Pause { name })?;
            said(done.as_ref(), "Paused the feed of", output)
        }
        RegistryCommand::Resume(arguments) => {
            let change = Change::Resume { name: arguments.name.clone(), since: arguments.since };
            let done = self::change(&place, change)?;
            said(done.as_ref(), "Resumed the feed of", output)
        }
        RegistryCommand::Test(_) => Ok(Exit::Done), // above
    }
}

/// Makes a change; answers with the registry as it is then.
fn change(place: &Place, change: Change) -> Result<Option<ShownRegistry>, Problem> {
    Ok(place.run(ChangeRegistries { change })?.registry)
}

fn said(done: Option<&ShownRegistry>, what: &str, output: &Output) -> Outcome {
    if let Some(row) = done {
        if output.json {
            output.json(&describe(row, &[], None));
        } else {
            let host = &row.host;
            let host = if host.is_empty() { String::new() } else { format!(": {host}") };
            output.line(format_args!("{what} registry {}{host}", row.name));
        }
    }
    Ok(Exit::Done)
}

impl Traits {
    /// What the flags say, with the token out of its file.
    fn read(
        &self,
        place: &Place,
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
            None if self.token_from_npmrc => Some(npm_token(place, name, url)?),
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
fn npm_token(place: &Place, name: &str, url: Option<&str>) -> Result<String, Problem> {
    let known = place.run(ListRegistries {})?.registries;
    let known = known.into_iter().find(|row| row.name == name || row.id == name);
    let stored = known.map(|row| row.host).filter(|host| !host.is_empty());
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

fn list(config: &Config, place: &Place, output: &Output) -> Outcome {
    let engine = running(place)?;
    let AllRegistries { registries: mut all, scopes: bound } = place.run(ListRegistries {})?;
    let configured = config.upstream.url.as_ref().filter(|_| config.remote.is_none());
    for row in all.iter_mut().filter(|row| row.name == DEFAULT && row.host.is_empty()) {
        row.host = configured.map_or_else(String::new, |url| without_credentials(url.as_str()));
    }
    let syncs = engine.iter().flat_map(|engine| &engine.syncs);
    let syncs: HashMap<_, _> = syncs.map(|sync| (sync.registry.as_str(), sync)).collect();
    if output.json {
        let one =
            |row: &ShownRegistry| describe(row, &bound, syncs.get(row.name.as_str()).copied());
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
            row.host.clone(),
            scopes_of(row, &bound),
            upstream.map_or_else(|| "-".to_owned(), status::rate),
            upstream.map_or_else(
                || "-".to_owned(),
                |upstream| status::breaker(upstream.breaker, upstream.breaker_opens_in_ms),
            ),
            feed_text(row, follower),
        ]);
    }
    output.line(table);
    Ok(Exit::Done)
}

/// Who paused it, when somebody did; else what the running server does about it.
fn feed_text(row: &ShownRegistry, follower: Option<&FollowerStatus>) -> String {
    if let (Some(who), Some(at_ms)) = (&row.paused_by, row.paused_at_ms) {
        return status::paused(who, at_ms, now_ms());
    }
    follower.map_or_else(
        || row.change_stream.clone(),
        |follower| status::feed_state(follower.state).to_owned(),
    )
}

fn running(place: &Place) -> Result<Option<EngineStatus>, Problem> {
    let Some(server) = place.server() else { return Ok(None) };
    let answer: StatusAnswer = runtime::small()?.block_on(server.get("status"))?;
    Ok(serde_json::from_value(answer.engine).ok())
}

fn scopes_of(row: &ShownRegistry, bound: &[ShownScope]) -> String {
    let own = bound.iter().filter(|scope| scope.registry == row.name);
    let own: Vec<_> = own.map(|scope| scope.scope.as_str()).collect();
    match (row.name.as_str(), own.is_empty()) {
        (DEFAULT, true) => "all others".to_owned(),
        (_, true) => "-".to_owned(),
        _ => own.join(" "),
    }
}

/// A registry as JSON, with its scopes and what the running server does about it.
fn describe(row: &ShownRegistry, bound: &[ShownScope], sync: Option<&RegistrySyncStatus>) -> Value {
    let own = bound.iter().filter(|scope| scope.registry == row.name);
    let mut shown = json!(row);
    if let Value::Object(fields) = &mut shown {
        let scopes = own.map(|scope| scope.scope.as_str()).collect::<Vec<_>>();
        fields.insert("scopes".to_owned(), json!(scopes));
        fields.insert("running".to_owned(), json!(sync));
    }
    shown
}
