//! Keeps the house in order: watches free space and forgets what is over.
//!
//! Owns nothing that must survive. Parks fetching when the data folder has less room than
//! `storage.keep_free` or a write met a full disk, and lifts that as soon as there is room
//! again. Deletes finished tasks and their logs, tokens and sign-ins that have ended, and old rows of
//! the audit log (`tidy.rs`). Wakes the registry syncs up when fetching goes on.

mod disk;
mod tidy;

use std::path::PathBuf;
use std::time::Duration;

use actix::{
    Actor, AsyncContext, Context, Handler, Message, MessageResult, Recipient, ResponseFuture,
    Supervised, WrapFuture,
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

pub use self::disk::free_bytes;
use crate::committer::Write;
use crate::events::EngineEvent;
use crate::parking::Parking;
use crate::registries::Registries;
use crate::supervision::{RestartBackoff, guarded};
use crate::words::in_words;

/// How often free space is looked at, one system call.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often what is over is deleted.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// When that is done first: not while a start has other work, and also where no process lives long.
const TIDY_FIRST: Duration = Duration::from_secs(60);

/// What the janitor watches.
pub struct JanitorSettings {
    /// The data folder; `None` where blobs are not on a local disk.
    pub folder: Option<PathBuf>,
    /// Below this fetching parks, in bytes; 0 = never.
    pub keep_free_bytes: u64,
    /// How long rows of the audit log are kept; `None` = for good.
    pub keep_audit_log: Option<Duration>,
}

/// The janitor; see the module.
pub struct Janitor {
    settings: JanitorSettings,
    parking: Parking,
    committer: Recipient<Write>,
    registries: Registries,
    events: broadcast::Sender<EngineEvent>,
    backoff: RestartBackoff,
}

/// Looks at free space now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LookAtDisk;

/// Deletes what is over now; answers when that is done.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TidyUp;

/// Asks for [`JanitorStatus`].
#[derive(Message)]
#[rtype(result = "JanitorStatus")]
pub struct DescribeJanitor;

/// What the janitor sees.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JanitorStatus {
    /// Free bytes of the data folder's volume, where there is one.
    pub free_bytes: Option<u64>,
    /// Below this fetching parks.
    pub keep_free_bytes: u64,
    /// Why fetching is parked, when it is.
    pub parked: Option<String>,
    /// Restarts of the actor.
    pub restarts: u32,
}

impl Janitor {
    /// A janitor for one engine.
    pub fn new(
        settings: JanitorSettings,
        parking: Parking,
        committer: Recipient<Write>,
        registries: Registries,
        events: broadcast::Sender<EngineEvent>,
    ) -> Self {
        Self {
            settings,
            parking,
            committer,
            registries,
            events,
            backoff: RestartBackoff::default(),
        }
    }

    fn look(&self) {
        let free = self.settings.folder.as_deref().and_then(free_bytes);
        match free.filter(|free| *free < self.settings.keep_free_bytes) {
            Some(free) => self.park(free),
            None => self.resume(),
        }
    }

    fn park(&self, free: u64) {
        let limit = in_words(self.settings.keep_free_bytes);
        let reason = format!("{} left, limit is {limit} (storage.keep_free)", in_words(free));
        if self.parking.park(reason.clone()) {
            tracing::warn!(reason, "fetching paused, serving goes on");
            let _ = self.events.send(EngineEvent::Parked { reason });
        }
    }

    fn resume(&self) {
        if self.parking.resume() {
            tracing::info!("fetching goes on");
            let _ = self.events.send(EngineEvent::Resumed);
            self.registries.wake_syncs();
        }
    }

    fn tidy(&self) -> impl Future<Output = ()> + Send + 'static {
        tidy::tidy(self.committer.clone(), self.settings.keep_audit_log)
    }
}

impl Actor for Janitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
        self.look();
        ctx.run_interval(LOOK_EVERY, |this, ctx| {
            guarded(this, ctx, |this, _| {
                this.look();
            });
        });
        ctx.run_later(TIDY_FIRST, |this, ctx| {
            guarded(this, ctx, |this, ctx| ctx.spawn(this.tidy().into_actor(this)));
            ctx.run_interval(TIDY_EVERY, |this, ctx| {
                guarded(this, ctx, |this, ctx| ctx.spawn(this.tidy().into_actor(this)));
            });
        });
    }
}

impl Supervised for Janitor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.backoff.note_restart();
    }
}

impl Handler<LookAtDisk> for Janitor {
    type Result = ();

    fn handle(&mut self, _: LookAtDisk, ctx: &mut Self::Context) {
        guarded(self, ctx, |this, _| this.look());
    }
}

impl Handler<TidyUp> for Janitor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: TidyUp, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.tidy())
    }
}

impl Handler<DescribeJanitor> for Janitor {
    type Result = MessageResult<DescribeJanitor>;

    fn handle(&mut self, _: DescribeJanitor, _: &mut Self::Context) -> Self::Result {
        MessageResult(JanitorStatus {
            free_bytes: self.settings.folder.as_deref().and_then(free_bytes),
            keep_free_bytes: self.settings.keep_free_bytes,
            parked: self.parking.reason(),
            restarts: self.backoff.restarts(),
        })
    }
}
