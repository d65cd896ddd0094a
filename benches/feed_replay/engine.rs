//! The real engine over a scratch SQLite file, with so many packages here as rows.

use std::path::Path;
use std::time::Duration;

use actors::changes_follower::{FeedStart, FollowSettings};
use actors::upstream::{FeedChoice, UpstreamSettings};
use actors::{Engine, EngineSettings, EngineStatus};
use npm::PackageName;
use store::feeds::Takes;
use store::{
    BlobSettings, CommitBatch, DatabaseSettings, Keeping, PackageChange, Store, StoreSettings,
};

use crate::Run;
use crate::upstream::name;

/// Rows put in at once.
const SEED_BATCH: u64 = 5_000;

/// A running engine; its folder goes with it.
pub struct Mirror {
    engine: Engine,
    folder: tempfile::TempDir,
}

/// Bytes on disk and in memory.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub database: u64,
    pub blobs: u64,
    pub resident: u64,
    pub most: u64,
}

impl Mirror {
    pub async fn start(run: &Run, url: &str) -> Self {
        let folder = tempfile::tempdir_in(&run.folder).unwrap();
        let settings = StoreSettings {
            database: DatabaseSettings::Sqlite { path: folder.path().join("espejo.db") },
            blobs: BlobSettings::Local {
                folder: folder.path().join("blobs"),
                segment_bytes: 256 << 20,
            },
        };
        let names = run.names;
        let store = tokio::task::spawn_blocking(move || seeded(&settings, names)).await.unwrap();
        let upstream = UpstreamSettings {
            feed: FeedChoice::Auto,
            background_rate_per_second: run.rate,
            ..UpstreamSettings::new("default", url.parse().unwrap())
        };
        let poll = FollowSettings::default().poll_every.as_secs_f64() / run.speed.max(1.0);
        let engine = EngineSettings {
            upstream: Some(upstream),
            data_folder: Some(folder.path().to_owned()),
            follow: FollowSettings {
                takes: Some(Takes::All),
                start: FeedStart::At(0),
                poll_every: Duration::from_secs_f64(poll),
                ..FollowSettings::default()
            },
            ..EngineSettings::default()
        };
        Self { engine: Engine::start(engine, store).await.unwrap(), folder }
    }

    pub async fn describe(&self) -> EngineStatus {
        self.engine.handle().describe().await.unwrap()
    }

    pub fn sizes(&self) -> Sizes {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kibibytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
            line.split_whitespace().next().unwrap_or("0").parse::<u64>().unwrap_or(0) * 1_024
        };
        let database = ["espejo.db", "espejo.db-wal"];
        let database = database.iter().map(|file| size(&self.folder.path().join(file))).sum();
        let blobs = size(&self.folder.path().join("blobs"));
        Sizes { database, blobs, resident: kibibytes("VmRSS:"), most: kibibytes("VmHWM:") }
    }

    pub async fn stop(self) {
        self.engine.shutdown(Duration::from_secs(5)).await;
    }
}

/// Bytes of a file, or of all files below a folder.
fn size(path: &Path) -> u64 {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return entries.map(|entry| size(&entry.path())).sum();
    }
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn seeded(settings: &StoreSettings, names: u64) -> Store {
    let store = Store::open_blocking(settings).unwrap();
    let mut writer = store.writer_blocking().unwrap();
    for from in (0..names).step_by(usize::try_from(SEED_BATCH).unwrap()) {
        let changes = (from..(from + SEED_BATCH).min(names)).map(package).collect();
        writer.commit_blocking(&mut CommitBatch { writes: Vec::new(), changes }).unwrap();
    }
    drop(writer);
    store
}

fn package(number: u64) -> PackageChange {
    let name = PackageName::parse(&name(number)).unwrap();
    PackageChange { keep: Keeping::Mirrored, checked_at_ms: 1, ..PackageChange::new(name, "sync") }
}
