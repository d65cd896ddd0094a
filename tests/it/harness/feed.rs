//! A scripted changes feed for [`super::FakeUpstream`]: rows, numbers, and what goes wrong with
//! numbers.
//!
//! As npm's: a name has one row, the newest; `since` is exclusive; more than 10,000 rows at once
//! are refused; the root tells `update_seq`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::FakeUpstream;

/// Path of its pages.
pub const CHANGES: &str = "/_changes";

/// The feed of a fake upstream; clones are the same feed.
#[derive(Clone, Default)]
pub struct FakeFeed(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    rows: BTreeMap<i64, Row>,
    last: i64,
    /// Added to the number the root tells.
    head_shift: i64,
    /// The root tells no number.
    headless: bool,
    /// Back ends that answer in turn, each with its own numbers: shifts of ours.
    back_ends: Vec<i64>,
    requests: usize,
    /// Most rows in a page, whatever is asked for.
    most_rows: Option<usize>,
    /// Answers in place of pages, used up one by one.
    scripted: Vec<String>,
    /// `since` of every page asked for.
    asked: Vec<(i64, usize)>,
}

#[derive(Clone)]
struct Row {
    name: String,
    /// Number of the document's revision; `None`: the row says no number.
    generation: Option<u64>,
    deleted: bool,
}

/// An answer: status and body.
pub type Answered = (u16, Bytes);

impl FakeFeed {
    /// Opens a feed on an upstream, its first number behind `last`.
    pub fn open(upstream: &FakeUpstream, last: i64) -> Self {
        let feed = Self::default();
        feed.0.lock().last = last;
        let (pages, root) = (feed.clone(), feed.clone());
        upstream.respond(CHANGES, move |query| pages.page(query));
        upstream.respond("/", move |_| root.root());
        feed
    }

    /// A name changed: its row is the newest now. Answers with the number.
    pub fn change(&self, name: &str) -> i64 {
        self.add(name, false)
    }

    /// All of these names changed, in their order.
    pub fn change_all(&self, names: &[String]) {
        for name in names {
            self.change(name);
        }
    }

    /// The same with the number of the document's revision.
    pub fn change_to(&self, name: &str, generation: u64) -> i64 {
        let seq = self.change(name);
        if let Some(row) = self.0.lock().rows.get_mut(&seq) {
            row.generation = Some(generation);
        }
        seq
    }

    /// A name was deleted.
    pub fn delete(&self, name: &str) -> i64 {
        self.add(name, true)
    }

    fn add(&self, name: &str, deleted: bool) -> i64 {
        let mut state = self.0.lock();
        let before = state.rows.iter().find(|(_, row)| row.name == name).map(|(&seq, _)| seq);
        if let Some(seq) = before {
            state.rows.remove(&seq);
        }
        // gaps, as in the real one
        state.last += 1 + state.last % 3;
        let seq = state.last;
        state.rows.insert(seq, Row { name: name.to_owned(), generation: None, deleted });
        seq
    }

    /// The newest number.
    pub fn last(&self) -> i64 {
        self.0.lock().last
    }

    /// The next number is so much higher (or lower) than it would have been; rows keep theirs.
    pub fn skip(&self, numbers: i64) {
        self.0.lock().last += numbers;
    }

    /// All rows get new numbers, in their order, behind `last`.
    pub fn renumber(&self, last: i64) {
        let mut state = self.0.lock();
        let rows = std::mem::take(&mut state.rows);
        let rows: BTreeMap<_, _> = (last + 1..).zip(rows.into_values()).collect();
        state.last = rows.keys().last().copied().unwrap_or(last);
        state.rows = rows;
    }

    /// The root tells a number so much higher than the last row's.
    pub fn shift_head(&self, numbers: i64) {
        self.0.lock().head_shift = numbers;
    }

    /// The root tells no number.
    pub fn hide_head(&self) {
        self.0.lock().headless = true;
    }

    /// Back ends with these numberings answer in turn, page by page.
    pub fn alternate(&self, shifts: &[i64]) {
        self.0.lock().back_ends = shifts.to_vec();
    }

    /// No page has more rows, whatever was asked for.
    pub fn most_rows(&self, rows: usize) {
        self.0.lock().most_rows = Some(rows);
    }

    /// The next pages are these texts.
    pub fn script(&self, pages: impl IntoIterator<Item = String>) {
        let mut state = self.0.lock();
        state.scripted.extend(pages);
        state.scripted.reverse();
    }

    /// Scripted pages that nobody asked for yet.
    pub fn scripted_left(&self) -> usize {
        self.0.lock().scripted.len()
    }

    /// `since` and `limit` of every page asked for.
    pub fn asked(&self) -> Vec<(i64, usize)> {
        self.0.lock().asked.clone()
    }

    fn page(&self, query: &str) -> Answered {
        let mut state = self.0.lock();
        let number = |key: &str| {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            pair.and_then(|value| value.parse::<i64>().ok())
        };
        let known = |pair: &str| pair.starts_with("since=") || pair.starts_with("limit=");
        let (Some(since), limit) = (number("since"), number("limit").unwrap_or(10_000)) else {
            return refused("since must be a number");
        };
        if !query.split('&').all(known) || !(1..=10_000).contains(&limit) {
            return refused(query);
        }
        state.asked.push((since, usize::try_from(limit).expect("a small number")));
        if let Some(text) = state.scripted.pop() {
            return (200, Bytes::from(text));
        }
        let shift = match state.back_ends.len() {
            0 => 0,
            back_ends => state.back_ends[state.requests % back_ends],
        };
        state.requests += 1;
        let most =
            state.most_rows.unwrap_or(usize::MAX).min(usize::try_from(limit).expect("small"));
        let rows: Vec<Value> = state
            .rows
            .range(since.saturating_sub(shift).saturating_add(1)..)
            .take(most)
            .map(|(seq, row)| row.json(seq + shift))
            .collect();
        // beyond the head it echoes what was asked
        let last = rows.last().map_or(json!(since), |row| row["seq"].clone());
        (200, Bytes::from(json!({ "results": rows, "last_seq": last }).to_string()))
    }

    fn root(&self) -> Answered {
        let state = self.0.lock();
        let mut root = json!({ "db_name": "registry", "engine": "scripted" });
        if !state.headless {
            let shift = match state.back_ends.len() {
                0 => 0,
                back_ends => state.back_ends[state.requests % back_ends],
            };
            root["update_seq"] = json!(state.last + state.head_shift + shift);
        }
        (200, Bytes::from(root.to_string()))
    }
}

impl Row {
    fn json(&self, seq: i64) -> Value {
        let number = self.generation.map_or_else(|| "no".to_owned(), |number| number.to_string());
        let rev = format!("{number}-0123456789abcdef");
        let mut row = json!({ "seq": seq, "id": self.name, "changes": [{ "rev": rev }] });
        if self.deleted {
            row["deleted"] = json!(true);
        }
        row
    }
}

fn refused(why: &str) -> Answered {
    (400, Bytes::from(json!({ "error": "bad_request", "reason": why }).to_string()))
}
