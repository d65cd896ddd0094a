//! `espejo scope`: which registry a scope belongs to. Scopes of `self` are private.

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;
use store::scopes::{SELF, ScopeRow};

use super::{
    arguments::GlobalArguments, exit::Exit, output::Output, problem::Outcome, registry::Rows,
};
use crate::registries::{Change, Done};

/// Commands of `scope`.
#[derive(Debug, Subcommand)]
pub enum ScopeCommand {
    /// All bound scopes
    List,
    /// Bind a scope to a registry; `self`: private, no upstream is ever asked for it
    Add(AddArguments),
    /// Let a scope go; its new names belong to `default` again
    Remove(ScopeArgument),
}

/// Arguments of `scope add`.
#[derive(Debug, Args)]
pub struct AddArguments {
    /// The scope, `@garden`
    pub scope: String,
    /// Name of the registry, or `self`
    #[arg(long, value_name = "NAME")]
    pub registry: String,
}

/// A scope.
#[derive(Debug, Args)]
pub struct ScopeArgument {
    /// The scope, `@garden`
    pub scope: String,
}

/// Runs a `scope` command.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub fn run(command: &ScopeCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let rows = Rows::open(&config)?;
    match command {
        ScopeCommand::List => list(&rows, output),
        ScopeCommand::Add(arguments) => {
            let scope = with_at(&arguments.scope);
            let registry = arguments.registry.clone();
            let done = rows.change(&config, Change::Bind { scope, registry, replace: true })?;
            if let Done::Scope(row) = done {
                bound(&row, output);
            }
            Ok(Exit::Done)
        }
        ScopeCommand::Remove(arguments) => {
            let scope = with_at(&arguments.scope);
            rows.change(&config, Change::Unbind { scope: scope.clone() })?;
            if output.json {
                output.json(&json!({ "removed": scope }));
            } else {
                output.line(format_args!("{scope} belongs to no registry of its own any more"));
            }
            Ok(Exit::Done)
        }
    }
}

fn bound(row: &ScopeRow, output: &Output) {
    if output.json {
        output.json(&json!({ "scope": row.scope, "registry": row.registry }));
    } else if row.registry == SELF {
        output.line(format_args!(
            "{} is private: no upstream is asked for it from now on",
            row.scope
        ));
    } else {
        output.line(format_args!("{} belongs to {}", row.scope, row.registry));
    }
}

fn with_at(scope: &str) -> String {
    format!("@{}", scope.trim_start_matches('@'))
}

fn list(rows: &Rows, output: &Output) -> Outcome {
    let bound = rows.scopes()?;
    if output.json {
        let one = |row: &ScopeRow| json!({ "scope": row.scope, "registry": row.registry });
        output.json(&bound.iter().map(one).collect::<Vec<_>>());
        return Ok(Exit::Done);
    }
    if bound.is_empty() {
        output.note("No scope is bound: every name belongs to default.");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SCOPE", "REGISTRY"]);
    for row in &bound {
        table.add_row([&row.scope, &row.registry]);
    }
    output.line(table);
    Ok(Exit::Done)
}
