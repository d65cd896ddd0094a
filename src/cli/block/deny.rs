//! `espejo block deny`: what the rules of the settings deny, and what others would.

use actors::deny::{DenyRules, learn::Learned};
use bytesize::ByteSize;
use clap::Args;
use comfy_table::{Table, presets};
use serde_json::json;
use store::Store;

use super::{ListArguments, Place, collect, say_more};
use crate::{
    blocked::BlockTarget,
    cli::{
        exit::Exit,
        output::Output,
        problem::{Outcome, Problem},
        runtime,
    },
    config::{Config, value::check_pattern},
    control::{
        denials::{Denials, under},
        messages::{DenialsAnswer, DenialsQuery, DeniedAnswer, TriedRules},
    },
};

/// Arguments of `block deny`.
#[derive(Debug, Args)]
pub struct DenyArguments {
    /// Try the rules given here in place of those of the settings
    #[arg(long)]
    pub dry_run: bool,
    /// As security.deny_names: a name, @scope/* or a pattern with *; may be repeated
    #[arg(long, value_name = "PATTERN", requires = "dry_run", value_parser = pattern)]
    pub name: Vec<String>,
    /// As security.deny_licences: an SPDX id, a pattern with *, or none; may be repeated
    #[arg(long, value_name = "LICENCE", requires = "dry_run")]
    pub licence: Vec<String>,
    /// As security.deny_larger_than: 10MiB
    #[arg(long, value_name = "SIZE", requires = "dry_run", default_value_t = ByteSize(0))]
    pub larger_than: ByteSize,
    /// As security.deny_install_scripts
    #[arg(long, requires = "dry_run")]
    pub install_scripts: bool,
    /// In place of security.deny_except; may be repeated
    #[arg(long, value_name = "PATTERN", requires = "dry_run", value_parser = pattern)]
    pub except: Vec<String>,
    #[command(flatten)]
    pub page: ListArguments,
}

fn pattern(text: &str) -> Result<String, String> {
    check_pattern(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

impl DenyArguments {
    /// What is tried; without a rule the settings' own ones are looked at.
    fn tried(&self) -> Option<TriedRules> {
        let tried = TriedRules {
            names: self.name.clone(),
            licences: self.licence.clone(),
            larger_than_bytes: self.larger_than.as_u64(),
            install_scripts: self.install_scripts,
            except: self.except.clone(),
        };
        (self.dry_run && tried != TriedRules::default()).then_some(tried)
    }
}

/// What is denied, or would be.
pub(super) fn list(
    config: &Config,
    place: &Place,
    arguments: &DenyArguments,
    output: &Output,
) -> Outcome {
    let tried = arguments.tried();
    let rules = under(&config.sync.policy, tried.as_ref());
    let (denied, next) = collect(&arguments.page, |after, limit| match place {
        Place::Remote(client) => {
            let after = after.map(|target| target.to_string());
            let query = DenialsQuery { tried: tried.clone(), after, limit: Some(limit) };
            let page = client.post::<_, DenialsAnswer>("denials", &query);
            let page = runtime::small()?.block_on(page)?;
            Ok((page.denied, page.next))
        }
        Place::Local { store, .. } => local(store, &rules, after.as_ref(), limit),
    })?;
    if output.json {
        output.json(&json!({ "denied": denied, "next": next }));
        return Ok(Exit::Done);
    }
    if denied.is_empty() {
        output.line("Nothing is denied.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["DENIED", "RULE", "FOUND"]);
    for version in &denied {
        table.add_row([&version.target, &version.rule, &version.found]);
    }
    output.line(table);
    say_more(output, next.as_deref());
    Ok(Exit::Done)
}

type Rows = (Vec<DeniedAnswer>, Option<String>);

/// A page without a server; manifests that were never read for rules are read now.
fn local(
    store: &Store,
    rules: &DenyRules,
    after: Option<&BlockTarget>,
    limit: usize,
) -> Result<Rows, Problem> {
    let read = || store.read_blocking(|rows| Denials::read(rows, rules, after, limit));
    let mut denials = read()?;
    if !denials.unread.is_empty() {
        let runtime = runtime::small()?;
        for name in &denials.unread {
            if let Some(learned) = runtime.block_on(Learned::read(store, name))? {
                store.writer_blocking()?.write_blocking(|rows| learned.save(rows))?;
            }
        }
        denials = read()?;
    }
    Ok((denials.page.rows, denials.page.next))
}
