//! `espejo backup DIR` and `espejo restore DIR`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use store::maintenance;

use super::{
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    open::{DataFolder, store_settings},
    output::Output,
    problem::{Outcome, Problem},
    runtime,
};
use crate::control::messages::{BackupAnswer, BackupRequest};

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// The folder to write; it must not hold anything yet
    pub dir: PathBuf,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// A folder that `espejo backup` has written
    pub dir: PathBuf,
}

/// Copies everything to a folder; safe while the mirror runs.
///
/// # Errors
/// When the folder is not empty or something cannot be copied.
pub fn backup(arguments: &BackupArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let dir = std::path::absolute(&arguments.dir).context("cannot find the folder")?;
    must_be_empty(&dir, "a backup is written to an empty folder only")?;
    if let Some(client) = ControlClient::connect(&config)? {
        let request = BackupRequest { dir: dir.display().to_string() };
        let _: BackupAnswer =
            runtime::small()?.block_on(client.operate("backup", &request, |_, _| {}))?;
    } else {
        let folder = DataFolder::lock(&config)?;
        let store = folder.open_store(&config)?;
        maintenance::backup_blocking(&store, &dir)?;
    }
    if output.json {
        output.json(&json!({ "type": "summary", "dir": dir }));
    } else {
        output.line(format_args!(
            "Backed up to {}. Put it back into an empty data folder: espejo restore {}",
            dir.display(),
            dir.display()
        ));
    }
    Ok(Exit::Done)
}

/// Puts a backup into an empty data folder.
///
/// # Errors
/// When the data folder is in use or not empty, or something cannot be copied.
pub fn restore(arguments: &RestoreArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let data = &config.storage.path;
    must_be_empty(data, "a backup is restored into an empty data folder only")?;
    let _folder = DataFolder::lock(&config)?;
    maintenance::restore_blocking(&arguments.dir, &store_settings(&config)?)?;
    if output.json {
        output.json(&json!({ "type": "summary", "data": data }));
    } else {
        output.line(format_args!("Restored {} into {}", arguments.dir.display(), data.display()));
    }
    Ok(Exit::Done)
}

fn must_be_empty(folder: &Path, rule: &str) -> Result<(), Problem> {
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries.filter_map(Result::ok),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(Problem::failed(format!("cannot read {}", folder.display())).why(error));
        }
    };
    // The lock file stays behind when a folder was only looked at.
    match entries.find(|entry| entry.file_name() != "espejo.lock") {
        None => Ok(()),
        Some(_) => Err(Problem::failed(format!("{} is not empty", folder.display()))
            .why(rule)
            .hint("name another folder")),
    }
}
