//! `espejo missing`: what upstream has and this mirror does not, and why.

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use store::completeness::Why;

use super::{
    arguments::GlobalArguments,
    control::ControlClient,
    exit::Exit,
    open::open_rows,
    output::Output,
    problem::{Outcome, Problem},
    runtime,
};
use crate::{
    config::Config,
    control::{
        messages::{MissingAnswer, MissingQuery},
        missing::Page,
    },
};

/// Arguments of `missing`.
#[derive(Debug, Args)]
pub struct MissingArguments {
    /// Only what is missing for this reason; gone: here, and taken away upstream
    #[arg(long)]
    pub why: Option<WhyArgument>,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1000))]
    pub limit: i64,
    /// Where the next page begins, as the last one said
    #[arg(long, value_name = "PLACE")]
    pub after: Option<String>,
}

/// `--why`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhyArgument {
    /// Nobody has asked for it yet.
    NeverFetched,
    /// Its task waits or runs.
    Waiting,
    /// It was tried and failed.
    Failed,
    /// It is left out on purpose.
    Skipped,
    /// Upstream took it away.
    Gone,
}

impl From<WhyArgument> for Why {
    fn from(why: WhyArgument) -> Self {
        match why {
            WhyArgument::NeverFetched => Self::NeverFetched,
            WhyArgument::Waiting => Self::Waiting,
            WhyArgument::Failed => Self::Failed,
            WhyArgument::Skipped => Self::Skipped,
            WhyArgument::Gone => Self::Gone,
        }
    }
}

/// Lists what is missing.
///
/// # Errors
/// For a place that is none, or when the mirror cannot be read.
pub fn run(arguments: &MissingArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings()?;
    let query = MissingQuery {
        why: arguments.why.map(Why::from),
        limit: Some(arguments.limit),
        after: arguments.after.clone(),
    };
    let answer = ask(&config, &query)?;
    if output.json {
        output.json(&answer);
        return Ok(Exit::Done);
    }
    if answer.missing.is_empty() {
        output.line("Nothing is missing that this mirror knows of.");
        return Ok(Exit::Done);
    }
    output.line(table(&answer));
    if let Some(next) = &answer.next {
        output.note(format_args!("More: espejo missing --after '{next}'"));
    }
    Ok(Exit::Done)
}

fn ask(config: &Config, query: &MissingQuery) -> Result<MissingAnswer, Problem> {
    if let Some(client) = ControlClient::connect(config)? {
        return runtime::small()?.block_on(client.find("missing", query));
    }
    let page = Page::of(query).map_err(Problem::usage)?;
    match open_rows(config)? {
        Some(store) => Ok(store.read_blocking(|rows| page.read(rows))?),
        None => Ok(MissingAnswer::default()),
    }
}

fn table(answer: &MissingAnswer) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["PACKAGE", "VERSION", "WHY", "REASON"]);
    for gap in &answer.missing {
        table.add_row([
            gap.name.as_str(),
            gap.version.as_deref().unwrap_or("-"),
            words(gap.why),
            gap.reason.as_deref().unwrap_or("-"),
        ]);
    }
    table
}

fn words(why: Why) -> &'static str {
    match why {
        Why::NeverFetched => "never fetched",
        Why::Waiting => "waiting",
        Why::Failed => "failed",
        Why::Skipped => "skipped",
        Why::Gone => "gone upstream",
    }
}
