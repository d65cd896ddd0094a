//! `espejo bench sync | serve`: this machine against a simulated upstream, without any network.
//!
//! The verdict comes first; a missed `--fail-if` is exit code 6.

mod child;
mod limit;
pub mod load;
mod serve;
mod sync;
mod usage;

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use self::limit::{Figure, Limit};
pub use self::sync::own_peak_bytes;
use super::{
    exit::Exit,
    output::{Output, Paint},
    problem::{Outcome, Problem},
};
use crate::{
    config::value::parse_duration,
    simulated::{CorpusSettings, SimulatedUpstream},
};

/// Arguments of `bench`; without a command it measures serving.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArguments {
    /// What to measure
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
    /// Arguments of `bench serve`
    #[command(flatten)]
    pub serve: ServeArguments,
}

/// Commands of `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Packages synced a second, cold and unchanged
    Sync(SyncArguments),
    /// Requests answered a second
    Serve(ServeArguments),
    /// The simulated upstream alone; ends when standard input closes
    #[command(hide = true)]
    Upstream(CorpusArguments),
}

/// What is generated.
#[derive(Debug, Clone, Args)]
pub struct CorpusArguments {
    /// Generated packages
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub packages: u32,
    /// The same seed gives the same packages
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
}

impl CorpusArguments {
    fn packages(&self) -> usize {
        usize::try_from(self.packages).unwrap_or(usize::MAX)
    }
}

/// Where it runs and when it fails.
#[derive(Debug, Clone, Args)]
pub struct CommonArguments {
    /// Exit with 6 when a figure misses a limit: 'p99>5ms', 'versions<500/s'; repeatable
    #[arg(long, value_name = "LIMIT")]
    pub fail_if: Vec<Limit>,
    /// Folder on the disk to measure; a scratch folder is made in it and removed
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Arguments of `bench sync`.
#[derive(Debug, Args)]
pub struct SyncArguments {
    /// What is generated
    #[command(flatten)]
    pub corpus: CorpusArguments,
    /// How often; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99))]
    pub runs: u8,
    /// Where it runs and when it fails
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `bench serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// What is generated
    #[command(flatten)]
    pub corpus: CorpusArguments,
    /// How long
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub duration: Duration,
    /// Connections at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub connections: u16,
    /// Where it runs and when it fails
    #[command(flatten)]
    pub common: CommonArguments,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Runs a measurement.
///
/// # Errors
/// When it cannot be done; missed limits are in the exit code.
pub fn run(arguments: &BenchArguments, output: &Output) -> Outcome {
    match &arguments.command {
        Some(BenchCommand::Upstream(corpus)) => upstream(corpus, output),
        Some(BenchCommand::Sync(arguments)) => {
            limit::check(&arguments.common.fail_if, &sync::FIGURES).map_err(Problem::usage)?;
            let folder = Scratch::make(arguments.common.dir.as_deref())?;
            let (packages, seed) = (arguments.corpus.packages(), arguments.corpus.seed);
            output.note(format_args!(
                "Syncing {packages} generated packages {} times, cold and unchanged",
                arguments.runs
            ));
            let runs = usize::from(arguments.runs);
            let figures = sync::measure(&folder.0, packages, seed, runs)?;
            judge("sync", &figures, &arguments.common.fail_if, output)
        }
        Some(BenchCommand::Serve(arguments)) => measure_serving(arguments, output),
        None => measure_serving(&arguments.serve, output),
    }
}

fn measure_serving(arguments: &ServeArguments, output: &Output) -> Outcome {
    limit::check(&arguments.common.fail_if, &serve::FIGURES).map_err(Problem::usage)?;
    let folder = Scratch::make(arguments.common.dir.as_deref())?;
    let load = serve::Load {
        packages: arguments.corpus.packages(),
        seed: arguments.corpus.seed,
        connections: usize::from(arguments.connections),
        duration: arguments.duration,
    };
    output.note(format_args!(
        "Filling a mirror with {} generated packages, then asking it over {} connections",
        load.packages, load.connections
    ));
    let figures = serve::measure(&folder.0, load)?;
    judge("serve", &figures, &arguments.common.fail_if, output)
}

fn upstream(corpus: &CorpusArguments, output: &Output) -> Outcome {
    let settings = CorpusSettings { seed: corpus.seed, packages: corpus.packages() };
    let upstream = SimulatedUpstream::start(settings).context("cannot serve the packages")?;
    output.json(&json!({
        "type": "ready",
        "url": upstream.url(),
        "packages": settings.packages,
        "versions": upstream.corpus().versions,
        "tarball_bytes": upstream.corpus().tarball_bytes,
        "typical_tarball": upstream.corpus().typical_tarball,
    }));
    // Whoever started this holds the other end; it closes when they end, however they end.
    let mut end = Vec::new();
    std::io::stdin().read_to_end(&mut end).context("cannot read standard input")?;
    Ok(Exit::Done)
}

fn judge(kind: &str, figures: &[Figure], limits: &[Limit], output: &Output) -> Outcome {
    let verdicts: Result<Vec<_>, String> =
        limits.iter().map(|limit| limit.judge(figures)).collect();
    let verdicts = verdicts.map_err(Problem::usage)?;
    let missed = verdicts.iter().any(|verdict| verdict.missed);
    let exit = if missed { Exit::CheckFailed } else { Exit::Done };
    if output.json {
        let figures: serde_json::Map<String, serde_json::Value> = figures
            .iter()
            .map(|figure| {
                (figure.name.to_owned(), json!({ "value": figure.value, "unit": figure.unit }))
            })
            .collect();
        output.json(
            &json!({ "type": "summary", "bench": kind, "pass": !missed, "figures": figures }),
        );
        return Ok(exit);
    }
    let judged = verdicts.iter().map(|verdict| verdict.text.clone());
    let named = |figure: &&Figure| {
        !verdicts.iter().any(|verdict| verdict.text.starts_with(&format!("{} ", figure.name)))
    };
    let rest =
        figures.iter().filter(named).map(|figure| format!("{} {}", figure.name, figure.shown()));
    let word = match (limits.is_empty(), missed) {
        (true, _) => "DONE".to_owned(),
        (false, false) => output.painted("PASS", Paint::Good),
        (false, true) => output.painted("FAIL", Paint::Bad),
    };
    let figures: Vec<String> = judged.chain(rest).collect();
    output.line(format_args!("{word}  {}   (loopback, this machine only)", figures.join("   ")));
    Ok(exit)
}

/// A folder that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn make(parent: Option<&Path>) -> Result<Self, Problem> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = parent.join(format!("espejo-bench-{}", Uuid::now_v7().simple()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind only when somebody else works in it; then it is theirs.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
