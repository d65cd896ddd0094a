//! `espejo advisories load | list | status | clear`: what audits are told without any upstream.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use npm::PackageName;
use npm::advisory::osv::Record;
use serde_json::json;

use super::{
    arguments::GlobalArguments,
    exit::Exit,
    long::LongProgress,
    output::Output,
    place::{Place, ago},
    problem::{Outcome, Problem},
    text,
};
use crate::operations::advisories::{
    ClearAdvisories, CountAdvisories, ListAdvisories, PutAdvisories,
};

/// Records written at once: short enough for syncs in between.
const AT_ONCE: usize = 500;
/// What a request may carry, with room for escapes.
const BYTES_AT_ONCE: usize = 2 << 20;
/// Files that are no records are named up to here, then counted.
const NAMED_FILES: usize = 5;

/// Commands of `advisories`.
#[derive(Debug, Subcommand)]
pub enum AdvisoriesCommand {
    /// Read records in the OSV format; known ones are replaced, withdrawn ones forgotten
    Load(LoadArguments),
    /// What is known, by package
    List(ListArguments),
    /// How much is loaded
    Status,
    /// Forget all: audits are passed on to the upstream again
    Clear,
}

/// Arguments of `advisories load`.
#[derive(Debug, Args)]
pub struct LoadArguments {
    /// Files of one record, of a record a line (.jsonl), or folders of such files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Arguments of `advisories list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// Of this package only
    pub package: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub limit: i64,
    /// Only packages behind this one: the next page
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub after: String,
}

/// Runs an `advisories` command.
///
/// # Errors
/// When files cannot be read or the database cannot be used.
pub fn run(command: &AdvisoriesCommand, global: &GlobalArguments, output: &Output) -> Outcome {
    let place = Place::open(&global.settings()?)?;
    match command {
        AdvisoriesCommand::Load(arguments) => load(&place, arguments, output),
        AdvisoriesCommand::List(arguments) => list(&place, arguments, output),
        AdvisoriesCommand::Status => status(&place, output),
        AdvisoriesCommand::Clear => {
            let rows = place.run(ClearAdvisories {})?;
            match output.json {
                true => output.json(&json!({ "cleared": rows })),
                false => output.line("No advisories any more. Audits are passed on to upstream."),
            }
            Ok(Exit::Done)
        }
    }
}

/// What became of the files.
#[derive(Default)]
struct Loaded {
    records: usize,
    withdrawn: usize,
    packages: usize,
    /// Files and lines that are no records.
    refused: Vec<String>,
}

fn load(place: &Place, arguments: &LoadArguments, output: &Output) -> Outcome {
    let mut files = Vec::new();
    for path in &arguments.paths {
        collect(path, &mut files).map_err(|error| unreadable(path, &error))?;
    }
    files.sort();
    let mut progress = LongProgress::new(output, "files");
    let (mut loaded, mut waiting) = (Loaded::default(), Vec::new());
    for (number, file) in files.iter().enumerate() {
        let text = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
        for (at, record) in records_of(file, &text) {
            match Record::parse(record) {
                Ok(parsed) => {
                    loaded.records += 1;
                    loaded.withdrawn += usize::from(parsed.withdrawn);
                    waiting.push(String::from_utf8_lossy(record).into_owned());
                }
                Err(error) => loaded.refused.push(format!("{at}: {error}")),
            }
            let bytes: usize = waiting.iter().map(String::len).sum();
            if waiting.len() >= AT_ONCE || bytes >= BYTES_AT_ONCE {
                write(place, &mut waiting, &mut loaded)?;
            }
        }
        progress.show(number as u64 + 1, files.len() as u64);
    }
    write(place, &mut waiting, &mut loaded)?;
    drop(progress);
    tell(&loaded, output);
    Ok(if loaded.refused.is_empty() { Exit::Done } else { Exit::Partly })
}

/// Files below a folder that look like records; a file that was named is taken as it is.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let is_record = path.extension().is_some_and(|end| end == "json" || end == "jsonl");
        if path.is_dir() || is_record {
            collect(&path, files)?;
        }
    }
    Ok(())
}

/// The records of a file with the words for where they stand.
fn records_of<'t>(file: &Path, text: &'t [u8]) -> Vec<(String, &'t [u8])> {
    let name = file.display().to_string();
    if file.extension().is_none_or(|end| end != "jsonl") {
        return vec![(name, text)];
    }
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    filled.map(|(number, line)| (format!("{name}:{}", number + 1), line)).collect()
}

fn write(place: &Place, waiting: &mut Vec<String>, loaded: &mut Loaded) -> Result<(), Problem> {
    let records = std::mem::take(waiting);
    loaded.packages += place.run(PutAdvisories { records })?;
    Ok(())
}

fn tell(loaded: &Loaded, output: &Output) {
    if output.json {
        output.json(&json!({
            "records": loaded.records, "withdrawn": loaded.withdrawn,
            "packages": loaded.packages, "refused": loaded.refused,
        }));
        return;
    }
    for refused in loaded.refused.iter().take(NAMED_FILES) {
        output.note(format_args!("left out {refused}"));
    }
    if loaded.refused.len() > NAMED_FILES {
        output.note(format_args!("and {} more", loaded.refused.len() - NAMED_FILES));
    }
    output.line(format_args!(
        "Loaded {} records about {} packages ({} withdrawn, {} left out).",
        text::count(loaded.records as u64),
        text::count(loaded.packages as u64),
        loaded.withdrawn,
        loaded.refused.len()
    ));
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::usage(format!("cannot read {}", path.display())).why(error)
}

fn list(place: &Place, arguments: &ListArguments, output: &Output) -> Outcome {
    let package = arguments.package.as_deref().map(PackageName::parse).transpose();
    let package = package.map_err(|error| Problem::usage("the package").why(error))?;
    let (after, limit) = (arguments.after.clone(), arguments.limit);
    let found = place.run(ListAdvisories { package, after, limit })?;
    if output.json {
        output.json(&json!({ "advisories": found }));
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        output.line("No advisories. Load some: espejo advisories load PATH");
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PACKAGE", "RECORD", "SEVERITY", "VERSIONS", "TITLE"]);
    for row in &found {
        let of = &row.known.advisory;
        table.add_row([
            row.package.as_str(),
            &row.record,
            &of.severity,
            &of.vulnerable_versions,
            &of.title,
        ]);
    }
    output.line(table);
    Ok(Exit::Done)
}

fn status(place: &Place, output: &Output) -> Outcome {
    let counts = place.run(CountAdvisories {})?;
    if output.json {
        output.json(&counts);
        return Ok(Exit::Done);
    }
    match counts.loaded_at_ms {
        Some(at) => output.line(format_args!(
            "{} records about {} packages, the newest loaded {} ago. Audits are answered here.",
            text::count(counts.records.unsigned_abs()),
            text::count(counts.packages.unsigned_abs()),
            ago(at)
        )),
        None => output.line("No advisories. Audits are passed on to the upstream."),
    }
    Ok(Exit::Done)
}
