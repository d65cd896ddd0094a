//! A whole mirror in this process: store, engine and server as they ship, on scratch data.

use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use actors::upstream::{RetryPolicy, UpstreamSettings};
use actors::{DEFAULT_REGISTRY, Engine, EngineHandle, EngineSettings};
use espejo::admin_token;
use espejo::app::ServeSettings;
use espejo::search::SearchSettings;
use espejo::server::{self, ServeError, StopHandle};
use npm::PackageName;
use serde_json::json;
use store::tasks::{self, NewTask, TaskOptions, TaskRow};
use store::tokens::{self, TokenLimits};
use store::versions::{self, VersionRow};
use store::{
    BlobSettings, Keeping, Store, StoreSettings, TaskId, TaskState, WriteFn, dist_tags, packages,
    users,
};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{FakeUpstream, Package, Request, database, secrets, until};

/// A running mirror in front of its own [`FakeUpstream`].
pub struct TestMirror {
    pub upstream: FakeUpstream,
    settings: Settings,
    running: Option<Running>,
    folder: TempDir,
}

/// What a token of a test is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    User,
    Admin,
    Readonly,
    Expired,
    /// Good from another address only.
    Elsewhere,
}

/// Small segments, so that a test of a few hundred packages seals some.
const SEGMENT_BYTES: u64 = 4 << 20;

struct Settings {
    serve: ServeSettings,
    engine: EngineSettings,
    store: StoreSettings,
}

struct Running {
    served: JoinHandle<Result<(), ServeError>>,
    stop: StopHandle,
    engine: EngineHandle,
    address: SocketAddr,
}

/// Settings of a mirror before it starts.
pub struct Builder {
    upstream: FakeUpstream,
    serve: ServeSettings,
    engine: EngineSettings,
    asks: UpstreamSettings,
    search: bool,
}

impl Builder {
    /// Puts packages upstream.
    pub fn packages(self, packages: &[Package]) -> Self {
        for package in packages {
            self.upstream.publish(package);
        }
        self
    }

    /// Its upstream.
    pub fn upstream(&self) -> &FakeUpstream {
        &self.upstream
    }

    /// The base address of its upstream.
    pub fn upstream_url(&self) -> String {
        self.upstream.url()
    }

    /// Changes how it serves.
    pub fn serve(mut self, change: impl FnOnce(&mut ServeSettings)) -> Self {
        change(&mut self.serve);
        self
    }

    /// Turns the search on.
    pub fn search(mut self) -> Self {
        self.search = true;
        self
    }

    /// Changes how the engine works.
    pub fn engine(mut self, change: impl FnOnce(&mut EngineSettings)) -> Self {
        change(&mut self.engine);
        self
    }

    /// Changes how the upstream is asked.
    pub fn asks(mut self, change: impl FnOnce(&mut UpstreamSettings)) -> Self {
        change(&mut self.asks);
        self
    }

    /// Starts it.
    pub async fn start(self) -> TestMirror {
        // what a whole mirror takes is on the heap, not in the future of every test
        Box::pin(self.start_here()).await
    }

    async fn start_here(mut self) -> TestMirror {
        secrets::watch();
        self.asks.token.as_deref().map(secrets::keep);
        let folder = tempfile::tempdir().expect("a scratch folder");
        self.engine.upstream = Some(self.asks);
        self.engine.data_folder = Some(folder.path().to_owned());
        if self.search {
            let every = Duration::from_millis(1);
            self.serve.search =
                Some(SearchSettings { folder: folder.path().join("search"), every });
        }
        let store = StoreSettings {
            database: database::scratch(folder.path()),
            blobs: BlobSettings::Local {
                folder: folder.path().join("blobs"),
                segment_bytes: SEGMENT_BYTES,
            },
        };
        let settings = Settings { serve: self.serve, engine: self.engine, store };
        let mut mirror = TestMirror { upstream: self.upstream, settings, running: None, folder };
        Box::pin(mirror.start_again()).await;
        mirror
    }
}

impl TestMirror {
    /// Settings to change; the upstream runs already and is empty.
    pub fn builder() -> Builder {
        let upstream = FakeUpstream::start();
        let mut asks =
            UpstreamSettings::new("default", upstream.url().parse().expect("an address"));
        asks.background_rate_per_second = 0;
        asks.retry = RetryPolicy {
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(20),
            longest_delay_person: Duration::from_millis(20),
            ..RetryPolicy::default()
        };
        // The breaker has tests of its own; here it would mix up the faults of one test.
        asks.breaker.failures = u32::MAX;
        let engine = EngineSettings { workers: 8, ..EngineSettings::default() };
        // every path is logged, so that no secret stands in one
        let serve = ServeSettings { log_access: true, ..ServeSettings::default() };
        Builder { upstream, serve, engine, asks, search: false }
    }

    /// A mirror with these packages upstream.
    pub async fn with(packages: &[Package]) -> Self {
        Self::builder().packages(packages).start().await
    }

    async fn start_again(&mut self) {
        let settings = self.settings.store.clone();
        let opening = tokio::task::spawn_blocking(move || Store::open_blocking(&settings));
        let store = opening.await.expect("no panic").expect("a store");
        let engine = Box::pin(Engine::start(self.settings.engine.clone(), store)).await;
        let engine = engine.expect("an engine");
        let handle = engine.handle();
        let (ready, running) = oneshot::channel();
        let served = tokio::spawn(server::run(self.settings.serve.clone(), engine, ready));
        let running = running.await.expect("a server that starts");
        let (address, stop) = (running.listen, running.stop);
        // A restart keeps the port: it is part of the documents' addresses.
        self.settings.serve.listen = address;
        self.running = Some(Running { served, stop, engine: handle, address });
    }

    /// Stops as on SIGTERM and starts again over the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        Box::pin(self.start_again()).await;
    }

    /// Restarts it with other settings of the engine.
    pub async fn change_engine(&mut self, change: impl FnOnce(&mut EngineSettings)) {
        self.stop().await;
        change(&mut self.settings.engine);
        Box::pin(self.start_again()).await;
    }

    /// Restarts it with other settings of the server.
    pub async fn change_serve(&mut self, change: impl FnOnce(&mut ServeSettings)) {
        self.stop().await;
        change(&mut self.settings.serve);
        Box::pin(self.start_again()).await;
    }

    async fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.stop.stop();
        running.served.await.expect("no panic").expect("a server that ends in order");
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("a running mirror")
    }

    /// The engine.
    pub fn engine(&self) -> EngineHandle {
        self.running().engine.clone()
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The store.
    pub fn store(&self) -> Store {
        self.engine().store().clone()
    }

    /// Its database, with other blobs: what another process opens beside it.
    pub fn database_with(&self, blobs: BlobSettings) -> StoreSettings {
        StoreSettings { database: self.settings.store.database.clone(), blobs }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// Its base address without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A request to it.
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.address(), method, target)
    }

    /// A GET of it.
    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// A HEAD of it.
    pub fn head(&self, target: &str) -> Request {
        self.request("HEAD", target)
    }

    /// A task as `espejo sync` makes it.
    pub fn new_task(&self, name: &str, options: &TaskOptions) -> NewTask {
        NewTask {
            id: TaskId::new(),
            name: PackageName::parse(name).expect("a name"),
            registry: DEFAULT_REGISTRY.to_owned(),
            priority: tasks::PRIORITY_PEOPLE,
            options: options.clone(),
            author: None,
            author_ip: None,
        }
    }

    /// Asks for syncs as `espejo sync` does; the rows that stand for them.
    pub async fn enqueue(&self, names: &[&str], options: &TaskOptions) -> Vec<TaskRow> {
        let tasks = names.iter().map(|name| self.new_task(name, options)).collect();
        self.engine().enqueue(tasks).await.expect("a queue that takes tasks")
    }

    /// Syncs packages whole, without their dependencies, and waits for the end of their tasks.
    pub async fn sync(&self, names: &[&str]) -> Vec<TaskRow> {
        let options = TaskOptions {
            skip_dependencies: true,
            keep: Keeping::Mirrored,
            ..TaskOptions::default()
        };
        self.sync_with(names, &options).await
    }

    /// Syncs packages with these options and waits for the end of their tasks.
    pub async fn sync_with(&self, names: &[&str], options: &TaskOptions) -> Vec<TaskRow> {
        let rows = self.enqueue(names, options).await;
        let mut ended = Vec::with_capacity(rows.len());
        for row in rows {
            ended.push(self.ended(row.id).await);
        }
        ended
    }

    /// Makes a user with a token; the token's text and key.
    pub async fn token(&self, user: &str, kind: TokenKind) -> (String, String) {
        let token = admin_token::Token::generate().expect("random bytes");
        secrets::keep(token.text());
        let limits = TokenLimits {
            readonly: kind == TokenKind::Readonly,
            cidr: if kind == TokenKind::Elsewhere { vec!["192.0.2.1".into()] } else { vec![] },
            expires_at_ms: (kind == TokenKind::Expired).then_some(1),
            ..TokenLimits::default()
        };
        let row = token.row(user, limits);
        let write: WriteFn = Box::new(move |connection| {
            users::ensure(connection, &row.user, kind == TokenKind::Admin)?;
            assert!(tokens::create(connection, &row)?);
            Ok(())
        });
        self.engine().write(write).await.expect("a writable store");
        (token.text().to_owned(), token.key().to_hex())
    }

    /// Waits for the end of a task.
    pub async fn ended(&self, id: TaskId) -> TaskRow {
        until("the end of a task", || async {
            let row = self.task(id).await;
            matches!(row.state, TaskState::Success | TaskState::Error).then_some(row)
        })
        .await
    }

    /// A task's row.
    pub async fn task(&self, id: TaskId) -> TaskRow {
        let found = self.store().read(move |connection| tasks::find(connection, id)).await;
        found.expect("a readable store").expect("a task")
    }

    /// A task's log.
    pub async fn log(&self, id: TaskId) -> String {
        self.engine().task_log(id).await.expect("a readable store").expect("a log")
    }

    /// The rows of a package's versions.
    pub async fn versions(&self, name: &str) -> Vec<VersionRow> {
        let name = PackageName::parse(name).expect("a name");
        let store = self.store();
        let found = store.read(move |connection| match packages::find(connection, &name)? {
            Some(row) => versions::of_package(connection, row.id),
            None => Ok(Vec::new()),
        });
        found.await.expect("a readable store")
    }

    /// What the store holds of a package, without what differs from run to run.
    pub async fn store_snapshot(&self, name: &str) -> serde_json::Value {
        let of = PackageName::parse(name).expect("a name");
        let store = self.store();
        let read = store.read(move |connection| {
            Ok((packages::find(connection, &of)?, dist_tags::of_package(connection, &of)?))
        });
        let (row, tags) = read.await.expect("a readable store");
        let row = row.unwrap_or_else(|| panic!("{name} is not in the store"));
        let versions = self.versions(name).await.into_iter().map(|version| {
            let columns = json!({
                "state": version.state,
                "file": version.tarball_file,
                "has_blob": version.blob.is_some(),
                "has_size": version.size_bytes.is_some(),
                "reason": version.reason,
                "gone": version.removed_at_ms.is_some(),
            });
            (version.version, columns)
        });
        json!({
            "registry": row.registry,
            "keep": row.keep,
            "status": row.status,
            "revision": row.revision,
            "has_document": row.document.is_some(),
            "tags": tags,
            "versions": versions.collect::<serde_json::Map<_, _>>(),
        })
    }

    /// The row of one version.
    pub async fn version(&self, name: &str, version: &str) -> VersionRow {
        let rows = self.versions(name).await;
        let row = rows.into_iter().find(|row| row.version == version);
        row.unwrap_or_else(|| panic!("{name}@{version} is not in the store"))
    }

    /// Stops the mirror and checks that it left nothing behind: no leased task, no restart after a
    /// panic, no unfinished file.
    pub async fn finish(mut self) {
        let engine = self.engine();
        let engine = &engine;
        let status = until("an idle engine", || async move {
            let status = engine.describe().await.expect("an engine that answers");
            (status.tasks.processing == 0).then_some(status)
        })
        .await;
        let status = serde_json::to_value(&status).expect("a status");
        let mut restarts = Vec::new();
        collect(&status, "", &mut |path, value| {
            let counts = path.ends_with("/restarts") || path.ends_with("/panicked");
            if counts && value.as_u64().is_some_and(|count| count > 0) {
                restarts.push(path.to_owned());
            }
        });
        assert!(restarts.is_empty(), "parts that panicked: {restarts:?} in {status:#}");
        self.stop().await;
        let unfinished = files(self.folder.path(), |name| {
            name.contains("tmp") || name.contains("temp") || name.ends_with(".part")
        });
        assert!(unfinished.is_empty(), "unfinished files: {unfinished:?}");
    }
}

/// Calls `visit` with the path and value of every leaf.
fn collect(
    value: &serde_json::Value,
    path: &str,
    visit: &mut impl FnMut(&str, &serde_json::Value),
) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                collect(value, &format!("{path}/{key}"), visit);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, &format!("{path}/{index}"), visit);
            }
        }
        leaf => visit(path, leaf),
    }
}

/// Files below a folder whose name is `wanted`.
pub fn files(folder: &Path, wanted: impl Fn(&str) -> bool + Copy) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if wanted(&entry.file_name().to_string_lossy()) {
            found.push(path);
        }
    }
    found
}

/// Flips one bit in the middle of these bytes, wherever on the disk they are.
pub fn rot(folder: &Path, bytes: &[u8]) {
    for path in files(&folder.join("blobs"), |_| true) {
        let content = std::fs::read(&path).expect("a file");
        let found = content.windows(bytes.len()).position(|window| window == bytes);
        if let Some(at) = found {
            let middle = at + bytes.len() / 2;
            let file = std::fs::OpenOptions::new().write(true).open(&path).expect("a file");
            file.write_all_at(&[content[middle] ^ 1], middle as u64).expect("a byte");
            return;
        }
    }
    panic!("the bytes are nowhere on the disk");
}
