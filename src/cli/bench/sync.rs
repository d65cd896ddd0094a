//! `espejo bench sync`: a cold sync and one where nothing changed, from the simulated upstream.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{
    child,
    limit::Figure,
    usage::{Usage, children_processor},
};
use crate::simulated::{CorpusSettings, package_names};

/// The figures: packages and versions of the cold run, processor time for each version, most
/// memory, and packages of the run where nothing had changed.
pub const FIGURES: [&str; 6] = ["versions", "packages", "throughput", "cpu", "memory", "unchanged"];

/// What one sync of the whole corpus gave.
#[derive(Debug, Clone, Copy)]
struct Sync {
    took: Duration,
    processor: Duration,
    peak_bytes: u64,
    totals: Totals,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Totals {
    synced: u64,
    versions_new: u64,
    versions_failed: u64,
    failed: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct Summary {
    totals: Totals,
    peak_bytes: Option<u64>,
}

/// Runs the measurement `runs` times and gives the figures of the median cold run.
///
/// # Errors
/// When a process does not start or a sync is not complete.
pub fn measure(
    folder: &Path,
    packages: usize,
    seed: u64,
    runs: usize,
) -> anyhow::Result<Vec<Figure>> {
    let upstream = child::simulated_upstream(packages, seed)?;
    let names = folder.join("names");
    let list = package_names(CorpusSettings { seed, packages }).join("\n");
    std::fs::write(&names, list).context("cannot write the list of names")?;
    let mut cold = Vec::with_capacity(runs);
    let mut unchanged = Vec::with_capacity(runs);
    for run in 0..runs.max(1) {
        let data = folder.join(format!("data-{run}"));
        let first = sync(&data, &names, &upstream.url)?;
        if first.totals.failed + first.totals.versions_failed > 0 {
            bail!("the cold sync was not complete: {} packages failed", first.totals.failed);
        }
        cold.push(first);
        let second = sync(&data, &names, &upstream.url)?;
        if second.totals.versions_new > 0 {
            bail!("the second sync fetched {} versions again", second.totals.versions_new);
        }
        unchanged.push(second);
        std::fs::remove_dir_all(&data).context("cannot remove a data folder of the measurement")?;
    }
    Ok(figures(median(cold), median(unchanged)))
}

fn median(mut runs: Vec<Sync>) -> Option<Sync> {
    runs.sort_unstable_by_key(|run| run.took);
    runs.get(runs.len() / 2).copied()
}

fn sync(data: &Path, names: &Path, upstream: &str) -> anyhow::Result<Sync> {
    let mut command: Command = child::myself()?;
    command.args(["--json", "--progress", "never", "--config", "/dev/null", "--data"]).arg(data);
    command.args(["sync", "-", "--upstream", upstream]);
    command.stdin(std::fs::File::open(names).context("cannot read the list of names")?);
    let before = children_processor();
    let started = Instant::now();
    let output = command.output().context("cannot start a sync")?;
    let took = started.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let summary: Summary = serde_json::from_str(last).with_context(|| {
        format!("the sync said {last:?}; {}", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    Ok(Sync {
        took,
        processor: children_processor().saturating_sub(before),
        peak_bytes: summary.peak_bytes.unwrap_or_default(),
        totals: summary.totals,
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures are shown with three digits")]
fn figures(cold: Option<Sync>, unchanged: Option<Sync>) -> Vec<Figure> {
    let (Some(cold), Some(unchanged)) = (cold, unchanged) else { return Vec::new() };
    let seconds = cold.took.as_secs_f64();
    let versions = cold.totals.versions_new as f64;
    let again = unchanged.totals.synced as f64 / unchanged.took.as_secs_f64();
    vec![
        Figure::new("versions", versions / seconds, "/s"),
        Figure::new("packages", cold.totals.synced as f64 / seconds, "/s"),
        Figure::new("throughput", cold.totals.bytes as f64 / seconds / 1_048_576.0, "MiB/s"),
        Figure::new("cpu", cold.processor.as_secs_f64() * 1_000.0 / versions.max(1.0), "ms"),
        Figure::new("memory", cold.peak_bytes as f64 / 1_048_576.0, "MiB"),
        Figure::new("unchanged", again, "/s"),
    ]
}

/// Memory of this process for the summary of a sync that is being measured.
#[must_use]
pub fn own_peak_bytes() -> Option<u64> {
    Usage::of(std::process::id()).map(|usage| usage.peak_bytes)
}
