//! Secrets of the whole run: none of them may stand in a line that the program logs, in this
//! process or in a child, or in the answer that refuses the request it came with.
//!
//! Every secret is learned where it passes the harness: in headers and bodies of requests, in
//! answers, in settings. A log line that holds one ends the run at once, because whatever thread
//! wrote it, no test would notice its panic.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Once;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber, span};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Shorter texts stand everywhere.
const SHORTEST: usize = 8;

/// Fields of JSON bodies that hold secrets.
const FIELDS: [&str; 7] = ["password", "token", "authToken", "secret", "old", "new", "otp"];
/// Fields of addresses that let somebody in who knows them.
const LINKS: [&str; 3] = ["loginUrl", "doneUrl", "link"];

/// Keeps a secret; from now on nobody may say it.
pub fn keep(secret: &str) {
    let core = core(secret);
    let first = core.chars().next();
    // a row of one letter is a long name at the same time
    if core.len() < SHORTEST || core.contains("...") || core.chars().all(|c| Some(c) == first) {
        return;
    }
    if !KNOWN.read().iter().any(|known| known == core) {
        KNOWN.write().push(core.to_owned());
    }
}

/// The first and last characters of a token are shown on purpose.
fn core(secret: &str) -> &str {
    match secret.strip_prefix("npm_") {
        Some(_) => secret.get(8..secret.len().saturating_sub(4)).unwrap_or(secret),
        None => secret,
    }
}

/// Keeps what an `Authorization` header says.
pub fn keep_authorization(value: &str) {
    match value.split_once(' ') {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => {
            let text = STANDARD.decode(text).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            keep(text.split_once(':').map_or("", |(_, password)| password));
        }
        Some((_, token)) => keep(token),
        None => keep(value),
    }
}

/// Keeps the secrets of a body; one that is no JSON has none.
pub fn keep_body(body: &[u8]) {
    if let Ok(body) = serde_json::from_slice(body) {
        keep_fields(&body);
    }
}

fn keep_fields(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if FIELDS.contains(&name.as_str()) => keep(text),
                    Some(url) if LINKS.contains(&name.as_str()) => {
                        keep(url.rsplit('/').next().unwrap_or_default());
                    }
                    _ => keep_fields(value),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(keep_fields),
        _ => {}
    }
}

/// The first secret of the run that a text holds.
pub fn found_in(text: &str) -> Option<String> {
    KNOWN.read().iter().find(|secret| text.contains(secret.as_str())).cloned()
}

/// Fails when a text holds a secret of the run.
#[track_caller]
pub fn absent_from(what: &str, text: &str) {
    if let Some(secret) = found_in(text) {
        let line = text.lines().find(|line| line.contains(&secret));
        panic!("{what} holds the secret {secret:?}: {}", line.unwrap_or(text));
    }
}

/// Looks at every log line of this process from now on.
pub fn watch() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let ours = ["espejo", "actors", "store", "npm"];
        let filter = Targets::new()
            .with_default(LevelFilter::DEBUG)
            .with_targets(ours.map(|target| (target, LevelFilter::TRACE)));
        let watched = tracing_subscriber::registry().with(Watch.with_filter(filter));
        watched.try_init().expect("nobody else takes the logs of the tests");
    });
}

struct Watch;

impl<S: Subscriber> Layer<S> for Watch {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        let mut line = Line::default();
        attributes.record(&mut line);
        line.judge(attributes.metadata().target());
    }

    fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        values.record(&mut line);
        line.judge("a span");
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        line.judge(event.metadata().target());
    }
}

/// The fields of a log line as text.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").expect("a string takes all");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, "{field}={value} ").expect("a string takes all");
    }
}

impl Line {
    fn judge(&self, target: &str) {
        if let Some(secret) = found_in(&self.0) {
            let text = format!("\nthe secret {secret:?} was logged by {target}: {}\n", self.0);
            // past the capture of the test harness, which ends with this process
            let _ = std::io::stderr().write_all(text.as_bytes());
            std::process::abort();
        }
    }
}
