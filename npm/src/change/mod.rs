//! Rows of a changes feed: reading a page in every dialect, and folding it to one row a name.
//!
//! npm's feed numbers its rows, takes `since` as exclusive and says `last_seq`; the feed of a
//! cnpmcore takes `since` as inclusive and says no `last_seq`; the older cnpmjsorg has times
//! (`gmt_modified`) in place of numbers. A page is read without being told which it is.
//!
//! A row is only a hint that something about a name moved. So whatever is odd about one row
//! costs that row at most, never the page: numbers as text, `null`, beyond 2^53, rows that are no
//! objects, names that are none. Numbers have gaps by design (a name's earlier row goes away when
//! it changes again) and are never counted.

mod page;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use crate::PackageName;

/// The most rows npm's feed gives in one page.
pub const MAX_PAGE_ROWS: u32 = 10_000;

/// A page shorter than this ends at the head of the feed: dialects that choose the size of their
/// pages themselves give 1,000 rows.
const FULL_PAGE_ROWS: usize = 1_000;

/// A row numbered this far beyond the head is believed as news, but not as a number. The largest
/// jump seen in npm's feed was 21.3 million.
const FARTHEST_JUMP: i64 = 100_000_000;

/// A place in an upstream's feed: a number, or a time in unix milliseconds. Never mixed with our
/// own numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(i64);

impl Seq {
    /// The place before every row.
    pub const START: Self = Self(0);

    /// From a stored number; below 0 counts as 0.
    #[must_use]
    pub fn new(number: i64) -> Self {
        Self(number.max(0))
    }

    /// The number, never below 0.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// The place so many numbers before, 0 at the least.
    #[must_use]
    pub fn back(self, numbers: i64) -> Self {
        Self::new(self.0.saturating_sub(numbers))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A page that cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no page of a changes feed: {0}")]
pub struct PageError(String);

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its number; `None` when it cannot be read.
    pub seq: Option<Seq>,
    /// Whose it is.
    pub name: PackageName,
    /// The package is gone (a later row may bring it back).
    pub deleted: bool,
    /// Number of the document's revision (`37` of `37-9f…`), where the row says one.
    pub generation: Option<u64>,
}

/// One answer of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangesPage {
    /// The rows with a name, in their order.
    pub changes: Vec<Change>,
    /// What the page says of its end. May be an echo of what was asked, so alone it is no evidence
    /// of anything.
    pub last_seq: Option<Seq>,
    /// All rows, those without a name included.
    pub rows: usize,
    /// Rows that are nothing we can use: no object, no package name.
    pub unreadable: usize,
    /// The highest number of a row whose name is none of ours to follow.
    skipped_to: Option<Seq>,
    /// Rows are numbered by times.
    pub by_time: bool,
}

/// A page as the follower uses it: each name once, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// One row a name, the newest.
    pub changes: Vec<Change>,
    /// Where to ask next; always beyond the place that was asked.
    pub next: Seq,
    /// Numbers between the place that was asked and the first row.
    pub gap: i64,
    /// Whether more is there right now.
    pub full: bool,
}

impl ChangesPage {
    /// Reads a page.
    ///
    /// # Errors
    /// When it is no JSON object with a list `results`.
    pub fn parse(body: &[u8]) -> Result<Self, PageError> {
        page::parse(body)
    }

    /// Whether it has no rows at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether nothing is behind `since`: no rows, or only the one read before (inclusive dialects).
    #[must_use]
    pub fn repeats(&self, since: Seq) -> bool {
        let is_read = self.skipped_to.is_none_or(|skipped| skipped <= since);
        let is_old = |change: &Change| change.seq == Some(since);
        self.unreadable == 0 && is_read && self.changes.iter().all(is_old)
    }

    /// Whether it holds a row with this number or a higher one.
    #[must_use]
    pub fn reaches(&self, seq: Seq) -> bool {
        let numbers = self.changes.iter().filter_map(|change| change.seq).chain(self.skipped_to);
        numbers.max().is_some_and(|highest| highest >= seq)
    }

    /// The page as an answer to `since` and `limit`, by a feed whose head was `head` not long
    /// ago; `None` when no row leads beyond `since`.
    ///
    /// A row numbered `since` itself is the one read before (inclusive dialects). Rows below are
    /// news as well, but only beside others that lead on: a feed that ignores `since` would have
    /// us sync the same names for ever.
    #[must_use]
    pub fn fold(self, since: Seq, limit: u32, head: Option<Seq>) -> Option<Folded> {
        let ceiling = self.ceiling(since, head);
        let next = self.end(since, ceiling)?;
        let lowest = self.changes.iter().filter_map(|change| change.seq).filter(|&seq| seq > since);
        let gap = lowest.min().map_or(0, |lowest| lowest.number() - since.number());
        let full = self.rows >= usize::try_from(limit).unwrap_or(usize::MAX).min(FULL_PAGE_ROWS);
        // Several rows of one millisecond may stand on both sides of a page's end: that one is
        // read again. A page that holds nothing else leads nowhere.
        let next = if self.by_time && full { next.back(1) } else { next };
        if next <= since {
            return None;
        }
        Some(Folded { changes: fold(self.changes, since), next, gap, full })
    }

    /// The highest number that is believed.
    fn ceiling(&self, since: Seq, head: Option<Seq>) -> Seq {
        match head {
            Some(head) if !self.by_time => {
                Seq(head.max(since).number().saturating_add(FARTHEST_JUMP))
            }
            _ => Seq(i64::MAX),
        }
    }

    fn end(&self, since: Seq, ceiling: Seq) -> Option<Seq> {
        let numbers = || self.changes.iter().filter_map(|change| change.seq).chain(self.skipped_to);
        let believed = numbers().filter(|&seq| seq <= ceiling).max();
        let without_number = self.changes.iter().any(|change| change.seq.is_none());
        let said = self.last_seq.filter(|&said| {
            said <= ceiling && !self.is_empty() && (without_number || self.unreadable > 0)
        });
        let beyond = |seq: &Seq| *seq > since;
        // Where every row is beyond the ceiling the feed really jumped: its first row shows where to.
        believed
            .max(said)
            .filter(beyond)
            .or_else(|| numbers().filter(|&seq| seq > ceiling).min().filter(|_| believed.is_none()))
    }
}

/// One row a name: the one with the highest number; among equals the later one.
fn fold(changes: Vec<Change>, since: Seq) -> Vec<Change> {
    let mut places: HashMap<PackageName, usize> = HashMap::with_capacity(changes.len());
    let mut folded: Vec<Change> = Vec::with_capacity(changes.len());
    for change in changes {
        if change.seq == Some(since) {
            continue;
        }
        match places.get(&change.name).and_then(|&place| folded.get_mut(place)) {
            Some(known) => known.take_in(change),
            None => {
                places.insert(change.name.clone(), folded.len());
                folded.push(change);
            }
        }
    }
    folded
}

impl Change {
    fn take_in(&mut self, other: Self) {
        let generation = self.generation.max(other.generation);
        if other.seq.is_none() || other.seq >= self.seq {
            let seq = other.seq.max(self.seq);
            *self = Self { seq, ..other };
        }
        self.generation = generation;
    }
}

/// The number of a document's revision: `37` of `37-9f…`; `None` for other forms.
#[must_use]
pub fn generation_of(revision: &str) -> Option<u64> {
    page::generation_of(revision)
}

/// The newest number of a feed, from the document at its root; `None` when it says none.
#[must_use]
pub fn update_seq(root: &[u8]) -> Option<Seq> {
    page::update_seq(root)
}
