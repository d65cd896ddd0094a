//! Standard output carries results, standard error the rest.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::ValueEnum;
use serde::Serialize;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColourChoice {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` say otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProgressChoice {
    /// Bars on a terminal, lines otherwise.
    #[default]
    Auto,
    /// A line every ten seconds.
    Plain,
    /// Nothing.
    Never,
}

/// How progress is shown in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressStyle {
    /// Bars that vanish.
    Bars,
    /// A line every ten seconds.
    Lines,
    /// JSON lines on standard output.
    Json,
    /// Nothing.
    Silent,
}

/// Where and how a command speaks.
#[derive(Debug)]
pub struct Output {
    /// `--json`.
    pub json: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// How often `--verbose` was given.
    pub verbose: u8,
    colour: ColourChoice,
    progress: ProgressChoice,
    stdout_closed: AtomicBool,
}

impl Output {
    /// From the global flags.
    #[must_use]
    pub fn new(
        json: bool,
        quiet: bool,
        verbose: u8,
        colour: ColourChoice,
        progress: ProgressChoice,
    ) -> Self {
        Self { json, quiet, verbose, colour, progress, stdout_closed: AtomicBool::new(false) }
    }

    /// A line of the result. A reader that went away is no error: the rest is left unsaid.
    pub fn line(&self, text: impl Display) {
        if self.stdout_closed.load(Ordering::Relaxed) {
            return;
        }
        let mut stdout = io::stdout().lock();
        if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
            self.stdout_closed.store(true, Ordering::Relaxed);
        }
    }

    /// A JSON document or JSON line of the result.
    pub fn json(&self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.note(format!("could not write JSON: {error}")),
        }
    }

    /// Text without a line break added, for files written to standard output.
    pub fn raw(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        if stdout.write_all(bytes).and_then(|()| stdout.flush()).is_err() {
            self.stdout_closed.store(true, Ordering::Relaxed);
        }
    }

    /// A line beside the result; `--quiet` silences it.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// A line beside the result that is always said.
    pub fn error(&self, text: impl Display) {
        // Nobody is left to tell when standard error is gone too.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// How progress is shown.
    #[must_use]
    pub fn progress_style(&self) -> ProgressStyle {
        match self.progress {
            ProgressChoice::Never => ProgressStyle::Silent,
            _ if self.json => ProgressStyle::Json,
            _ if self.quiet => ProgressStyle::Silent,
            ProgressChoice::Auto if io::stderr().is_terminal() && !dumb() => ProgressStyle::Bars,
            _ => ProgressStyle::Lines,
        }
    }

    /// Whether text on standard error is coloured.
    #[must_use]
    pub fn colour_on_stderr(&self) -> bool {
        wants_colour(self.colour, io::stderr().is_terminal())
    }

    /// Whether text on standard output is coloured.
    #[must_use]
    pub fn colour_on_stdout(&self) -> bool {
        wants_colour(self.colour, io::stdout().is_terminal())
    }

    /// A word in the colour of its meaning, on standard output.
    #[must_use]
    pub fn painted(&self, text: &str, paint: Paint) -> String {
        if self.colour_on_stdout() {
            format!("\x1b[{}m{text}\x1b[0m", paint.code())
        } else {
            text.to_owned()
        }
    }
}

/// Colours by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Fine.
    Good,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
        }
    }
}

fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn wants_colour(choice: ColourChoice, terminal: bool) -> bool {
    match choice {
        ColourChoice::Always => true,
        ColourChoice::Never => false,
        ColourChoice::Auto => {
            let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            terminal && !refused && !dumb()
        }
    }
}
