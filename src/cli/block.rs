//! `espejo block add | remove | list | hold | deny | release`: what readers are refused, by a
//! person, for its age or by a rule.

mod deny;
mod hold;

use actors::clock::now_ms;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;
use store::{Store, StoreError, WriteFn, blocks};

use super::{
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    open::{DataFolder, write_blocking},
    output::Output,
    place::by,
    problem::{Outcome, Problem},
    runtime, text,
};
use crate::{
    blocked::BlockTarget,
    config::Config,
    control::messages::{BlockAnswer, BlockRequest, BlocksAnswer, BlocksQuery, DoneAnswer},
};

/// Commands of `block`.
#[derive(Debug, Subcommand)]
pub enum BlockCommand {
    /// Refuse a package, or one version of it, with 451 from now on
    Add(AddArguments),
    /// Lift a block
    #[command(visible_alias = "rm")]
    Remove(TargetArgument),
    /// All blocks by name
    List(ListArguments),
    /// Versions that are held back because they are young, or would be
    Hold(hold::HoldArguments),
    /// Versions that rules of the settings deny, or would
    Deny(deny::DenyArguments),
    /// Give a version out that is held back or denied
    Release(hold::ReleaseArguments),
}

/// Arguments of `block add`.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// NAME, or NAME@VERSION
    pub target: String,
    /// Why; clients are told
    #[arg(long)]
    pub reason: String,
}

/// What is blocked.
#[derive(Debug, Args)]
pub struct TargetArgument {
    /// NAME, or NAME@VERSION
    pub target: String,
}

/// Arguments of `block list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub limit: i64,
    /// Only those behind this one: the next page
    #[arg(long, value_name = "NAME[@VERSION]")]
    pub after: Option<String>,
}

/// Runs a `block` command.
///
/// # Errors
/// When the name is none or the mirror cannot be reached.
pub fn run(command: &BlockCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let place = Place::open(&config)?;
    match command {
        BlockCommand::Add(arguments) => add(&place, arguments, output),
        BlockCommand::Remove(arguments) => remove(&place, arguments, output),
        BlockCommand::List(arguments) => list(&place, arguments, output),
        BlockCommand::Hold(arguments) => hold::list(&config, &place, arguments, output),
        BlockCommand::Deny(arguments) => deny::list(&config, &place, arguments, output),
        BlockCommand::Release(arguments) => hold::release(&place, arguments, output),
    }
}

/// The running server, else the store under the folder lock.
enum Place {
    Remote(ControlClient),
    Local { store: Store, _folder: DataFolder },
}

impl Place {
    fn open(config: &Config) -> Result<Self, Problem> {
        if let Some(client) = ControlClient::connect(config)? {
            return Ok(Self::Remote(client));
        }
        let folder = DataFolder::lock(config)?;
        Ok(Self::Local { store: folder.open_store(config)?, _folder: folder })
    }
}

/// Asks for pages until there are enough rows; answers them and where the list goes on.
fn collect<T>(
    page: &ListArguments,
    mut ask: impl FnMut(Option<BlockTarget>, usize) -> Result<(Vec<T>, Option<String>), Problem>,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut next = page.after.clone();
    let mut all = Vec::new();
    loop {
        let after = next.as_deref().map(target).transpose()?;
        let (rows, behind) = ask(after, limit.saturating_sub(all.len()))?;
        all.extend(rows);
        next = behind;
        if next.is_none() || all.len() >= limit {
            return Ok((all, next));
        }
    }
}

/// Says how to see what did not fit.
fn say_more(output: &Output, next: Option<&str>) {
    if let Some(next) = next {
        output.note(format_args!("There is more: add --after {next}"));
    }
}

fn target(text: &str) -> Result<BlockTarget, Problem> {
    text.parse().map_err(|error: crate::blocked::NoTarget| {
        Problem::usage(error.to_string()).hint("espejo block add NAME[@VERSION] --reason TEXT")
    })
}

fn add(place: &Place, arguments: &AddArguments, output: &Output) -> Outcome {
    let target = target(&arguments.target)?;
    let reason = arguments.reason.trim().to_owned();
    if reason.is_empty() {
        return Err(Problem::usage("--reason must not be empty"));
    }
    match place {
        Place::Remote(client) => {
            let request = BlockRequest { target: target.to_string(), reason };
            let done = client.post::<_, DoneAnswer>("blocks", &request);
            runtime::small()?.block_on(done)?;
        }
        Place::Local { store, .. } => {
            let of = target.clone();
            let write: WriteFn = Box::new(move |rows| {
                blocks::add_by(rows, &of.name, &of.version, &reason, &by()).map(drop)
            });
            write_blocking(store, vec![write])?;
        }
    }
    if output.json {
        output.json(&json!({ "blocked": target.to_string() }));
    } else {
        output.line(format_args!(
            "Blocked {target}. Clients now get 451 with your reason. Undo: espejo block remove {target}"
        ));
    }
    Ok(Exit::Done)
}

fn remove(place: &Place, arguments: &TargetArgument, output: &Output) -> Outcome {
    let target = target(&arguments.target)?;
    let found = match place {
        Place::Remote(client) => {
            let (target, reason) = (target.to_string(), String::new());
            let request = BlockRequest { target, reason };
            let done = client.post::<_, DoneAnswer>("blocks/remove", &request);
            runtime::small()?.block_on(done)?.ok
        }
        Place::Local { store, .. } => {
            let of = target.clone();
            let mut writer = store.writer_blocking()?;
            writer
                .write_blocking(move |rows| blocks::remove_by(rows, &of.name, &of.version, &by()))?
        }
    };
    if !found {
        return Err(Problem::failed(format!("{target} is not blocked")).hint("espejo block list"));
    }
    if output.json {
        output.json(&json!({ "unblocked": target.to_string() }));
    } else {
        output.line(format_args!("{target} is served again."));
    }
    Ok(Exit::Done)
}

fn list(place: &Place, arguments: &ListArguments, output: &Output) -> Outcome {
    let after = arguments.after.as_deref().map(target).transpose()?;
    let found = match place {
        Place::Remote(client) => {
            let after = after.map(|target| target.to_string());
            let query = BlocksQuery { after, limit: Some(arguments.limit) };
            runtime::small()?.block_on(client.find::<_, BlocksAnswer>("blocks", &query))?.blocks
        }
        Place::Local { store, .. } => read(store, after, arguments.limit)?,
    };
    if output.json {
        output.json(&json!({ "blocks": found }));
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        output.line("Nothing is blocked.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["BLOCKED", "BY", "AGE", "REASON"]);
    for block in &found {
        let age = text::age(now_ms().saturating_sub(block.created_at_ms).max(0).unsigned_abs());
        table.add_row([&block.target, &block.kind, &age, &block.reason]);
    }
    output.line(table);
    Ok(Exit::Done)
}

fn read(
    store: &Store,
    after: Option<BlockTarget>,
    limit: i64,
) -> Result<Vec<BlockAnswer>, StoreError> {
    store.read_blocking(move |rows| BlockAnswer::list(rows, after.as_ref(), limit))
}
