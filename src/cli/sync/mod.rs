//! `espejo sync NAME[@version]...`: fetch packages now, show progress, say what was done.
//!
//! Works through the running server when there is one; else it opens the store under the folder
//! lock and runs an engine in this process until its tasks have ended.

mod mirror;
mod names;
mod progress;
mod tracker;

use std::{
    io::{self, BufReader},
    path::PathBuf,
    time::{Duration, Instant},
};

use actors::clock::now_ms;
use clap::Args;
use serde_json::json;

use self::{
    mirror::{Heard, Mirror},
    progress::Progress,
    tracker::{Totals, Tracker},
};
use super::{
    arguments::GlobalArguments,
    bench::own_peak_bytes,
    control::ControlClient,
    exit::Exit,
    open::DataFolder,
    output::Output,
    problem::{Outcome, Problem},
    runtime,
    signals::Interrupts,
    text, upstream,
};
use crate::{
    config::Config,
    control::messages::{SyncOptions, TaskAnswer},
    wanted::{Wanted, WantedPackages},
};

/// Time between two looks at the table, in case events were missed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same while dependencies may turn up.
const LOOK_FOR_DEPENDENCIES_EVERY: Duration = Duration::from_millis(300);
/// Time between two redraws.
const TICK: Duration = Duration::from_millis(100);
/// Open tasks read in one look.
const MOST_LOOKED_AT: usize = 50;
/// Failures named at the end.
const MOST_FAILURES: usize = 20;

/// Arguments of `sync`.
#[derive(Debug, Args)]
pub struct SyncArguments {
    /// Packages: lamp, lamp@0.3.1, lamp@^1 (all that satisfy), @garden/ui@next; `-` reads names from
    /// standard input
    #[arg(value_name = "NAME[@VERSION]", required_unless_present = "from_lockfile")]
    pub names: Vec<String>,
    /// Also what they depend on
    #[arg(long)]
    pub deps: bool,
    /// Packages and versions of a package-lock.json
    #[arg(long, value_name = "FILE")]
    pub from_lockfile: Vec<PathBuf>,
    /// Ask upstream as if nothing were here
    #[arg(long)]
    pub force: bool,
    /// Upstream registry, when it is not known yet
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
}

impl SyncArguments {
    fn wanted(&self) -> Result<Vec<Wanted>, Problem> {
        let mut wanted = WantedPackages::default();
        for name in &self.names {
            if name == "-" {
                names::add_lines(&mut wanted, BufReader::new(io::stdin().lock()))?;
            } else {
                wanted.add(name)?;
            }
        }
        for path in &self.from_lockfile {
            names::add_lockfile(&mut wanted, path)?;
        }
        let wanted = wanted.into_vec();
        if wanted.is_empty() {
            return Err(Problem::usage("there is no package name to sync")
                .hint("espejo sync NAME, or names on standard input with: espejo sync -"));
        }
        Ok(wanted)
    }

    fn options(&self) -> SyncOptions {
        SyncOptions { dependencies: self.deps, force: self.force, tips: None }
    }
}

/// Syncs packages.
///
/// # Errors
/// When nothing could be started; packages that fail are in the exit code.
pub fn run(arguments: &SyncArguments, global: &GlobalArguments, output: &Output) -> Outcome {
    let config = global.settings_with(&[("upstream.url", &arguments.upstream, "--upstream")])?;
    let wanted = arguments.wanted()?;
    fetch(wanted, arguments.options(), config, global, output)
}

/// Syncs packages; also how `verify --repair` fetches again.
///
/// # Errors
/// As [`run`].
pub fn fetch(
    wanted: Vec<Wanted>,
    options: SyncOptions,
    config: Config,
    global: &GlobalArguments,
    output: &Output,
) -> Outcome {
    runtime::small()?.block_on(async {
        let interrupts = Interrupts::listen()?;
        let mirror = open(config, global).await?;
        let dependencies = options.dependencies;
        let tasks = mirror.enqueue(wanted, options).await?;
        Run::new(mirror, output, dependencies).finish(tasks, interrupts).await
    })
}

/// Watches tasks of the running server to their end.
///
/// # Errors
/// When it goes away.
pub fn watch(tasks: Vec<TaskAnswer>, client: ControlClient, output: &Output) -> Outcome {
    runtime::small()?.block_on(async {
        let interrupts = Interrupts::listen()?;
        let mirror = Mirror::remote(client).await?;
        let mut run = Run::new(mirror, output, false);
        // They may have ended before anybody listened: the table is read at once.
        run.looked = None;
        run.finish(tasks, interrupts).await
    })
}

async fn open(mut config: Config, global: &GlobalArguments) -> Result<Mirror, Problem> {
    if let Some(client) = ControlClient::connect(&config)? {
        return Mirror::remote(client).await;
    }
    let folder = DataFolder::lock(&config)?;
    let store = folder.open_store(&config)?;
    upstream::complete(&mut config, &store, !global.no_discovery)?;
    let settings = upstream::settings(&config, &store)?.ok_or_else(super::problem::no_upstream)?;
    Mirror::local(&config, settings, store, folder).await
}

/// One `sync` under way.
struct Run<'a> {
    mirror: Mirror,
    output: &'a Output,
    /// Whether tasks of dependencies are followed too.
    dependencies: bool,
    tracker: Tracker,
    progress: Progress<'a>,
    started: Instant,
    since_ms: i64,
    looked: Option<Instant>,
}

impl<'a> Run<'a> {
    fn new(mirror: Mirror, output: &'a Output, dependencies: bool) -> Self {
        Self {
            mirror,
            output,
            dependencies,
            tracker: Tracker::default(),
            progress: Progress::new(output),
            started: Instant::now(),
            since_ms: now_ms(),
            looked: Some(Instant::now()),
        }
    }

    async fn finish(mut self, tasks: Vec<TaskAnswer>, mut interrupts: Interrupts) -> Outcome {
        for task in tasks {
            self.tracker.follow(task.id, &task.name, task.state);
        }
        let mut ticks = tokio::time::interval(TICK);
        let mut interrupted = false;
        while !interrupted && !self.is_done().await? {
            tokio::select! {
                biased;
                () = interrupts.next() => interrupted = true,
                heard = self.mirror.heard() => match heard? {
                    Heard::Event(event) => self.event(&event),
                    Heard::Missed => self.look(usize::MAX).await?,
                },
                _ = ticks.tick() => {
                    self.progress.tick(&self.tracker);
                    if self.looked.is_none_or(|looked| looked.elapsed() > self.look_every()) {
                        self.look(MOST_LOOKED_AT).await?;
                    }
                }
            }
        }
        self.end(interrupted).await
    }

    fn look_every(&self) -> Duration {
        if self.dependencies { LOOK_FOR_DEPENDENCIES_EVERY } else { LOOK_EVERY }
    }

    /// Whether nothing is open; dependencies are looked up in the table before that is believed.
    async fn is_done(&mut self) -> Result<bool, Problem> {
        if self.tracker.open() == 0 && self.dependencies {
            self.look(MOST_LOOKED_AT).await?;
        }
        Ok(self.tracker.open() == 0)
    }

    fn event(&mut self, event: &actors::EngineEvent) {
        let took = self.started.elapsed();
        if let Some((id, task)) = self.tracker.event(event) {
            self.progress.changed(id, task, took);
        }
        if let actors::EngineEvent::Parked { reason } = event {
            self.progress.say(&format!("fetching paused: {reason}"));
        }
    }

    /// Reads the table: the truth when events were missed, and where dependencies turn up.
    ///
    /// `most` bounds how many tasks are asked for; the others follow in later looks.
    async fn look(&mut self, most: usize) -> Result<(), Problem> {
        self.looked = Some(Instant::now());
        if self.dependencies {
            for task in self.mirror.dependencies_since(self.since_ms).await? {
                self.tracker.follow(task.id, &task.name, task.state);
                self.row(&task);
            }
        }
        let table = self.mirror.tasks();
        for id in self.tracker.open_ids().into_iter().take(most) {
            if let Some(task) = table.find(id).await? {
                self.row(&task);
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &TaskAnswer) {
        let took = self.started.elapsed();
        if let Some(task) = self.tracker.row(row) {
            self.progress.changed(row.id, task, took);
        }
    }

    async fn end(mut self, interrupted: bool) -> Outcome {
        self.progress.finish();
        let goes_on = self.mirror.goes_on();
        for event in self.mirror.stop().await {
            self.tracker.event(&event);
        }
        let ended = Ended {
            took: self.started.elapsed(),
            totals: self.tracker.totals(),
            exit: if interrupted { Exit::Interrupted } else { self.tracker.exit() },
        };
        if self.output.json {
            ended.say_json(self.output);
        }
        if !interrupted && let Some(problem) = self.tracker.nothing_synced() {
            if ended.totals.failed > 1 && !self.output.json {
                say_failures(&self.tracker, self.output);
            }
            return Err(problem);
        }
        if !self.output.json {
            say_failures(&self.tracker, self.output);
            self.output.line(ended.totals.sentence(ended.took));
        }
        if interrupted {
            say_interrupted(self.tracker.open(), goes_on, self.output);
        }
        Ok(ended.exit)
    }
}

/// How a `sync` ended.
struct Ended {
    took: Duration,
    totals: Totals,
    exit: Exit,
}

impl Ended {
    fn say_json(&self, output: &Output) {
        output.json(&json!({
            "type": "summary",
            "totals": self.totals,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "peak_bytes": own_peak_bytes(),
            "exit": self.exit.number(),
        }));
    }
}

fn say_interrupted(open: usize, goes_on: bool, output: &Output) {
    let rest = text::counted(u64::try_from(open).unwrap_or_default(), "package");
    output.error(if goes_on {
        format!("Stopped watching. The mirror goes on with {rest}: espejo task list")
    } else {
        format!("Stopped. What is synced is kept; {rest} waiting in the queue for the next start.")
    });
}

fn say_failures(tracker: &Tracker, output: &Output) {
    let failures = tracker.failures();
    for (name, reason) in failures.iter().take(MOST_FAILURES) {
        output.error(format_args!("  {name:<24} {reason}"));
    }
    if failures.len() > MOST_FAILURES {
        let more = failures.len() - MOST_FAILURES;
        output.error(format_args!("  and {more} more: espejo task list --state error"));
    }
}
