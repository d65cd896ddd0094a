//! Starts the actors in order, hands out their addresses, and drains them in reverse.
//!
//! The actors share one arbiter on a thread of their own (their handlers take microseconds);
//! the work itself, every upstream request included, runs on the engine's own multi-thread
//! runtime, so that neither an HTTP worker nor an actor ever waits for it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::{Addr, Arbiter, ArbiterHandle, Supervisor, System};
use futures_util::future::join_all;
use store::hooks;
use store::tasks::{self, TaskFilter};
use store::{Store, TaskState};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, broadcast, oneshot};

use crate::audit::{Audit, AuditDeps, StopAuditing};
use crate::changes_follower::{ChangesFollower, FollowDeps, StopFollowing};
use crate::committer::{CommitError, Committer, Drain, Write};
use crate::credit::ByteCredits;
use crate::events::{EVENT_BUFFER, EngineEvent};
use crate::handle::{EngineError, EngineHandle, Shared};
use crate::hook_dispatcher::{HookDeps, HookDispatcher, HookSettings, Sender, StopDelivering};
use crate::janitor::{Janitor, JanitorSettings, LookAtDisk};
use crate::log_writer::{FlushLogs, LogWriter, TaskLogs};
use crate::metadata_writer::MetadataWriter;
use crate::node_watch::NodeWatch;
use crate::parking::Parking;
use crate::policy::CurrentPolicy;
use crate::recent_reads::RecentReads;
use crate::registries::{Registries, RegistryActors, StartActors};
use crate::registry_sync::{
    JobDeps, JobLimits, QueueAddresses, RegistrySync, Staleness, StopClaiming,
};
use crate::rules::Rules;
use crate::settings::EngineSettings;
use crate::signing_keys::{SigningKeys, WriteRows};
use crate::task_queue::{RegisterPuller, TaskQueue};
use crate::upstream_slot::UpstreamSlot;

/// Name of the registry that is asked when nothing else is said.
pub const DEFAULT_REGISTRY: &str = store::registries::DEFAULT;

/// The running engine. Dropped without [`shutdown`](Self::shutdown) it stops at once, like a
/// killed process: leases run out and nothing acknowledged is lost.
pub struct Engine {
    handle: EngineHandle,
    runtime: OwnRuntime,
    actors: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

/// The engine's runtime. It never waits for its tasks when it ends: engines start and end inside
/// other runtimes, where that is not allowed.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        self.end();
    }
}

/// The addresses of all actors, and what they were given in common.
pub(crate) struct Addresses {
    pub(crate) rules: Rules,
    pub(crate) committer: Addr<Committer>,
    pub(crate) queue: Addr<TaskQueue>,
    pub(crate) logs: Addr<LogWriter>,
    pub(crate) janitor: Addr<Janitor>,
    pub(crate) node_watch: Addr<NodeWatch>,
    pub(crate) hooks: Addr<HookDispatcher>,
    pub(crate) hook_deps: HookDeps,
}

/// What the actors share beside their addresses.
#[derive(Clone)]
struct Common {
    store: Store,
    parking: Parking,
    registries: Registries,
    recent_reads: Arc<RecentReads>,
    logs: TaskLogs,
    events: broadcast::Sender<EngineEvent>,
    sender: Arc<Sender>,
    runtime: tokio::runtime::Handle,
}

impl Engine {
    /// Starts the engine over an open store.
    ///
    /// # Errors
    /// When a thread cannot be started or the upstream's settings are refused.
    pub async fn start(settings: EngineSettings, store: Store) -> Result<Self, EngineError> {
        let registries = Box::pin(Registries::open(
            store.clone(),
            settings.registry_defaults.clone(),
            settings.upstream.clone(),
            settings.private_scopes.clone(),
        ))
        .await?;
        give_back_orphans(&store).await?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("engine")
            .enable_all()
            .build()
            .map_err(|error| EngineError::Start(error.to_string()))?;
        let common = Common {
            store,
            parking: Parking::default(),
            registries,
            recent_reads: Arc::default(),
            logs: TaskLogs::default(),
            events: broadcast::channel(EVENT_BUFFER).0,
            sender: Arc::new(Sender::new(&settings.hooks).map_err(EngineError::Start)?),
            runtime: runtime.handle().clone(),
        };
        let runtime = OwnRuntime(Some(runtime));
        let (started, addresses) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let actors = start_thread(settings.clone(), common.clone(), started, stopped)?;
        let addresses = addresses
            .await
            .map_err(|_| EngineError::Start("the thread of the actors ended at once".into()))?;
        // one bad row is no reason to serve nothing
        if let Err(error) = Box::pin(common.registries.reload()).await {
            tracing::error!(%error, "not every registry is in use");
        }
        let handle = EngineHandle::new(Shared::new(addresses, &settings, common.into_parts()));
        Ok(Self { handle, runtime, actors: Some(actors), stop: Some(stop) })
    }

    /// The way to talk to the engine; stays valid until it is shut down.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Stops in order: feeds are left, no new claims, running jobs finish or give their tasks back
    /// within `grace`, what waits is committed, logs are stored, threads end.
    pub async fn shutdown(mut self, grace: Duration) {
        let addresses = self.handle.addresses();
        let registries = self.handle.registries();
        for follower in registries.followers() {
            let _ = follower.send(StopFollowing).await;
        }
        for audit in registries.audits() {
            let _ = audit.send(StopAuditing).await;
        }
        let syncs = registries.syncs();
        let delivering = addresses.hooks.send(StopDelivering { grace });
        let syncing = join_all(syncs.iter().map(|sync| sync.send(StopClaiming { grace })));
        let _ = tokio::join!(delivering, syncing);
        let _ = addresses.logs.send(FlushLogs).await;
        let _ = addresses.committer.send(Drain).await;
        self.end_threads();
    }

    fn end_threads(&mut self) {
        self.runtime.end();
        self.handle.registries().end();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(actors) = self.actors.take() {
            let _ = actors.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end_threads();
    }
}

/// Where one process alone works on the store, tasks that are leased at its start were those of a
/// process that died: they go on at once instead of when their leases run out.
async fn give_back_orphans(store: &Store) -> Result<(), EngineError> {
    if !store.is_local() {
        return Ok(());
    }
    let write = store.clone();
    let ended = tokio::task::spawn_blocking(move || match write.hooks().current().is_empty() {
        true => Ok(()),
        false => write.writer_blocking()?.write_blocking(hooks::lease::end_all),
    });
    ended.await.map_err(|error| EngineError::Start(error.to_string()))??;
    let leased =
        TaskFilter { state: Some(TaskState::Processing), limit: i64::MAX, ..TaskFilter::default() };
    let orphans = store.read(move |connection| tasks::list(connection, &leased)).await?;
    if orphans.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = orphans.into_iter().map(|task| task.id).collect();
    let store = store.clone();
    // no actor runs yet, so this is the only writer
    let given_back = tokio::task::spawn_blocking(move || {
        store.writer_blocking()?.write_blocking(|connection| tasks::give_back(connection, &ids))
    });
    given_back.await.map_err(|error| EngineError::Start(error.to_string()))??;
    Ok(())
}

/// The shared parts a handle needs, in the order of [`Common`].
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) parking: Parking,
    pub(crate) registries: Registries,
    pub(crate) recent_reads: Arc<RecentReads>,
    pub(crate) logs: TaskLogs,
    pub(crate) events: broadcast::Sender<EngineEvent>,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Parts {
    pub(crate) fn tell(&self, event: EngineEvent) {
        let _ = self.events.send(event);
    }
}

impl Common {
    fn into_parts(self) -> Parts {
        Parts {
            store: self.store,
            parking: self.parking,
            registries: self.registries,
            recent_reads: self.recent_reads,
            logs: self.logs,
            events: self.events,
            runtime: self.runtime,
        }
    }
}

fn start_thread(
    settings: EngineSettings,
    common: Common,
    started: oneshot::Sender<Addresses>,
    stopped: oneshot::Receiver<()>,
) -> Result<JoinHandle<()>, EngineError> {
    let run = move || {
        System::new().block_on(async move {
            let addresses = start_actors(&settings, &common);
            if started.send(addresses).is_ok() {
                let _ = stopped.await;
            }
        });
    };
    std::thread::Builder::new()
        .name("actors".into())
        .spawn(run)
        .map_err(|error| EngineError::Start(error.to_string()))
}

fn start_actors(settings: &EngineSettings, common: &Common) -> Addresses {
    let writer = MetadataWriter::start(common.store.clone());
    let committer = Supervisor::start({
        let (write, idle) = (writer.clone().recipient(), writer.recipient());
        let events = common.events.clone();
        move |_| Committer::new(write, idle, events)
    });
    let queue = Supervisor::start({
        let (committer, worker) = (committer.clone().recipient(), settings.worker_name.clone());
        let logs = common.logs.clone();
        move |_| TaskQueue::new(committer, worker, logs)
    });
    let logs = Supervisor::start({
        let (committer, common) = (committer.clone().recipient(), common.clone());
        move |_| LogWriter::new(committer, common.store, common.logs)
    });
    let rules = rules(settings, common, &committer);
    let janitor = start_janitor(settings, common, &committer);
    let node_watch = Supervisor::start({
        let common = common.clone();
        move |_| NodeWatch::new(common.store, common.registries, common.events, common.runtime)
    });
    let hook_deps = hook_deps(settings, common, &committer);
    let hooks = Supervisor::start({
        let deps = hook_deps.clone();
        move |_| HookDispatcher::new(deps)
    });
    let addresses =
        Addresses { rules, committer, queue, logs, janitor, node_watch, hooks, hook_deps };
    common.registries.run(
        addresses.committer.clone().recipient(),
        registry_starter(settings.clone(), common.clone(), &addresses),
    );
    addresses
}

/// Starts the actors of a registry on the thread of all actors, from whatever thread.
fn registry_starter(
    settings: EngineSettings,
    common: Common,
    addresses: &Addresses,
) -> StartActors {
    let (committer, queue) = (addresses.committer.clone(), addresses.queue.clone());
    let (rules, arbiter) = (addresses.rules.clone(), Arbiter::current());
    Box::new(move |registry, upstream| {
        if !settings.work_on_tasks {
            return RegistryActors::default();
        }
        let deps = JobDeps {
            registry: Arc::from(registry),
            queue_length: Arc::default(),
            upstream: upstream.clone(),
            ..job_deps(&settings, &common, &committer, &queue, rules.clone())
        };
        let sync = start_sync(&arbiter, deps, settings.workers, &queue);
        let follower = settings.follow.takes.map(|takes| {
            let deps = FollowDeps {
                registry: Arc::from(registry),
                upstream: upstream.clone(),
                registries: common.registries.clone(),
                store: common.store.clone(),
                write: committer.clone().recipient(),
                take: queue.clone().recipient(),
                recheck: queue.clone().recipient(),
                settings: settings.follow.clone(),
                takes,
                worker: Arc::from(settings.worker_name.as_str()),
            };
            let runtime = common.runtime.clone();
            Supervisor::start_in_arbiter(&arbiter, move |_| ChangesFollower::new(deps, runtime))
        });
        let deps = AuditDeps {
            registry: Arc::from(registry),
            upstream: upstream.clone(),
            registries: common.registries.clone(),
            store: common.store.clone(),
            write: committer.clone().recipient(),
            make: queue.clone().recipient(),
            parking: common.parking.clone(),
            settings: settings.audit.clone(),
        };
        let runtime = common.runtime.clone();
        let audit = Supervisor::start_in_arbiter(&arbiter, move |_| Audit::new(deps, runtime));
        RegistryActors { sync: Some(sync), follower, audit: Some(audit) }
    })
}

fn start_sync(
    arbiter: &ArbiterHandle,
    deps: JobDeps,
    workers: usize,
    queue: &Addr<TaskQueue>,
) -> Addr<RegistrySync> {
    let addresses = QueueAddresses {
        claim: queue.clone().recipient(),
        claim_these: queue.clone().recipient(),
        renew: queue.clone().recipient(),
        give_back: queue.clone().recipient(),
    };
    let registry = deps.registry.to_string();
    let new = move |_: &mut _| RegistrySync::new(deps, addresses, workers);
    let sync = Supervisor::start_in_arbiter(arbiter, new);
    let puller = RegisterPuller {
        registry,
        wake_up: sync.clone().recipient(),
        run_soon: sync.clone().recipient(),
        cancel: sync.clone().recipient(),
        release: sync.clone().recipient(),
    };
    if queue.try_send(puller).is_err() {
        tracing::error!("a registry sync polls for its tasks: the queue took no more messages");
    }
    sync
}

fn job_deps(
    settings: &EngineSettings,
    common: &Common,
    committer: &Addr<Committer>,
    queue: &Addr<TaskQueue>,
    rules: Rules,
) -> JobDeps {
    JobDeps {
        registry: Arc::from(DEFAULT_REGISTRY),
        worker: Arc::from(host_and_pid()),
        queue_length: Arc::default(),
        upstream: UpstreamSlot::default(),
        registries: common.registries.clone(),
        recent_reads: Arc::clone(&common.recent_reads),
        store: common.store.clone(),
        commit: committer.clone().recipient(),
        settle: queue.clone().recipient(),
        enqueue: queue.clone().recipient(),
        logs: common.logs.clone(),
        parking: common.parking.clone(),
        tarballs: Arc::new(Semaphore::new(settings.tarball_concurrency.max(1))),
        bytes: ByteCredits::new(settings.tarball_memory_bytes),
        events: common.events.clone(),
        limits: JobLimits { max_attempts: settings.max_attempts, high_water: settings.high_water },
        rules,
        staleness: Arc::new(Staleness::new(
            settings.follow.older_wait,
            settings.follow.older_until,
        )),
        runtime: common.runtime.clone(),
        panicked: Arc::new(AtomicU64::new(0)),
    }
}

/// Where a task ran, as logs say it.
fn host_and_pid() -> String {
    let system = rustix::system::uname();
    format!("{}/{}", system.nodename().to_string_lossy(), std::process::id())
}

fn rules(settings: &EngineSettings, common: &Common, committer: &Addr<Committer>) -> Rules {
    let (store, write) = (common.store.clone(), write_rows(committer));
    let keys = SigningKeys::new(store.clone(), Arc::clone(&write));
    Rules {
        policy: settings.policy.clone(),
        current: CurrentPolicy::new(settings.policy.clone()),
        max_tarball_bytes: settings.max_tarball_bytes,
        keys,
        store,
        write,
    }
}

fn hook_deps(settings: &EngineSettings, common: &Common, committer: &Addr<Committer>) -> HookDeps {
    HookDeps {
        store: common.store.clone(),
        write: committer.clone().recipient(),
        sender: Arc::clone(&common.sender),
        settings: HookSettings::clone(&settings.hooks),
        worker: settings.worker_name.clone(),
        runtime: common.runtime.clone(),
    }
}

/// The way of rare writes for those who are no actors.
fn write_rows(committer: &Addr<Committer>) -> WriteRows {
    let write = committer.clone().recipient::<Write>();
    Arc::new(move |rows| {
        let write = write.clone();
        Box::pin(async move {
            write.send(Write { write: rows }).await.unwrap_or(Err(CommitError::Restarted))
        })
    })
}

fn start_janitor(
    settings: &EngineSettings,
    common: &Common,
    committer: &Addr<Committer>,
) -> Addr<Janitor> {
    let watched = JanitorSettings {
        folder: settings.data_folder.clone(),
        keep_free_bytes: settings.keep_free_bytes,
        keep_audit_log: settings.keep_audit_log,
    };
    let (committer, common) = (committer.clone().recipient(), common.clone());
    let janitor = Supervisor::start(move |_| {
        let Common { parking, registries, events, .. } = common;
        Janitor::new(watched, parking, committer, registries, events)
    });
    let _ = janitor.try_send(LookAtDisk);
    janitor
}
