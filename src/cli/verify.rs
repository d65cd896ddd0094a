//! `espejo verify`: stored files against their digests; with `--repair` fetched again.

use std::time::Instant;

use actors::clock::now_ms;
use clap::Args;
use serde_json::json;
use store::{
    WriteFn,
    maintenance::{self, VerifyOptions, VerifyProgress},
};

use super::{
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    long::LongProgress,
    open::{DataFolder, write_blocking},
    output::Output,
    problem::Outcome,
    runtime, sync, text,
};
use crate::{
    config::Config,
    control::messages::{DamageAnswer, VerifyAnswer, VerifyRequest},
    repair,
    wanted::{Wanted, WantedPackages},
};

/// Damaged files named at the end.
const MOST_DAMAGED: usize = 20;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// Fetch what is damaged from upstream again; with names: only these
    #[arg(long, value_name = "NAME[@VERSION]", num_args = 0..)]
    pub repair: Option<Vec<String>>,
    /// Check only a part, chosen at random: 5%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub sample: Option<f64>,
}

/// `5%` or `0.05`; above 0, up to all.
fn percent(text: &str) -> Result<f64, String> {
    let rule = "must be a part like 5%, above 0% and up to 100%";
    let (number, factor) = match text.strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    let part = number.trim().parse::<f64>().map_err(|_| rule)? * factor;
    if part > 0.0 && part <= 1.0 { Ok(part) } else { Err(rule.into()) }
}

/// Checks stored files.
///
/// # Errors
/// When the check cannot be done; damage found is in the exit code.
pub fn run(arguments: &VerifyArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let named = arguments.repair.as_deref().map(WantedPackages::read).transpose()?;
    match ControlClient::connect(&config)? {
        Some(client) => through_server(arguments, client, output),
        None => alone(arguments.sample, named, config, global, output),
    }
}

fn through_server(arguments: &VerifyArguments, client: ControlClient, output: &Output) -> Outcome {
    let started = Instant::now();
    let request = VerifyRequest { sample: arguments.sample, repair: arguments.repair.clone() };
    let mut progress = LongProgress::new(output, "packages");
    let tell = |done, total| progress.show(done, total);
    let report: VerifyAnswer =
        runtime::small()?.block_on(client.operate("verify", &request, tell))?;
    drop(progress);
    say(&report, started, !report.repairing.is_empty(), output);
    match (report.damaged.is_empty(), report.repairing.is_empty()) {
        (true, _) => Ok(Exit::Done),
        (false, true) => Ok(Exit::CheckFailed),
        (false, false) => sync::watch(report.repairing, client, output),
    }
}

fn alone(
    sample: Option<f64>,
    named: Option<Vec<Wanted>>,
    config: Config,
    global: &GlobalArguments,
    output: &Output,
) -> Outcome {
    let started = Instant::now();
    let folder = DataFolder::lock(&config)?;
    let store = folder.open_store(&config)?;
    let seed = now_ms().unsigned_abs();
    let options = VerifyOptions { sample, seed };
    let mut progress = LongProgress::new(output, "packages");
    let report = maintenance::verify_blocking(&store, &options, &mut |now: VerifyProgress| {
        progress.show(now.packages, now.of_packages);
    })?;
    drop(progress);
    let mended = named.map_or_else(Vec::new, |named| repair::chosen(&report.damaged, &named));
    let damaged = !report.damaged.is_empty();
    say(&VerifyAnswer::new(report, Vec::new()), started, !mended.is_empty(), output);
    if mended.is_empty() {
        return Ok(if damaged { Exit::CheckFailed } else { Exit::Done });
    }
    let wanted = store.read_blocking(|rows| repair::wanted(rows, &mended))?;
    let write: WriteFn = Box::new(move |rows| maintenance::forget_damaged(rows, &mended));
    write_blocking(&store, vec![write])?;
    drop((store, folder)); // the sync below takes the lock itself
    sync::fetch(wanted, repair::options(), config, global, output)
}

fn repairable(damage: &DamageAnswer) -> String {
    match &damage.version {
        Some(version) => format!("{}@{version}", damage.name),
        None => damage.name.clone(),
    }
}

fn file_of(damage: &DamageAnswer) -> String {
    match damage.file.as_str() {
        "" => format!("document of {}", damage.name),
        file => file.to_owned(),
    }
}

fn say(report: &VerifyAnswer, started: Instant, repair: bool, output: &Output) {
    if output.json {
        let kind = if repair { "verified" } else { "summary" };
        output.json(&json!({
            "type": kind,
            "checked": report.checked,
            "bytes": report.bytes,
            "damaged": report.damaged,
        }));
        return;
    }
    let damaged = match report.damaged.len() {
        0 => "None damaged.".to_owned(),
        number => {
            let named = report.damaged.iter().take(MOST_DAMAGED);
            let named: Vec<String> =
                named.map(|damage| format!("{} ({})", file_of(damage), damage.kind)).collect();
            let more = if number > MOST_DAMAGED { ", and more with --json" } else { "" };
            format!("{number} damaged: {}{more}", named.join(", "))
        }
    };
    output.line(format_args!(
        "Verified {}, {} in {}. {damaged}",
        text::counted(report.checked, "file"),
        text::bytes(report.bytes),
        text::span(started.elapsed()),
    ));
    if !report.damaged.is_empty() && !repair {
        let words = report.damaged.iter().take(MOST_DAMAGED).map(repairable);
        let words: Vec<String> = words.collect();
        output.line(format_args!(
            "Nothing was changed. Repair from upstream: espejo verify --repair {}",
            words.join(" ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_read_as_percent_or_share() {
        assert_eq!(percent("5%"), Ok(0.05));
        assert_eq!(percent("0.25"), Ok(0.25));
        assert_eq!(percent("100%"), Ok(1.0));
        for text in ["0", "0%", "101%", "2", "-1%", "x", ""] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
