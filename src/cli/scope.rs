//! `espejo scope`: which registry a scope belongs to. Scopes of `self` are private.

use actors::clock::now_ms;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use npm::PackageName;
use serde_json::json;
use store::scopes::{self, SELF, ScopeRow};

use super::{
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    problem::{Outcome, Problem},
    registry::Rows,
};

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
            let scope = checked(&arguments.scope)?;
            let registry = arguments.registry.clone();
            let known = registry == SELF || rows.all()?.iter().any(|row| row.name == registry);
            if !known {
                return Err(Problem::new(
                    Exit::NotFound,
                    "NOT_FOUND",
                    format!("there is no registry {registry}"),
                )
                .hint(format!("espejo registry add {registry} --url URL, or --registry self")));
            }
            let row = ScopeRow { scope, registry, created_at_ms: now_ms() };
            let shown = row.clone();
            rows.write(&config, Box::new(move |connection| scopes::upsert(connection, &row)))?;
            if output.json {
                output.json(&json!({ "scope": shown.scope, "registry": shown.registry }));
            } else if shown.registry == SELF {
                output.line(format_args!(
                    "{} is private: no upstream is asked for it from now on",
                    shown.scope
                ));
            } else {
                output.line(format_args!("{} belongs to {}", shown.scope, shown.registry));
            }
            Ok(Exit::Done)
        }
        ScopeCommand::Remove(arguments) => {
            let scope = checked(&arguments.scope)?;
            if !rows.scopes()?.iter().any(|row| row.scope == scope) {
                return Err(Problem::new(
                    Exit::NotFound,
                    "NOT_FOUND",
                    format!("{scope} is bound to no registry"),
                )
                .hint("espejo scope list"));
            }
            let shown = scope.clone();
            rows.write(
                &config,
                Box::new(move |connection| scopes::delete(connection, &scope).map(drop)),
            )?;
            if output.json {
                output.json(&json!({ "removed": shown }));
            } else {
                output.line(format_args!("{shown} belongs to no registry of its own any more"));
            }
            Ok(Exit::Done)
        }
    }
}

/// The scope with its `@`, when it can be one.
fn checked(scope: &str) -> Result<String, Problem> {
    let scope = format!("@{}", scope.trim_start_matches('@'));
    PackageName::parse(&format!("{scope}/name"))
        .map(|_| scope.clone())
        .map_err(|error| Problem::usage(format!("`{scope}` is no scope")).why(error))
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
