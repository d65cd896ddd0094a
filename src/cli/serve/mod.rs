//! `espejo serve`: opens everything, says how to use it, and stops in order.

mod banner;
mod bootstrap;
mod later_upstream;
mod reload;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use actors::{Engine, changes_follower::FollowSettings};
use clap::Args;
use sd_notify::NotifyState;
use store::{Store, feeds::Takes};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use self::banner::Banner;
use super::{
    arguments::GlobalArguments,
    control::SOCKET_NAME,
    exit::Exit,
    open::{DataFolder, STOP_GRACE, engine_settings},
    output::Output,
    ports,
    problem::{Outcome, Problem},
    upstream,
};
use crate::{
    app::{OnMiss, ServeSettings, SyncMode},
    config::{Config, LoadRequest},
    logging::{self, LogFormat},
    publishing::PublishSettings,
    registries::Rules,
    search::SearchSettings,
    server::{self, Running, ServeError},
};

/// Threads for what is neither serving nor syncing: signals, event streams, long operations.
const RUNTIME_THREADS: usize = 2;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Where the registry listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Upstream registry; remembered
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
}

/// Runs the mirror until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(
    arguments: &ServeArguments,
    global: &GlobalArguments,
    output: &Output,
    started: Instant,
) -> Outcome {
    let request = global.load_request(&[
        ("listen", &arguments.listen, "--listen"),
        ("upstream.url", &arguments.upstream, "--upstream"),
    ]);
    let mut config = Config::load(&request)?;
    start_logs(&config, output)?;
    let folder = DataFolder::lock(&config)?;
    let store = folder.open_store(&config)?;
    let new_token = bootstrap::ensure_admin_token(&config, &store)?;
    upstream::known(&mut config, &store, !global.no_discovery)?;
    let serving = Serving { config, store, output, started, request, new_token };
    let outcome = runtime()?.block_on(serving.run(!global.no_discovery));
    drop(folder); // the lock goes last: until here nobody else may open the folder
    outcome
}

fn start_logs(config: &Config, output: &Output) -> Result<(), Problem> {
    let level = match output.verbose {
        0 => config.log.level.as_str(),
        1 => "debug",
        _ => "trace",
    };
    let format = LogFormat::from_setting(&config.log.format);
    logging::start(format, level, output.colour_on_stderr())
        .map_err(|error| Problem::new(Exit::Usage, "CONFIG_VALUE", error.to_string()))
}

fn runtime() -> Result<Runtime, Problem> {
    let built = Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build();
    built.map_err(|error| Problem::failed("the runtime cannot start").why(error))
}

/// A mirror that is opened and about to serve.
struct Serving<'a> {
    config: Config,
    store: Store,
    output: &'a Output,
    started: Instant,
    request: LoadRequest,
    new_token: bool,
}

impl Serving<'_> {
    async fn run(self, discover: bool) -> Outcome {
        // First of all: a signal that comes during the start stops in order, too.
        let signals = StopSignals::listen()?;
        let settings = upstream::settings(&self.config, &self.store)?;
        let ask_npm = settings.is_none() && discover;
        let mut settings = engine_settings(&self.config, settings);
        settings.follow = follow_settings(&self.config);
        settings.registry_defaults = Some(upstream::registry_defaults(&self.config, &self.store)?);
        let engine = Engine::start(settings, self.store.clone())
            .await
            .map_err(|error| Problem::failed("the engine cannot start").why(error))?;
        let handle = engine.handle();
        let (ready, is_ready) = oneshot::channel();
        let server = tokio::spawn(server::run(serve_settings(&self.config), engine, ready));
        if let Ok(running) = is_ready.await {
            reload::follow(self.request.clone(), self.config.clone(), handle.clone())?;
            self.say_ready(&running, ask_npm);
            signals.follow(running.stop);
            if ask_npm {
                later_upstream::ask(&self.config, handle, self.output.json);
            }
        }
        match server.await {
            Ok(Ok(())) => Ok(Exit::Done),
            Ok(Err(error)) => Err(refused(&error)),
            Err(error) => Err(Problem::failed("the server ended unexpectedly").why(error)),
        }
    }

    fn say_ready(&self, running: &Running, asking_npm: bool) {
        let banner = Banner {
            config: &self.config,
            listen: running.listen,
            ops_listen: running.ops_listen,
            asking_npm,
            new_token: self.new_token,
            ready_in: self.started.elapsed(),
        };
        if self.output.json {
            self.output.json(&banner.to_json());
        } else {
            self.output.line(banner.to_text());
        }
        for note in &running.notes {
            tracing::warn!("{note}");
        }
        if let Some(warning) = banner.public_warning() {
            tracing::warn!("{warning}");
        }
        tell_service_manager(NotifyState::Ready);
    }
}

/// Without a service manager there is nobody to tell.
fn tell_service_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

/// SIGTERM and SIGINT, from the moment they are listened for.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, Problem> {
        let refused = |error| Problem::failed("cannot listen for signals").why(error);
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(refused)?,
            interrupt: signal(SignalKind::interrupt()).map_err(refused)?,
        })
    }

    /// Hands them on to the server: the first stops in order, the second at once.
    fn follow(mut self, stop: server::StopHandle) {
        tokio::spawn(async move {
            let mut times = 0_u32;
            loop {
                tokio::select! {
                    Some(()) = self.terminate.recv() => {}
                    Some(()) = self.interrupt.recv() => {}
                    else => return,
                }
                times += 1;
                if times == 1 {
                    tracing::info!("stopping; a second signal stops at once");
                    tell_service_manager(NotifyState::Stopping);
                }
                stop.stop();
            }
        });
    }
}

fn refused(error: &ServeError) -> Problem {
    match error {
        ServeError::PortTaken { address } => port_taken(*address),
        ServeError::Listen { address, source } => {
            Problem::new(Exit::Failed, "LISTEN", format!("cannot listen on {address}"))
                .why(source)
                .hint("espejo serve --listen ADDRESS:PORT")
        }
        ServeError::Tls(error) => Problem::new(Exit::Usage, "TLS", error.to_string())
            .hint("name PEM files with tls.cert and tls.key"),
        other => Problem::failed(other.to_string()),
    }
}

fn port_taken(address: SocketAddr) -> Problem {
    let next = SocketAddr::new(address.ip(), address.port().saturating_add(10));
    let holder = ports::holder(address)
        .map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
    Problem::new(Exit::Failed, "PORT_TAKEN", format!("cannot listen on {address}"))
        .why(format!("{holder} already uses it"))
        .hint(format!("stop it, or `espejo serve --listen {next}`"))
}

/// Feeds are followed while serving; a single sync follows none.
fn follow_settings(config: &Config) -> FollowSettings {
    FollowSettings {
        takes: match config.sync.mode.as_str() {
            "none" => None,
            "all" => Some(Takes::All),
            _ => Some(Takes::Held),
        },
        start: config.upstream.feed_since,
        poll_every: config.upstream.feed_every,
        alarm_after: config.upstream.feed_alarm,
        ..FollowSettings::default()
    }
}

/// Least time between two commits of the search index; each writes and flushes some files.
const SEARCH_EVERY: Duration = Duration::from_secs(1);

fn serve_settings(config: &Config) -> ServeSettings {
    ServeSettings {
        listen: config.listen,
        public_url: config.public_url.clone(),
        trusted_proxies: config.server.trusted_proxies.clone(),
        hosts: config.server.hosts.clone(),
        tls: config.server.tls.clone(),
        on_miss: match config.sync.on_miss.as_str() {
            "redirect" => OnMiss::Redirect,
            "none" => OnMiss::None,
            _ => OnMiss::Fetch,
        },
        sync_mode: match config.sync.mode.as_str() {
            "none" => SyncMode::None,
            "admin" => SyncMode::Admin,
            "all" => SyncMode::All,
            _ => SyncMode::Exist,
        },
        registries: Rules::of(config),
        sync_anonymous: config.sync.anonymous,
        sync_per_minute: config.limits.sync_per_minute,
        publish: PublishSettings {
            enabled: config.publish.enabled,
            scopes: with_at(&config.publish.scopes),
            unscoped: config.publish.unscoped,
            max_tarball_bytes: config.publish.max_tarball_bytes,
            strict: config.publish.strict,
        },
        admins: config.admins.clone(),
        registration_open: config.security.registration_open,
        always_auth: config.security.always_auth,
        password_cost: config.security.password_cost,
        login_per_minute: config.limits.login_per_minute,
        token_per_minute: config.limits.token_per_minute,
        hooks_per_user: config.hooks.max_per_user,
        upstream_url: config.upstream.url.clone(),
        fresh_for: config.sync.fresh_for,
        negative_for: config.sync.negative_for,
        search: config.search.enabled.then(|| SearchSettings {
            folder: config.storage.path.join("search"),
            every: SEARCH_EVERY,
        }),
        ops_listen: config.ops_listen,
        control_socket: Some(config.storage.path.join(SOCKET_NAME)),
        log_access: config.log.access == "all",
        workers: std::thread::available_parallelism().map_or(1, usize::from),
        handle_signals: false, // ours also tell the service manager
        stop_grace: STOP_GRACE,
        ..ServeSettings::default()
    }
}

/// How long a task of start-up took, for messages.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Scopes as names have them.
fn with_at(scopes: &[String]) -> Vec<String> {
    scopes.iter().map(|scope| format!("@{}", scope.trim_start_matches('@'))).collect()
}
