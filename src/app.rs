//! What every handler may use: settings, engine, store, caches.
//!
//! One [`App`] is made per server and shared by all workers. It owns nothing that must
//! survive a restart: tables are the truth, its caches are filled again by reading.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actors::clock::now_ms;
use actors::{EngineEvent, EngineHandle};
use ipnet::IpNet;
use moka::future::Cache;
use npm::PackageName;
use store::tasks::TaskCounts;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, watch};
use url::Url;

use crate::access::Access;
use crate::accounts::known::KnownTokens;
use crate::accounts::{Accounts, passwords};
use crate::base_url::{Base, BaseUrls};
use crate::cache::bodies::Bodies;
use crate::cache::generations::Generations;
use crate::cache::hot::HotBlobs;
use crate::cache::packages::Packages;
use crate::cache::tarballs::Tarballs;
use crate::cache::verified::Verified;
use crate::cache::work_pool::WorkPool;
use crate::counters::Counters;
use crate::downloads::Downloads;
use crate::error::ApiError;
use crate::extract::request_id::RequestIds;
use crate::publishing::{PublishSettings, Publishing};
use crate::rate_limits::PerMinute;
use crate::registries::Rules;
use crate::search::{Search, SearchSettings};

/// How the server is to serve; filled by the command line from the configuration.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Address of the registry; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How clients reach us, `public_url`; none takes it from the request.
    pub public_url: Option<Url>,
    /// Peers whose forwarded headers are believed, `server.trusted_proxies`.
    pub trusted_proxies: Vec<IpNet>,
    /// Hosts we answer documents for, `server.hosts`; empty means any.
    pub hosts: Vec<String>,
    /// Certificate chain and key in PEM files; none serves plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What a read of a package that is not here does, `sync.on_miss`.
    pub on_miss: OnMiss,
    /// What may bring packages in, and who may ask for it, `sync.mode`.
    pub sync_mode: SyncMode,
    /// Whether a sync may be asked for without a token, `sync.anonymous`.
    pub sync_anonymous: bool,
    /// Requests for a sync a minute per address and account, `limits.sync_per_minute`; 0 = no
    /// limit.
    pub sync_per_minute: u32,
    /// What may be published, and by whom.
    pub publish: PublishSettings,
    /// Names that are admins and cannot be registered, `admins`.
    pub admins: Vec<String>,
    /// Whether whoever reaches the mirror may make an account, `security.registration`.
    pub registration_open: bool,
    /// Whether every read needs a token, `security.always_auth`.
    pub always_auth: bool,
    /// How slowly passwords are hashed, `security.password_cost`.
    pub password_cost: u32,
    /// Logins a minute per address and account, `limits.login_per_minute`; 0 = no limit.
    pub login_per_minute: u32,
    /// Most hooks of a user, `hooks.max_per_user`.
    pub hooks_per_user: i64,
    /// New tokens a minute per address and account, `limits.token_per_minute`; 0 = no limit.
    pub token_per_minute: u32,
    /// What registries may not be.
    pub registries: Rules,
    /// Address misses are redirected to with [`OnMiss::Redirect`]: the upstream's base.
    pub upstream_url: Option<Url>,
    /// Age from which a document is checked again, `sync.fresh_for`.
    pub fresh_for: Duration,
    /// How long a version that upstream does not have is not asked for again,
    /// `sync.negative_for`.
    pub negative_for: Duration,
    /// Bytes of rendered documents kept in memory.
    pub cache_bytes: u64,
    /// Largest request body, 10 MB.
    pub max_body_bytes: u64,
    /// Address of `/livez`, `/readyz`, `/metrics`; a taken port is a warning, not a stop.
    pub ops_listen: Option<SocketAddr>,
    /// Path of the owner-only control socket.
    pub control_socket: Option<PathBuf>,
    /// A log line per request, `log.access = all`.
    pub log_access: bool,
    /// Silence after which a stream of a log says that it is still there, 15 s.
    pub log_heartbeat: Duration,
    /// How often counts of downloads are written down, 60 s.
    pub write_downloads_every: Duration,
    /// The search; `None` for none.
    pub search: Option<SearchSettings>,
    /// Time a client has for its request line and headers, 10 s.
    pub headers_within: Duration,
    /// Silence after which a client that sends a body or takes an answer is sent away, 30 s.
    pub stalls_after: Duration,
    /// Most connections at once; `None` for as many as the system has open files for.
    pub most_connections: Option<usize>,
    /// Threads that serve; one per core is right.
    pub workers: usize,
    /// Whether SIGTERM and SIGINT stop the server; tests stop it by handle.
    pub handle_signals: bool,
    /// Time running requests and sync work get when stopping, 25 s.
    pub stop_grace: Duration,
}

impl Default for ServeSettings {
    /// A loopback server on a free port, as tests want it.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            trusted_proxies: Vec::new(),
            hosts: Vec::new(),
            tls: None,
            on_miss: OnMiss::Fetch,
            sync_mode: SyncMode::Exist,
            sync_anonymous: false,
            sync_per_minute: 600,
            publish: PublishSettings::default(),
            admins: Vec::new(),
            registration_open: false,
            always_auth: false,
            password_cost: *passwords::COSTS.start(),
            login_per_minute: 20,
            hooks_per_user: 20,
            token_per_minute: 30,
            registries: Rules::listening(SocketAddr::from(([127, 0, 0, 1], 0)), None),
            upstream_url: None,
            fresh_for: Duration::from_secs(300),
            negative_for: Duration::from_secs(10),
            cache_bytes: 64 << 20,
            max_body_bytes: 10 << 20,
            ops_listen: None,
            control_socket: None,
            log_access: false,
            log_heartbeat: Duration::from_secs(15),
            write_downloads_every: Duration::from_secs(60),
            search: None,
            headers_within: Duration::from_secs(10),
            stalls_after: Duration::from_secs(30),
            most_connections: None,
            workers: 2,
            handle_signals: false,
            stop_grace: Duration::from_secs(25),
        }
    }
}

/// What a read of a package or version that is not here does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMiss {
    /// Fetch it from upstream once for all who wait, serve it, keep it.
    #[default]
    Fetch,
    /// Send the client to upstream with 302.
    Redirect,
    /// 404.
    None,
}

/// What may bring packages in, and who may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// Nobody asks for syncs; what is missed is still fetched.
    None,
    /// Admins only.
    Admin,
    /// Any user; the feed refreshes what is here.
    #[default]
    Exist,
    /// Any user; the feed brings in every name.
    All,
}

impl SyncMode {
    /// The word of the setting.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Admin => "admin",
            Self::Exist => "exist",
            Self::All => "all",
        }
    }
}

/// Readers who follow logs at once; each asks the database once a second.
const LOG_STREAMS: usize = 256;

/// Tarballs up to 1 MiB are read whole, because only then their checksum is compared. This
/// many KiB of them may wait for slow clients at a time; beyond, they are read in pieces.
const WHOLE_READS_KIB: usize = 64 << 10;

/// How many answers "no such version" are remembered.
const REMEMBERED_MISSES: u64 = 10_000;

/// Deliveries a minute that a person may ask for: each is a request to somebody else's server.
const HOOK_TRIES_PER_MINUTE: u32 = 60;

/// Counting tasks reads the whole queue.
const COUNT_AGAIN: Duration = Duration::from_secs(5);

/// What every handler may use.
pub struct App {
    /// How to serve.
    pub settings: ServeSettings,
    /// Address of the registry as bound.
    pub listen: SocketAddr,
    /// Address of the ops listener as bound.
    pub ops_listen: Option<SocketAddr>,
    /// The engine and, through it, the store.
    pub engine: EngineHandle,
    /// Which base address a request's documents carry.
    pub bases: BaseUrls,
    /// Package states.
    pub packages: Packages,
    /// Rendered documents.
    pub bodies: Bodies,
    /// Places of tarballs.
    pub tarballs: Tarballs,
    /// Small tarballs in memory.
    pub hot: HotBlobs,
    /// Large blobs that were found whole lately.
    pub verified: Verified,
    /// Memory for tarballs read whole, in KiB.
    pub whole_reads: Arc<Semaphore>,
    /// Users and tokens.
    pub accounts: Accounts,
    /// Who may read what.
    pub access: Access,
    /// What is being published.
    pub publishing: Publishing,
    /// Requests for a sync.
    pub sync_limit: PerMinute,
    /// Tries and repetitions of deliveries that people ask for.
    pub hook_limit: PerMinute,
    /// Places for readers who follow logs.
    pub log_streams: Arc<Semaphore>,
    /// Versions and files that upstream did not have a moment ago.
    pub missed: Cache<(PackageName, String), ()>,
    /// How the queue is, counted again after some seconds.
    pub task_counts: Cache<(), TaskCounts>,
    /// Ids of requests.
    pub request_ids: Arc<RequestIds>,
    /// Counters of all workers.
    pub counters: Counters,
    /// Downloads that are not written down yet.
    pub downloads: Downloads,
    /// The search, where there is one.
    pub search: Option<Arc<Search>>,
    /// When the server started.
    pub started: Instant,
    /// The same as unix milliseconds.
    pub started_ms: i64,
    /// The runtime for work that outlives a request.
    pub runtime: Handle,
    stopping: watch::Sender<bool>,
    ready: AtomicBool,
    stop: watch::Sender<u32>,
}

impl App {
    /// Fills nothing yet: all caches start empty.
    ///
    /// # Errors
    /// When the threads for large work cannot be started.
    pub fn start(
        settings: ServeSettings,
        engine: EngineHandle,
        listen: SocketAddr,
        ops_listen: Option<SocketAddr>,
        stop: watch::Sender<u32>,
    ) -> std::io::Result<Arc<Self>> {
        let registries = settings.registries.clone().bound_to(listen);
        let settings = ServeSettings { registries, ..settings };
        let runtime = Handle::current();
        let generations = Arc::new(Generations::new());
        let access = Access::new(engine.clone(), runtime.clone());
        let accounts = Accounts::new(&settings, engine.clone(), runtime.clone());
        let caches = (Arc::clone(&generations), access.clone(), accounts.known.clone());
        runtime.spawn(follow_commits(engine.events(), caches));
        let pool = Arc::new(WorkPool::start(runtime.clone(), settings.workers)?);
        let verified = Verified::new(&engine, Arc::clone(&pool), runtime.clone());
        let app = Arc::new(Self {
            accounts,
            access,
            bases: BaseUrls::new(&settings, listen),
            packages: Packages::new(engine.clone(), Arc::clone(&generations), settings.fresh_for),
            bodies: Bodies::new(
                engine.clone(),
                runtime.clone(),
                pool,
                verified.clone(),
                settings.cache_bytes,
            ),
            verified,
            tarballs: Tarballs::new(engine.clone(), generations),
            hot: HotBlobs::new(),
            whole_reads: Arc::new(Semaphore::new(WHOLE_READS_KIB)),
            publishing: Publishing::default(),
            sync_limit: PerMinute::new("requests for a sync", settings.sync_per_minute),
            hook_limit: PerMinute::new("requests for a delivery", HOOK_TRIES_PER_MINUTE),
            log_streams: Arc::new(Semaphore::new(LOG_STREAMS)),
            missed: Cache::builder()
                .max_capacity(REMEMBERED_MISSES)
                .time_to_live(settings.negative_for)
                .build(),
            task_counts: Cache::builder().max_capacity(1).time_to_live(COUNT_AGAIN).build(),
            request_ids: Arc::new(RequestIds::new()),
            counters: Counters::default(),
            downloads: Downloads::new(engine.clone()),
            search: settings.search.clone().map(Search::new).map(Arc::new),
            started: Instant::now(),
            started_ms: now_ms(),
            stopping: watch::Sender::new(false),
            ready: AtomicBool::new(false),
            settings,
            listen,
            ops_listen,
            engine,
            runtime,
            stop,
        });
        app.runtime.spawn(Accounts::keep_writing_uses(Arc::downgrade(&app)));
        app.runtime.spawn(Accounts::keep_writing_refusals(Arc::downgrade(&app)));
        let every = app.settings.write_downloads_every;
        app.runtime.spawn(Downloads::keep_writing(Arc::downgrade(&app), every));
        if let Some(search) = &app.search {
            app.runtime.spawn(Arc::clone(search).keep(app.engine.clone(), app.stopping()));
        }
        Ok(app)
    }

    /// The base address of the answer to a request.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] for a malformed host, or one that is not served here.
    pub fn base_of(&self, request: &HttpRequest) -> Result<Arc<Base>, ApiError> {
        let peer = request.peer_addr().map(|address| address.ip());
        self.bases.of(request.uri(), request.headers(), peer)
    }

    /// Whether packages can be served.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Says whether packages can be served.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Ends what would never end by itself: event streams.
    pub fn begin_stopping(&self) {
        self.set_ready(false);
        self.stopping.send_replace(true);
    }

    /// Turns true when the server stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Asks the server to stop, as a signal does.
    pub fn ask_to_stop(&self) {
        self.stop.send_modify(|asked| *asked = asked.saturating_add(1));
    }
}

/// Tells the caches of every commit, until the engine is gone.
async fn follow_commits(
    mut events: tokio::sync::broadcast::Receiver<EngineEvent>,
    (generations, access, known): (Arc<Generations>, Access, KnownTokens),
) {
    loop {
        match events.recv().await {
            Ok(EngineEvent::Committed { name, .. } | EngineEvent::BlocksChanged { name }) => {
                generations.raise(&name);
            }
            Ok(EngineEvent::ChangedSomewhere { names }) => {
                names.iter().for_each(|name| generations.raise(name));
            }
            Ok(EngineEvent::PolicyChanged) => generations.raise_all(),
            Ok(EngineEvent::AccessChanged) => access.forget(),
            Ok(EngineEvent::AccountsChanged) => known.forget(),
            Ok(EngineEvent::OwnershipChanged) => {
                generations.raise_all();
                access.forget();
            }
            Err(RecvError::Lagged(_)) => {
                generations.raise_all();
                access.forget();
                known.forget();
            }
            Ok(_) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
