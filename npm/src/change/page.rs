//! Reading a page: the list first, then row by row, so that one row spoils no other.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Change, ChangesPage, PageError, Seq};
use crate::PackageName;
use crate::json::{each_member, string};

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    results: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    last_seq: Option<&'a RawValue>,
}

/// The members of a row that say something to us, raw; of duplicates the last.
#[derive(Default)]
struct Row<'a> {
    seq: Option<&'a str>,
    id: Option<&'a str>,
    deleted: bool,
    changes: Option<&'a str>,
    gmt_modified: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// `None` when it is no object.
    fn read(raw: &'a str) -> Option<Self> {
        let mut row = Self::default();
        let read = each_member(raw, |key, value| match key.as_ref() {
            "seq" => row.seq = Some(value),
            "id" => row.id = Some(value),
            "deleted" => row.deleted = value == "true",
            "changes" => row.changes = Some(value),
            "gmt_modified" => row.gmt_modified = Some(value),
            _ => {}
        });
        read.ok().map(|()| row)
    }
}

#[derive(Deserialize)]
struct Revision<'a> {
    #[serde(borrow, default)]
    rev: Option<Cow<'a, str>>,
}

pub(super) fn parse(body: &[u8]) -> Result<ChangesPage, PageError> {
    // A name with broken UTF-8 is no name; it must not hide the others.
    let text = String::from_utf8_lossy(body);
    let read: Page<'_> =
        serde_json::from_str(&text).map_err(|error| PageError(error.to_string()))?;
    let mut page = ChangesPage {
        rows: read.results.len(),
        changes: Vec::with_capacity(read.results.len()),
        last_seq: read.last_seq.and_then(|raw| seq(raw.get())),
        ..ChangesPage::default()
    };
    for raw in read.results {
        match Row::read(raw.get()) {
            Some(row) => page.add(&row),
            None => page.unreadable += 1,
        }
    }
    Ok(page)
}

impl ChangesPage {
    fn add(&mut self, row: &Row<'_>) {
        let number = row.seq.and_then(seq);
        let time = row.gmt_modified.and_then(time);
        let seq = match (number, time) {
            (_, Some(time)) => {
                self.by_time = true;
                Some(time)
            }
            (number, None) => number,
        };
        let name = row.id.and_then(string);
        match name.as_deref().map(PackageName::parse) {
            Some(Ok(name)) => self.changes.push(Change {
                seq,
                name,
                deleted: row.deleted,
                generation: row.changes.and_then(generation),
            }),
            _ => {
                // design documents of CouchDB are rows like others and no packages
                let is_design = name.is_some_and(|name| name.starts_with("_design/"));
                self.unreadable += usize::from(!is_design);
                self.skipped_to = self.skipped_to.max(seq);
            }
        }
    }
}

/// A number as a number, as text, or in front of an opaque text (`"123-g1AAAA…"`); old clusters
/// gave `[123, "g1AAAA…"]`.
fn seq(raw: &str) -> Option<Seq> {
    let text = raw.trim_start_matches(['"', '[', ' ']);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if raw.starts_with(|c: char| c.is_ascii_digit()) && !rest.is_empty() {
        return whole(raw.parse().ok()?);
    }
    digits.parse().ok().map(Seq)
}

/// `1e3` and `1000.0` are whole numbers too.
fn whole(number: f64) -> Option<Seq> {
    /// Every whole number below has a float of its own (2^53).
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = number.fract() == 0.0 && (0.0..EXACT).contains(&number);
    is_whole.then(|| format!("{number:.0}").parse().ok().map(Seq)).flatten()
}

/// A time as text, or as unix milliseconds.
fn time(raw: &str) -> Option<Seq> {
    let Some(text) = string(raw) else { return seq(raw) };
    let time = humantime::parse_rfc3339_weak(&text).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Seq)
}

/// The number in front of the newest revision.
fn generation(raw: &str) -> Option<u64> {
    let revisions: Vec<Revision<'_>> = serde_json::from_str(raw).ok()?;
    revisions.iter().filter_map(|revision| generation_of(revision.rev.as_deref()?)).max()
}

/// The number of a revision: `37` of `37-9f…`.
pub(super) fn generation_of(revision: &str) -> Option<u64> {
    revision.split_once('-')?.0.parse().ok()
}

pub(super) fn update_seq(root: &[u8]) -> Option<Seq> {
    let text = String::from_utf8_lossy(root);
    let mut found = None;
    each_member(&text, |key, value| {
        if key == "update_seq" {
            found = seq(value);
        }
    })
    .ok()?;
    found
}
