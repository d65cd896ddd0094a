//! A page of npm's feed at its largest, 10,000 rows: read, folded, deduplicated against the names
//! that are here, and committed with its tasks and the new place. The target is 300 ms on SQLite.
//!
//! `all`: every row becomes a task. `held`: 100,000 packages are here and a tenth of the rows are
//! theirs. `ESPEJO_BENCH_NAMES` changes their number (4600000 shows that it does not matter);
//! with `--test` it is 10,000.

#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use npm::{ChangesPage, PackageName, Seq};
use store::feeds::{self, FeedPage, Mover, NewEpoch, Seen, Taken, Takes};
use store::{
    BlobSettings, CommitBatch, DatabaseSettings, Keeping, PackageChange, Store, StoreSettings,
    StoreWriter,
};

const ROWS: u64 = 10_000;
const LEASE_MS: i64 = 3_600_000;

fn main_settings(folder: &tempfile::TempDir) -> StoreSettings {
    StoreSettings {
        database: DatabaseSettings::Sqlite { path: folder.path().join("espejo.db") },
        blobs: BlobSettings::Memory,
    }
}

/// A name of the corpus; neighbours in number are far apart in key order.
fn name(number: u64) -> String {
    format!("package-{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// The text of a page: rows of `first` and on, each tenth name of those that are here, if any.
fn body(first: u64, here: u64) -> Vec<u8> {
    let mut text = String::from("{\"results\":[\n");
    for row in 0..ROWS {
        let seq = first + row * 5 + 1;
        let is_here = here > 0 && row % 10 == 0;
        let number = if is_here { (first + row) % here } else { here + first + row };
        let comma = if row == 0 { "" } else { ",\n" };
        let id = name(number);
        let rev = "0123456789abcdef0123456789abcdef";
        write!(
            text,
            "{comma}{{\"seq\":{seq},\"id\":\"{id}\",\"changes\":[{{\"rev\":\"7-{rev}\"}}]}}"
        )
        .unwrap();
    }
    write!(text, "],\"last_seq\":{}}}", first + ROWS * 5).unwrap();
    text.into_bytes()
}

fn package(number: u64) -> PackageChange {
    let name = PackageName::parse(&name(number)).unwrap();
    PackageChange { keep: Keeping::Mirrored, checked_at_ms: 1, ..PackageChange::new(name, "sync") }
}

struct Following {
    _folder: tempfile::TempDir,
    writer: StoreWriter,
    mover: Mover,
    here: u64,
}

impl Following {
    fn start(here: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_blocking(&main_settings(&folder)).unwrap();
        let mut writer = store.writer_blocking().unwrap();
        for from in (0..here).step_by(5_000) {
            let changes = (from..(from + 5_000).min(here)).map(package).collect();
            writer.commit_blocking(&mut CommitBatch { writes: Vec::new(), changes }).unwrap();
        }
        let row = writer
            .write_blocking(|c| feeds::lease(c, "default", "bench", LEASE_MS, true))
            .unwrap()
            .unwrap();
        let mover = Mover {
            registry: row.registry,
            holder: "bench".into(),
            lease_ms: LEASE_MS,
            epoch: row.epoch,
            seq: row.seq,
        };
        let url = "http://127.0.0.1/_changes".into();
        let new = NewEpoch { url, seq: 0, head: None, recheck: false, alarm: None };
        writer.write_blocking(|c| feeds::start_epoch(c, &mover, &new)).unwrap();
        let mover = Mover { epoch: mover.epoch + 1, seq: Some(0), ..mover };
        Self { _folder: folder, writer, mover, here }
    }

    fn next_body(&self) -> Vec<u8> {
        body(self.mover.seq.unwrap().unsigned_abs(), self.here)
    }

    /// What the follower does with the bytes of a page; the number of tasks.
    fn take(&mut self, body: &[u8], takes: Takes) -> usize {
        let since = Seq::new(self.mover.seq.unwrap());
        let folded = ChangesPage::parse(body).unwrap().fold(since, 10_000, None).unwrap();
        let next = folded.next.number();
        let page = FeedPage {
            mover: self.mover.clone(),
            changes: folded.changes,
            next,
            takes,
            ownership: Arc::default(),
            seen: Seen::default(),
            jumped: None,
        };
        let taken = self.writer.write_blocking(|c| feeds::take_page(c, &page)).unwrap();
        self.mover.seq = Some(next);
        match taken {
            Taken::Written { tasks } => tasks,
            Taken::Moved => 0,
        }
    }
}

fn feed_page(criterion: &mut Criterion) {
    let named = std::env::var("ESPEJO_BENCH_NAMES").ok().and_then(|text| text.parse().ok());
    let is_test = std::env::args().any(|argument| argument == "--test");
    let here = named.unwrap_or(if is_test { 10_000 } else { 100_000 });
    let mut group = criterion.benchmark_group("feed_page_10000");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for (label, takes, tasks, here) in
        [("all", Takes::All, ROWS, 0), ("held", Takes::Held, ROWS / 10, here)]
    {
        group.bench_function(label, |bencher| {
            let following = RefCell::new(Following::start(here));
            bencher.iter_batched(
                || following.borrow().next_body(),
                |body| assert_eq!(following.borrow_mut().take(&body, takes) as u64, tasks),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, feed_page);
criterion_main!(benches);
