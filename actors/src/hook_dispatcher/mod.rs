//! Tells hooks of what happened to packages: takes what waits in the outbox, one worker a hook.
//!
//! Owns nothing that must survive: the outbox is the truth, and a lease on a hook makes sure that
//! one node alone delivers for it, in order. Woken by commits of this node, polls for those of
//! others and for what is due again. Workers run on the engine's runtime and report with
//! [`HookRested`]; a slow receiver holds up its own worker only. After a restart leases of the
//! workers that are gone run out and are taken up again.

mod guard;
mod handle;
mod health;
mod line;
mod messages;
mod payload;
mod sender;
mod settings;
mod sweep;
mod tidy;
mod trial;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, Recipient,
    ResponseFuture, SpawnHandle, Supervised, WrapFuture,
};
use futures_util::FutureExt;
use store::Store;
use store::hooks::{HookRow, lease};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};

pub use self::guard::RefusedEndpoint;
use self::line::WorkerDeps;
use self::messages::HookCounters;
pub use self::messages::{
    DescribeHookDispatcher, DescribePayloads, HookDispatcherStatus, HookRested, HooksQueued,
    StopDelivering, UsePayloads,
};
pub use self::payload::{Payload, PayloadSource};
pub use self::sender::{DELIVERY_HEADER, Sender, Sent, check_endpoint};
pub use self::settings::HookSettings;
use self::sweep::Worker;
pub use self::trial::try_alone;
use crate::committer::{CommitError, Write, write_returning};
use crate::supervision::{RestartBackoff, guarded, panic_text};
use crate::task_queue::LEASE_MS;

/// How often is looked for what other nodes queued and for what is due again.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// How often old history is deleted.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// Hooks worked on at once; a hook whose receiver hangs has a place for one timeout only.
const WORKERS: usize = 256;

/// What the dispatcher needs.
#[derive(Clone)]
pub(crate) struct HookDeps {
    pub(crate) store: Store,
    pub(crate) write: Recipient<Write>,
    pub(crate) sender: Arc<Sender>,
    pub(crate) settings: HookSettings,
    /// Name of this process in leases.
    pub(crate) worker: String,
    pub(crate) runtime: Handle,
}

/// The dispatcher; see the module.
pub struct HookDispatcher {
    deps: HookDeps,
    payloads: Option<PayloadSource>,
    workers: HashMap<String, AbortHandle>,
    claiming: bool,
    claim_again: bool,
    stop: watch::Sender<bool>,
    stopping: Option<Vec<oneshot::Sender<()>>>,
    grace: Option<SpawnHandle>,
    listener: Option<JoinHandle<()>>,
    counters: Arc<HookCounters>,
    backoff: RestartBackoff,
}

type Claimed = Result<Vec<HookRow>, CommitError>;

impl HookDispatcher {
    pub(crate) fn new(deps: HookDeps) -> Self {
        Self {
            deps,
            payloads: None,
            workers: HashMap::new(),
            claiming: false,
            claim_again: false,
            stop: watch::Sender::new(false),
            stopping: None,
            grace: None,
            listener: None,
            counters: Arc::default(),
            backoff: RestartBackoff::default(),
        }
    }

    fn poll(&mut self, ctx: &mut Context<Self>) {
        // a mirror without hooks reads nothing for them
        if !self.deps.store.hooks().current().is_empty() {
            self.pull(ctx);
        }
    }

    /// Takes up hooks for which something can be sent, if there is room.
    fn pull(&mut self, ctx: &mut Context<Self>) {
        let room = WORKERS.saturating_sub(self.workers.len());
        if self.stopping.is_some() || self.payloads.is_none() || room == 0 {
            return;
        }
        if self.claiming {
            self.claim_again = true;
            return;
        }
        self.claiming = true;
        self.claim_again = false;
        let claimed = claim(self.deps.clone(), room).into_actor(self);
        ctx.spawn(claimed.map(|claimed, this, ctx| {
            guarded(this, ctx, |this, ctx| this.claimed(claimed, ctx));
        }));
    }

    fn claimed(&mut self, claimed: Claimed, ctx: &mut Context<Self>) {
        self.claiming = false;
        match claimed {
            Ok(hooks) => hooks.into_iter().for_each(|hook| self.start_worker(hook, ctx)),
            Err(error) => {
                tracing::warn!(%error, "hooks could not be taken up; the next poll tries again");
            }
        }
        if self.claim_again {
            self.pull(ctx);
        }
        self.stopped_if_idle();
    }

    /// A worker that starts while all stop gives its lease back at once.
    fn start_worker(&mut self, hook: HookRow, ctx: &Context<Self>) {
        let Some(payloads) = self.payloads.clone() else { return };
        let deps = Arc::new(WorkerDeps {
            store: self.deps.store.clone(),
            write: self.deps.write.clone(),
            sender: Arc::clone(&self.deps.sender),
            payloads,
            settings: self.deps.settings.clone(),
            worker: self.deps.worker.clone(),
            counters: Arc::clone(&self.counters),
        });
        let (id, rested) = (hook.id.clone(), ctx.address().recipient());
        let worker = Worker::new(deps, hook, self.stop.subscribe());
        let told = id.clone();
        let work = async move {
            if let Err(panic) = AssertUnwindSafe(worker.run()).catch_unwind().await {
                let panic = panic_text(&*panic);
                tracing::error!(hook.id = told, panic, "the worker of a hook panicked");
            }
            let _ = rested.send(HookRested { id: told }).await;
        };
        self.workers.insert(id, self.deps.runtime.spawn(work).abort_handle());
    }

    fn renew(&mut self, ctx: &mut Context<Self>) {
        let ids: Vec<String> = self.workers.keys().cloned().collect();
        if ids.is_empty() {
            return;
        }
        let worker = self.deps.worker.clone();
        let renewed = write_returning(self.deps.write.clone(), move |rows| {
            lease::renew(rows, &worker, &ids, LEASE_MS)
        });
        ctx.spawn(renewed.into_actor(self).map(|renewed, _, _| {
            if let Err(error) = renewed {
                tracing::warn!(%error, "leases of hooks were not renewed; the next try is soon");
            }
        }));
    }

    fn tidy(&self) -> impl Future<Output = ()> + Send + 'static {
        let deps = self.deps.clone();
        async move {
            let tidied = tidy::tidy(&deps.store, &deps.write, &deps.settings).await;
            if let Err(error) = tidied {
                tracing::warn!(%error, "old deliveries of hooks could not be deleted");
            }
        }
    }

    /// The bell that commits ring; one listener at a time.
    fn listen(&mut self, ctx: &Context<Self>) {
        let (hooks, queued) = (Arc::clone(self.deps.store.hooks()), ctx.address().recipient());
        let listener = self.deps.runtime.spawn(async move {
            loop {
                hooks.queued().await;
                if queued.send(HooksQueued).await.is_err() {
                    return;
                }
            }
        });
        if let Some(before) = self.listener.replace(listener) {
            before.abort();
        }
    }

    fn stopped_if_idle(&mut self) {
        if self.workers.is_empty() && !self.claiming {
            for waiting in self.stopping.iter_mut().flat_map(|waiting| waiting.drain(..)) {
                let _ = waiting.send(());
            }
        }
    }
}

/// Reads before it writes: most looks find nothing.
async fn claim(deps: HookDeps, room: usize) -> Claimed {
    if !deps.store.read(lease::is_due).await? {
        return Ok(Vec::new());
    }
    let limit = i64::try_from(room).unwrap_or(i64::MAX);
    let worker = deps.worker;
    write_returning(deps.write, move |rows| lease::claim(rows, &worker, limit, LEASE_MS)).await
}

impl Actor for HookDispatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
        self.listen(ctx);
        ctx.run_interval(POLL_EVERY, |this, ctx| {
            guarded(this, ctx, Self::poll);
        });
        let renew_every = Duration::from_millis(LEASE_MS.unsigned_abs() / 3);
        ctx.run_interval(renew_every, |this, ctx| {
            guarded(this, ctx, Self::renew);
        });
        ctx.run_interval(TIDY_EVERY, |this, ctx| {
            guarded(this, ctx, |this, ctx| {
                ctx.spawn(this.tidy().into_actor(this));
            });
        });
    }
}

impl Supervised for HookDispatcher {
    fn restarting(&mut self, _: &mut Self::Context) {
        // their leases run out
        for (_, worker) in self.workers.drain() {
            worker.abort();
        }
        self.claiming = false;
        self.claim_again = false;
        self.backoff.note_restart();
    }
}

impl Handler<UsePayloads> for HookDispatcher {
    type Result = ();

    fn handle(&mut self, UsePayloads(source): UsePayloads, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, ctx| {
            this.payloads = Some(source);
            this.poll(ctx);
            ctx.spawn(this.tidy().into_actor(this));
        });
    }
}

impl Handler<DescribePayloads> for HookDispatcher {
    type Result = MessageResult<DescribePayloads>;

    fn handle(&mut self, _: DescribePayloads, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.payloads.clone())
    }
}

impl Handler<HooksQueued> for HookDispatcher {
    type Result = ();

    fn handle(&mut self, _: HooksQueued, ctx: &mut Self::Context) {
        guarded(self, ctx, Self::pull);
    }
}

impl Handler<HookRested> for HookDispatcher {
    type Result = ();

    fn handle(&mut self, rested: HookRested, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, ctx| {
            this.workers.remove(&rested.id);
            // something may have been queued for it between its last look and now
            this.pull(ctx);
            this.stopped_if_idle();
        });
    }
}

impl Handler<StopDelivering> for HookDispatcher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, stop: StopDelivering, ctx: &mut Self::Context) -> Self::Result {
        let (stopped, wait) = oneshot::channel();
        self.stopping.get_or_insert_default().push(stopped);
        self.stop.send_replace(true);
        if self.grace.is_none() {
            self.grace = Some(ctx.run_later(stop.grace, |this, ctx| {
                guarded(this, ctx, |this, _| {
                    for (_, worker) in this.workers.drain() {
                        worker.abort(); // its lease runs out
                    }
                    this.stopped_if_idle();
                });
            }));
        }
        self.stopped_if_idle();
        Box::pin(async move {
            let _ = wait.await;
        })
    }
}

impl Handler<DescribeHookDispatcher> for HookDispatcher {
    type Result = MessageResult<DescribeHookDispatcher>;

    fn handle(&mut self, _: DescribeHookDispatcher, _: &mut Self::Context) -> Self::Result {
        MessageResult(HookDispatcherStatus {
            working: self.workers.len(),
            restarts: self.backoff.restarts(),
            ..self.counters.read()
        })
    }
}
