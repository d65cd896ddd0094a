//! `espejo gc`: deletes what nothing refers to any more.

use actors::clock::now_ms;
use clap::Args;
use serde_json::json;
use store::maintenance::{self, GcOptions};

use super::{
    arguments::GlobalArguments, control::ControlClient, exit::Exit, open::DataFolder,
    output::Output, problem::Outcome, runtime, text,
};
use crate::control::messages::{GcAnswer, GcRequest};

/// Arguments of `gc`.
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Only say what would be deleted
    #[arg(long)]
    pub dry_run: bool,
}

/// Deletes unreferenced files and old finished tasks.
///
/// # Errors
/// When the store cannot be read or written.
pub fn run(arguments: &GcArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let dry_run = arguments.dry_run;
    let report: GcAnswer = match ControlClient::connect(&config)? {
        Some(client) => {
            runtime::small()?.block_on(client.operate("gc", &GcRequest { dry_run }, |_, _| {}))?
        }
        None => {
            let folder = DataFolder::lock(&config)?;
            let store = folder.open_store(&config)?;
            let options = GcOptions { dry_run, ..GcOptions::new(now_ms()) };
            let mut writer = store.writer_blocking()?;
            maintenance::gc_blocking(&store, &mut writer, &options)?.into()
        }
    };
    if output.json {
        output.json(&json!({ "type": "summary", "dry_run": dry_run, "report": report }));
        return Ok(Exit::Done);
    }
    let what = format!(
        "{} ({}) and {}",
        text::counted(report.blobs, "unreferenced file"),
        text::bytes(report.bytes),
        text::counted(report.tasks, "old finished task"),
    );
    if dry_run {
        output.line(format_args!(
            "Would delete {what}. Nothing was deleted; run again without --dry-run."
        ));
    } else {
        output.line(format_args!("Deleted {what}."));
    }
    Ok(Exit::Done)
}
