//! Opening what a command works on: the data folder with its lock, the store, engine settings.

use std::{path::PathBuf, time::Duration};

use actors::hook_dispatcher::HookSettings;
use actors::{EngineSettings, audit::AuditSettings, upstream::UpstreamSettings};
use store::{
    CommitBatch, DatabaseSettings, FolderLock, Store, StoreError, StoreSettings, WriteFn,
    blobs::{BlobSettings, S3Settings},
};

use super::{exit::Exit, problem::Problem};
use crate::config::Config;

/// Name of the database file in the data folder.
const DATABASE_NAME: &str = "espejo.db";
/// Name of the folder of blobs in the data folder.
const BLOBS_NAME: &str = "blobs";
/// Size at which a segment file is sealed.
const SEGMENT_BYTES: u64 = 256 << 20;

/// The data folder, held by this process alone.
pub struct DataFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl DataFolder {
    /// Makes the folder when it is missing and takes its lock.
    ///
    /// # Errors
    /// `DATA_IN_USE` when another process has it; else what the file system says.
    pub fn lock(config: &Config) -> Result<Self, Problem> {
        let path = config.storage.path.clone();
        std::fs::create_dir_all(&path).map_err(|error| {
            Problem::failed(format!("cannot make the data folder {}", path.display()))
                .why(error)
                .hint("choose another with --data FOLDER")
        })?;
        let lock = FolderLock::acquire(&path).map_err(|error| match error {
            StoreError::InUse { pid } => in_use(&path.display().to_string(), pid),
            other => Problem::failed(format!("cannot open {}", path.display())).why(other),
        })?;
        Ok(Self { path, _lock: lock })
    }

    /// Opens database and blobs.
    ///
    /// # Errors
    /// When the settings are incomplete or the store cannot be opened.
    pub fn open_store(&self, config: &Config) -> Result<Store, Problem> {
        let settings = store_settings(config)?;
        Store::open_blocking(&settings).map_err(|error| {
            Problem::from(error).named(format!("cannot open the store in {}", self.path.display()))
        })
    }
}

fn in_use(folder: &str, pid: u32) -> Problem {
    let holder =
        if pid == 0 { "another espejo".into() } else { format!("another espejo (process {pid})") };
    Problem::new(Exit::DataInUse, "DATA_IN_USE", format!("cannot open {folder}"))
        .why(format!("{holder} holds its lock"))
        .hint("use that one, or choose another folder with --data")
}

/// Where database and blobs are.
///
/// # Errors
/// When `storage.kind` is `s3` and something of it is missing.
pub fn store_settings(config: &Config) -> Result<StoreSettings, Problem> {
    let storage = &config.storage;
    let blobs = match storage.kind.as_str() {
        "s3" if storage.bucket.is_empty() => {
            return Err(Problem::new(Exit::Usage, "CONFIG_VALUE", "`storage.bucket` is missing")
                .why("`storage.kind` is s3")
                .hint("name the bucket, or set storage.kind = \"local\""));
        }
        "s3" => BlobSettings::S3(S3Settings {
            bucket: storage.bucket.clone(),
            endpoint: storage.endpoint.as_ref().map(ToString::to_string),
            region: filled(&storage.region),
            access_key_id: filled(&storage.access_key),
            secret_access_key: filled(&storage.secret_key),
            ..S3Settings::default()
        }),
        _ => BlobSettings::Local {
            folder: storage.path.join(BLOBS_NAME),
            segment_bytes: SEGMENT_BYTES,
        },
    };
    Ok(StoreSettings { database: database_settings(config), blobs })
}

fn filled(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn database_settings(config: &Config) -> DatabaseSettings {
    match &config.storage.database {
        Some(url) => DatabaseSettings::Postgres { url: url.clone(), schema: None },
        None => DatabaseSettings::Sqlite { path: config.storage.path.join(DATABASE_NAME) },
    }
}

/// Opens the rows only, also while a server runs: its segments are not touched.
///
/// `None` when there is no database yet: looking must not make one.
///
/// # Errors
/// When the database is there and cannot be opened.
pub fn open_rows(config: &Config) -> Result<Option<Store>, Problem> {
    let database = database_settings(config);
    if let DatabaseSettings::Sqlite { path } = &database
        && !path.exists()
    {
        return Ok(None);
    }
    let settings = StoreSettings { database, blobs: BlobSettings::Memory };
    Store::open_blocking(&settings)
        .map(Some)
        .map_err(|error| Problem::from(error).named("cannot open the database"))
}

/// Runs rare writes in one transaction, where no engine does it.
///
/// # Errors
/// Those of the database.
pub fn write_blocking(store: &Store, writes: Vec<WriteFn>) -> Result<(), Problem> {
    let mut batch = CommitBatch { writes, changes: Vec::new() };
    let outcome = store.writer_blocking().and_then(|mut writer| writer.commit_blocking(&mut batch));
    let writes = outcome.map_err(Problem::from)?.writes;
    writes.into_iter().collect::<Result<(), StoreError>>().map_err(Problem::from)
}

/// What the engine is told.
#[must_use]
pub fn engine_settings(config: &Config, upstream: Option<UpstreamSettings>) -> EngineSettings {
    let ca_pem = upstream.as_ref().and_then(|upstream| upstream.ca_pem.clone());
    EngineSettings {
        hooks: Box::new(HookSettings { ca_pem, ..config.hooks.delivery.clone() }),
        upstream,
        private_scopes: config.publish.scopes.clone(),
        workers: config.sync.workers,
        negative_for: config.sync.negative_for,
        keep_free_bytes: config.storage.keep_free_bytes,
        keep_audit_log: config.security.keep_audit_log,
        data_folder: (config.storage.kind == "local").then(|| config.storage.path.clone()),
        max_tarball_bytes: config.sync.max_tarball_bytes,
        high_water: config.sync.high_water,
        policy: config.sync.policy.clone(),
        mirror_misses: config.sync.mode == "all",
        audit: AuditSettings {
            wants_all: config.sync.mode == "all",
            sweep: config.sync.sweep,
            sweep_without_feed: config.sync.sweep_without_feed,
            names_every: config.sync.compare_names,
            ..AuditSettings::default()
        },
        ..EngineSettings::default()
    }
}

/// How long running work may take when stopping.
pub const STOP_GRACE: Duration = Duration::from_secs(25);

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::InUse { pid } => in_use("the data folder", pid),
            StoreError::Retry(_) => Self::new(Exit::Unreachable, "DATABASE", text),
            StoreError::DiskFull(_) => Self::new(Exit::Failed, "DISK_FULL", text)
                .hint("free space, or preview: espejo gc --dry-run"),
            StoreError::Damaged { .. } => Self::new(Exit::CheckFailed, "DAMAGED", text)
                .hint("espejo verify, or espejo restore DIR"),
            _ => Self::failed(text),
        }
    }
}
