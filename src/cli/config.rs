//! `espejo config show | init | check`.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    arguments::GlobalArguments,
    exit::Exit,
    output::Output,
    problem::{Outcome, Problem},
    upstream,
};
use crate::config::{Config, Row, Source, template};

/// Commands of `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Settings in force and where each came from
    Show(ShowArguments),
    /// Write a file with every setting commented out
    Init(InitArguments),
    /// Read all settings and say what is wrong with them
    Check,
}

/// Arguments of `config show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Only this setting or section
    pub key: Option<String>,
    /// Only what differs from the defaults
    #[arg(long)]
    pub changed: bool,
}

/// Arguments of `config init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The file; `-` is standard output
    #[arg(default_value = "config.toml")]
    pub file: PathBuf,
}

/// Runs a `config` command.
///
/// # Errors
/// When the settings are refused or the file cannot be written.
pub fn run(command: &ConfigCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    match command {
        ConfigCommand::Show(arguments) => show(arguments, global, output),
        ConfigCommand::Init(arguments) => init(arguments, global, output),
        ConfigCommand::Check => check(global, output),
    }
}

fn show(arguments: &ShowArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let mut config = global.settings()?;
    upstream::add_stored(&mut config)?;
    if config.upstream.url.is_none() && !global.no_discovery {
        // npm takes a second, so it is asked only when the upstream is what was asked for.
        let ask_npm = arguments.key.as_deref().is_some_and(|key| key.starts_with("upstream"));
        upstream::add_discovered(&mut config, ask_npm)?;
    }
    let rows = chosen(&config, arguments)?;
    if output.json {
        let rows: Vec<_> = rows.iter().map(|row| row_json(row)).collect();
        output.json(&rows);
    } else {
        for line in table(&rows) {
            output.line(line);
        }
    }
    Ok(Exit::Done)
}

fn chosen<'a>(config: &'a Config, arguments: &ShowArguments) -> Result<Vec<&'a Row>, Problem> {
    let wanted = |row: &&Row| match &arguments.key {
        None => true,
        Some(key) => {
            let rest = row.setting.key.strip_prefix(key.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        }
    };
    let rows: Vec<&Row> = config.rows.iter().filter(wanted).collect();
    if rows.is_empty() {
        let key = arguments.key.as_deref().unwrap_or_default();
        let what = format!("there is no setting or section `{key}`");
        return Err(Problem::new(Exit::NotFound, "NOT_FOUND", what).hint("espejo config show"));
    }
    let changed = |row: &&Row| !arguments.changed || row.source != Source::Default;
    Ok(rows.into_iter().filter(changed).collect())
}

fn row_json(row: &Row) -> serde_json::Value {
    json!({
        "key": row.setting.key,
        "value": row.shown(),
        "source": row.source.layer(),
        "place": Some(row.source.place()).filter(|place| !place.is_empty()),
    })
}

fn table(rows: &[&Row]) -> Vec<String> {
    let shown: Vec<String> = rows
        .iter()
        .map(|row| match row.shown() {
            serde_json::Value::String(text) if text == "(hidden)" => text,
            value => value.to_string(),
        })
        .collect();
    let widest = shown.iter().map(String::len).max().unwrap_or_default().min(32);
    let line = |(row, value): (&&Row, &String)| {
        let (layer, place) = (row.source.layer(), row.source.place());
        let line = format!("{:<24} {value:<widest$}  {layer:<10}  {place}", row.setting.key);
        line.trim_end().to_owned()
    };
    rows.iter().zip(&shown).map(line).collect()
}

fn init(arguments: &InitArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let text = template::config_toml().context("the table of settings is wrong")?;
    let path = &arguments.file;
    if path.as_os_str() == "-" {
        output.raw(text.as_bytes());
        return Ok(Exit::Done);
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!global.yes);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => output
            .line(format_args!("Wrote {}; every setting in it is commented out", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Problem::failed(format!("{} is there already", path.display()))
                .hint("name another file, `-` for standard output, or --yes to overwrite it"));
        }
        Err(error) => {
            return Err(Problem::failed(format!("could not write {}", path.display())).why(error));
        }
    }
    Ok(Exit::Done)
}

fn check(global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let changed = config.rows.iter().filter(|row| row.source != Source::Default).count();
    let file = config.file.as_ref().map(|path| path.display().to_string());
    if output.json {
        output.json(&json!({ "ok": true, "file": file, "changed": changed }));
        return Ok(Exit::Done);
    }
    let file = file.map_or_else(|| "no file".into(), |path| format!("file {path}"));
    output.line(format_args!(
        "Settings are fine: {file}, {changed} of {} differ from the defaults",
        config.rows.len()
    ));
    Ok(Exit::Done)
}
