//! Answer of a search: what the wire contract (6.8) has, and what npm and pnpm read beside it.

use serde::Serialize;
use serde_json::value::RawValue;

/// A page of what was found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The hits, best first.
    pub objects: Vec<Object>,
    /// How many there are altogether.
    pub total: usize,
    /// When this was answered, RFC 3339.
    pub time: String,
}

/// A package that was found.
#[derive(Debug, Serialize)]
pub struct Object {
    /// Its card.
    pub package: Box<RawValue>,
    /// Its downloads.
    pub downloads: Downloads,
    /// Its rank in npm's form.
    pub score: Score,
    /// Its rank; higher is better.
    #[serde(rename = "searchScore")]
    pub search_score: f64,
}

/// Downloads from this mirror.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Downloads {
    /// Within a year.
    pub all: u64,
}

/// npm's form of a rank.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Score {
    /// The rank.
    #[serde(rename = "final")]
    pub last: f64,
    /// What it is made of.
    pub detail: Detail,
}

/// Three numbers from 0 to 1. Only the downloads are known here, the others tell all the same.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Detail {
    /// Not known.
    pub quality: f64,
    /// From downloads.
    pub popularity: f64,
    /// Not known.
    pub maintenance: f64,
}

impl Score {
    /// Of a rank and downloads.
    #[must_use]
    pub fn of(rank: f64, downloads: u64) -> Self {
        // ten million downloads are as popular as it gets
        let popularity = ((1.0 + downloads as f64).log10() / 7.0).min(1.0);
        Self { last: rank, detail: Detail { quality: 1.0, popularity, maintenance: 1.0 } }
    }
}

/// The answer of an order about one package.
#[derive(Debug, Serialize)]
pub struct Ordered<'a> {
    /// Its name.
    pub package: &'a str,
}
