//! How a running `sync` looks: bars on a terminal, a line every ten seconds, or JSON lines.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use serde_json::json;
use store::{TaskId, TaskState};

use super::tracker::{Tracked, Tracker};
use crate::cli::{
    output::{Output, ProgressStyle},
    text,
};

/// Bars shown at once; the rest is counted in the last line.
const MOST_BARS: usize = 12;
/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Redraws a second.
const REDRAWS: u8 = 10;

/// Shows a running sync.
pub struct Progress<'a> {
    output: &'a Output,
    style: ProgressStyle,
    bars: Option<Bars>,
    started: Instant,
    last_line: Instant,
}

impl<'a> Progress<'a> {
    /// Starts as the flags and the terminal want it.
    #[must_use]
    pub fn new(output: &'a Output) -> Self {
        let style = output.progress_style();
        let bars = (style == ProgressStyle::Bars).then(Bars::new);
        let now = Instant::now();
        Self { output, style, bars, started: now, last_line: now }
    }

    /// A task of ours changed.
    pub fn changed(&mut self, id: TaskId, task: &Tracked, took: Duration) {
        if let (Some(bars), TaskState::Error) = (&self.bars, task.state) {
            bars.say_failed(task, took);
        }
        if self.style == ProgressStyle::Json && task.is_over() {
            self.output.json(&json!({
                "type": "package",
                "name": task.name,
                "task": id.0,
                "state": task.state,
                "error": task.error,
                "versions_new": task.summary.versions_new,
                "versions_here": task.summary.versions_here,
                "versions_failed": task.summary.versions_failed,
                "bytes": task.summary.bytes,
            }));
        }
    }

    /// Time went by.
    pub fn tick(&mut self, tracker: &Tracker) {
        if let Some(bars) = &mut self.bars {
            bars.draw(tracker);
            return;
        }
        if self.last_line.elapsed() < LINE_EVERY {
            return;
        }
        self.last_line = Instant::now();
        match self.style {
            ProgressStyle::Lines => {
                let took = text::span(self.started.elapsed());
                self.output.note(format_args!("{}, {took}", sentence(tracker)));
            }
            ProgressStyle::Json => {
                let totals = tracker.totals();
                self.output.json(&json!({ "type": "progress", "totals": totals }));
            }
            ProgressStyle::Bars | ProgressStyle::Silent => {}
        }
    }

    /// A line above the bars.
    pub fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| self.output.note(line)),
            None => self.output.note(line),
        }
    }

    /// Takes the bars away.
    pub fn finish(&mut self) {
        if let Some(bars) = self.bars.take() {
            // A terminal that went away needs no cleaning.
            let _ = bars.all.clear();
        }
    }
}

fn sentence(tracker: &Tracker) -> String {
    let totals = tracker.totals();
    let running = tracker.in_state(TaskState::Processing).count();
    let waiting = tracker.in_state(TaskState::Waiting).count();
    format!(
        "{running} running, {waiting} waiting, {} done, {} failed | {}",
        text::count(totals.synced),
        text::count(totals.failed),
        text::bytes(totals.bytes),
    )
}

struct Bars {
    all: MultiProgress,
    shown: HashMap<TaskId, ProgressBar>,
    last: ProgressBar,
    line: BarStyle,
    versions: BarStyle,
}

impl Bars {
    fn new() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(REDRAWS);
        let all = MultiProgress::with_draw_target(target);
        let line = style("  {prefix:<24!} {msg}");
        let versions = style(
            "  {prefix:<24!} {bar:20}  {pos}/{len} versions  {msg}  {per_sec}  about {eta} left",
        )
        .progress_chars("━╸ ");
        let last = all.add(ProgressBar::new_spinner().with_style(style("  {msg}")));
        Self { all, shown: HashMap::new(), last, line, versions }
    }

    /// Brings the bars up to date. Only here are they touched: a package that comes and goes
    /// between two ticks is never drawn, so drawing costs the same however many there are.
    fn draw(&mut self, tracker: &Tracker) {
        let running = |id: &TaskId| tracker.find(*id).is_some_and(|task| !task.is_over());
        let ended: Vec<TaskId> = self.shown.keys().filter(|id| !running(id)).copied().collect();
        for bar in ended.iter().filter_map(|id| self.shown.remove(id)) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        for (id, task) in tracker.in_state(TaskState::Processing) {
            if self.shown.len() < MOST_BARS && !self.shown.contains_key(id) {
                let bar = ProgressBar::new(0).with_style(self.line.clone());
                let bar = bar.with_prefix(task.name.clone());
                self.shown.insert(*id, self.all.insert_before(&self.last, bar));
            }
        }
        for (id, bar) in &self.shown {
            if let Some(task) = tracker.find(*id) {
                self.update(bar, task);
            }
        }
        self.last.set_message(sentence(tracker));
        self.last.tick();
    }

    fn update(&self, bar: &ProgressBar, task: &Tracked) {
        if task.total == 0 {
            let waits = task.error.as_deref().filter(|_| task.state == TaskState::Waiting);
            bar.set_message(match waits {
                Some(reason) => format!("waiting   {reason}"),
                None => task.state.to_string(),
            });
            return;
        }
        if bar.length() != Some(task.total) {
            bar.set_style(self.versions.clone());
            bar.set_length(task.total);
        }
        bar.set_position(task.done);
        bar.set_message(text::bytes(task.bytes));
    }

    /// Only what failed is worth a line that stays.
    fn say_failed(&self, task: &Tracked, took: Duration) {
        let reason = task.error.as_deref().unwrap_or("no reason was given");
        let line = format!("  {:<24} error     {reason} ({})", task.name, text::span(took));
        // A terminal that went away is no error.
        let _ = self.all.println(line);
    }
}

/// The templates above are fixed texts; a wrong one falls back to the plain look.
fn style(template: &str) -> BarStyle {
    BarStyle::with_template(template).unwrap_or_else(|_| BarStyle::default_bar())
}
