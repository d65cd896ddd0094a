//! Progress of one long operation: a bar, a line every ten seconds, or JSON lines.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use serde_json::json;

use super::{
    output::{Output, ProgressStyle},
    text,
};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Shows how far an operation is.
pub struct LongProgress<'a> {
    output: &'a Output,
    style: ProgressStyle,
    what: &'static str,
    bar: ProgressBar,
    last: Instant,
}

impl<'a> LongProgress<'a> {
    /// Counts things of one kind: `files`.
    #[must_use]
    pub fn new(output: &'a Output, what: &'static str) -> Self {
        let style = output.progress_style();
        let target = match style {
            ProgressStyle::Bars => ProgressDrawTarget::stderr_with_hz(10),
            _ => ProgressDrawTarget::hidden(),
        };
        let look = BarStyle::with_template("  {bar:20}  {pos}/{len} {msg}  about {eta} left")
            .unwrap_or_else(|_| BarStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(look.progress_chars("━╸ "));
        bar.set_message(what);
        Self { output, style, what, bar, last: Instant::now() }
    }

    /// So many of so many; a total of 0 is not known.
    pub fn show(&mut self, done: u64, total: u64) {
        if total > 0 {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
        if self.last.elapsed() < EVERY {
            return;
        }
        self.last = Instant::now();
        match self.style {
            ProgressStyle::Json => {
                self.output.json(&json!({ "type": "progress", "done": done, "total": total }));
            }
            ProgressStyle::Lines => {
                let (done, total) = (text::count(done), text::count(total));
                self.output.note(format_args!("{done} of {total} {}", self.what));
            }
            ProgressStyle::Bars | ProgressStyle::Silent => {}
        }
    }
}

impl Drop for LongProgress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
