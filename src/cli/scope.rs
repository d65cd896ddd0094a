//! `espejo scope`: which registry a scope belongs to. Scopes of `self` are private.

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;
use store::scopes::SELF;

use super::{
    arguments::GlobalArguments, exit::Exit, output::Output, place::Place, problem::Outcome,
};
use crate::operations::registries::{ChangeRegistries, ListRegistries, ShownScope};
use crate::registries::Change;

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
    let place = Place::open(&config)?;
    match command {
        ScopeCommand::List => list(&place, output),
        ScopeCommand::Add(arguments) => {
            let scope = with_at(&arguments.scope);
            let registry = arguments.registry.clone();
            let change = Change::Bind { scope, registry, replace: true };
            if let Some(row) = place.run(ChangeRegistries { change })?.scope {
                bound(&row, output);
            }
            Ok(Exit::Done)
        }
        ScopeCommand::Remove(arguments) => {
            let scope = with_at(&arguments.scope);
            place.run(ChangeRegistries { change: Change::Unbind { scope: scope.clone() } })?;
            if output.json {
                output.json(&json!({ "removed": scope }));
            } else {
                output.line(format_args!("{scope} belongs to no registry of its own any more"));
            }
            Ok(Exit::Done)
        }
    }
}

fn bound(row: &ShownScope, output: &Output) {
    if output.json {
        output.json(row);
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

fn list(place: &Place, output: &Output) -> Outcome {
    let bound = place.run(ListRegistries {})?.scopes;
    if output.json {
        output.json(&bound);
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
