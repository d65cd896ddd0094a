//! The search: how fast documents are written into the index, what memory that takes, and how long
//! questions take.
//!
//! `cargo bench --bench search`; with `--test` a short run that must succeed. Documents are made
//! here and go the whole way from their bytes to the index, without a store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench stops at the first surprise"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use espejo::cache::render::Source;
use espejo::cache::withheld::HiddenVersions;
use espejo::search::index::SearchIndex;
use espejo::search::question::Question;
use espejo::search::states::State;
use espejo::search::{Place, entry_of};
use npm::{PackageName, Sha512Digest};
use store::DocumentEncoding;
use store::blobs::BlobLocation;
use store::packages::DocumentRef;

/// Packages of a run, and of a short one.
const PACKAGES: usize = 100_000;
const SHORT: usize = 2_000;
/// Entries of a commit while the index is behind.
const COMMIT_AFTER: usize = 10_000;

const WORDS: [&str; 32] = [
    "react", "lamp", "router", "state", "date", "parse", "stream", "tree", "garden", "color",
    "token", "cache", "query", "table", "form", "chart", "event", "image", "proxy", "test", "lint",
    "build", "merge", "deep", "clone", "path", "glob", "retry", "queue", "socket", "worker",
    "math",
];

const QUESTIONS: [(&str, &str); 6] = [
    ("exact name", "react-lamp-7"),
    ("one common word", "react"),
    ("two words", "state garden"),
    ("beginning", "gard"),
    ("misspelled", "gardenn"),
    ("qualifiers", "cache keywords:stream not:unstable"),
];

fn word(seed: usize) -> &'static str {
    WORDS[(seed.wrapping_mul(2_654_435_761) >> 7) % WORDS.len()]
}

fn name(at: usize) -> String {
    match at {
        7 => "react-lamp-7".to_owned(),
        _ if at.is_multiple_of(4) => format!("@{}/{}-{at}", word(at + 1), word(at)),
        _ => format!("{}-{}-{at}", word(at), word(at + 2)),
    }
}

/// A document with three versions.
fn document(at: usize) -> Vec<u8> {
    let version = |number: &str| {
        let text: Vec<_> = (0..12).map(|place| word(at * 31 + place * 17)).collect();
        serde_json::json!({
            "name": name(at), "version": number, "description": text.join(" "),
            "keywords": [word(at + 3), word(at + 5), word(at + 9)], "license": "MIT",
            "author": {"name": format!("author-{}", at % 5_000)},
            "dependencies": {"a": "^1.0.0", "b": "^2.0.0"},
            "dist": {"tarball": "http://x/y.tgz", "shasum": "00", "integrity": "sha512-0"},
        })
    };
    let versions = ["0.1.0", "1.0.0", "1.1.0"].map(|number| (number, version(number)));
    let document = serde_json::json!({
        "name": name(at), "dist-tags": {"latest": "1.1.0"},
        "versions": versions.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "maintainers": [{"name": format!("person-{}", at % 9_000), "email": "p@garden.example"}],
        "time": {"1.1.0": "2024-01-01T00:00:00.000Z"},
    });
    serde_json::to_vec(&document).expect("JSON")
}

fn state(at: usize) -> State {
    let digest = Sha512Digest::of(b"");
    State {
        name: PackageName::parse(&name(at)).expect("a name"),
        registry: "default".to_owned(),
        revision: 1,
        hidden: HiddenVersions::default(),
        hidden_print: 0,
        withheld: false,
        document: DocumentRef {
            digest,
            location: BlobLocation::own_file(0),
            encoding: DocumentEncoding::Identity,
            stored_bytes: 0,
            body_bytes: 0,
        },
        downloads: (at % 1_000) as u64,
    }
}

/// A line of `/proc/self/status` in MiB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = found.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn main() {
    let packages = if std::env::args().any(|word| word == "--test") { SHORT } else { PACKAGES };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let index = SearchIndex::open(folder.path()).expect("an index");
    let place = Place::start("bench", 0);
    let before = memory("RssAnon:");
    let (began, mut making, mut most) = (Instant::now(), Duration::ZERO, 0.0_f64);
    for at in 0..packages {
        let made = Instant::now();
        let (state, body) = (state(at), Source::Body(Bytes::from(document(at))));
        making += made.elapsed();
        let entry = entry_of(index.fields(), &state, &body).expect("an entry");
        index.put(&state.name, entry).expect("a writer");
        if (at + 1) % COMMIT_AFTER == 0 || at + 1 == packages {
            index.commit(&place).expect("a commit");
            most = most.max(memory("RssAnon:"));
        }
    }
    let took = began.elapsed().saturating_sub(making);
    let rate = packages as f64 / took.as_secs_f64();
    println!("index    {packages} packages in {took:.1?}, {rate:.0} a second");
    println!("memory   {before:.0} MiB of our own before, {most:.0} MiB at most");
    assert_eq!(index.len(), packages as u64);
    for (what, text) in QUESTIONS {
        let question = Question::parse(text).expect("a question");
        let mut times: Vec<_> = (0..50)
            .map(|_| {
                let began = Instant::now();
                let page = index.search(&question, 0, 20, &[]).expect("an answer");
                (began.elapsed(), page.total)
            })
            .collect();
        times.sort_unstable();
        let (median, total) = times[times.len() / 2];
        println!("question {what}: {total} found, median {median:.2?}, worst {:.2?}", times[49].0);
        assert!(total > 0, "{text} finds nothing");
    }
}
