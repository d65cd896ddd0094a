//! Hears what other nodes of a cluster wrote, and operators anywhere, and tells the caches of this
//! one.
//!
//! Owns nothing that must survive. PostgreSQL tells of a write when it is committed
//! ([`store::notices`]); then the numbers and the change log that all nodes write are looked at, and
//! every few seconds in any case: what was not heard is found there. Where one process alone uses
//! the store nothing is listened to.

mod other_nodes;

use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult, Supervised,
    WrapFuture,
};
use serde::{Deserialize, Serialize};
use store::notices::{Notice, Notices};
use store::{Store, StoreError};
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use self::other_nodes::OtherNodes;
use crate::events::EngineEvent;
use crate::registries::Registries;
use crate::supervision::{RestartBackoff, guarded};

/// How often the tables are looked at, two small reads, whatever was heard.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often what was told is taken, one system call: that long a revoked token may live on another
/// node, beside the way there.
const HEAR_EVERY: Duration = Duration::from_millis(50);
/// How often the connection is tried: one whose other end vanished without a word looks quiet.
const TRY_EVERY: Duration = Duration::from_secs(30);
/// How soon a connection that was lost is opened again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// The one who watches other nodes; see the module.
pub struct NodeWatch {
    store: Store,
    registries: Registries,
    others: OtherNodes,
    events: broadcast::Sender<EngineEvent>,
    runtime: Handle,
    notices: Option<Notices>,
    /// Whether it was said that nothing is heard.
    deaf: bool,
    looking: bool,
    look_again: bool,
    backoff: RestartBackoff,
}

/// Asks for [`NodeWatchStatus`].
#[derive(Message)]
#[rtype(result = "NodeWatchStatus")]
pub struct DescribeNodeWatch;

/// What is known about hearing from other nodes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NodeWatchStatus {
    /// Whether writes of other nodes are heard at once; none where there are no other nodes.
    pub listening: Option<bool>,
    /// Restarts of the actor.
    pub restarts: u32,
}

impl NodeWatch {
    /// A watch for one engine.
    pub fn new(
        store: Store,
        registries: Registries,
        events: broadcast::Sender<EngineEvent>,
        runtime: Handle,
    ) -> Self {
        Self {
            others: OtherNodes::new(store.clone()),
            store,
            registries,
            events,
            runtime,
            notices: None,
            deaf: false,
            looking: false,
            look_again: false,
            backoff: RestartBackoff::default(),
        }
    }

    /// Tries the connection there is, or opens one. A try that hangs does not keep the next from
    /// opening another.
    fn listen(&mut self, ctx: &mut Context<Self>) {
        let (store, notices) = (self.store.clone(), self.notices.take());
        let opening = self.runtime.spawn_blocking(move || match notices {
            Some(notices) => notices.tried_blocking().map(Some),
            None => store.notices_blocking(),
        });
        let opened = opening.into_actor(self).map(|opened, this, ctx| {
            guarded(this, ctx, |this, ctx| match opened {
                Ok(Ok(notices)) => this.listens(notices, ctx),
                Ok(Err(error)) => this.is_deaf(&error, ctx),
                // the runtime ends, and the engine with it
                Err(_) => {}
            });
        });
        ctx.spawn(opened);
    }

    /// From here on all is heard; what was written before may have been missed.
    fn listens(&mut self, notices: Option<Notices>, ctx: &mut Context<Self>) {
        self.notices = notices;
        if std::mem::take(&mut self.deaf) {
            tracing::info!("what other nodes write is heard again");
        }
        let _ = self.events.send(EngineEvent::AccountsChanged);
        self.look(ctx);
    }

    fn is_deaf(&mut self, error: &StoreError, ctx: &mut Context<Self>) {
        self.notices = None;
        if !std::mem::replace(&mut self.deaf, true) {
            tracing::warn!(%error, "what other nodes write is not heard, and found seconds later");
        }
        ctx.run_later(LISTEN_AGAIN, |this, ctx| {
            guarded(this, ctx, Self::listen);
        });
    }

    fn hear(&mut self, ctx: &mut Context<Self>) {
        let Some(notices) = &mut self.notices else { return };
        match notices.take() {
            Ok(told) => {
                if told.contains(&Notice::Accounts) {
                    let _ = self.events.send(EngineEvent::AccountsChanged);
                }
                if told.contains(&Notice::Changes) {
                    self.look(ctx);
                }
            }
            Err(error) => self.is_deaf(&error, ctx),
        }
    }

    /// Small reads; what follows from them is rare. One look at a time, and one more where
    /// something was told meanwhile.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if std::mem::replace(&mut self.looking, true) {
            self.look_again = true;
            return;
        }
        let (registries, others) = (self.registries.clone(), self.others.clone());
        let events = self.events.clone();
        let looking = self.runtime.spawn(async move {
            match registries.look().await {
                Ok(news) => news.into_iter().for_each(|news| drop(events.send(news))),
                Err(error) => tracing::warn!(%error, "what operators changed was not read"),
            }
            match others.look().await {
                Ok(Some(news)) => drop(events.send(news)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "what other nodes committed was not read"),
            }
        });
        ctx.spawn(looking.into_actor(self).map(|_, this, ctx| {
            guarded(this, ctx, |this, ctx| {
                this.looking = false;
                if std::mem::take(&mut this.look_again) {
                    this.look(ctx);
                }
            });
        }));
    }
}

impl Actor for NodeWatch {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
        // a look of the life before is not waited for
        self.looking = false;
        ctx.run_interval(LOOK_EVERY, |this, ctx| {
            guarded(this, ctx, Self::look);
        });
        if self.store.is_local() {
            return;
        }
        self.listen(ctx);
        ctx.run_interval(TRY_EVERY, |this, ctx| {
            guarded(this, ctx, Self::listen);
        });
        ctx.run_interval(HEAR_EVERY, |this, ctx| {
            guarded(this, ctx, Self::hear);
        });
    }
}

impl Supervised for NodeWatch {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.backoff.note_restart();
    }
}

impl Handler<DescribeNodeWatch> for NodeWatch {
    type Result = MessageResult<DescribeNodeWatch>;

    fn handle(&mut self, _: DescribeNodeWatch, _: &mut Self::Context) -> Self::Result {
        let listening = (!self.store.is_local()).then_some(self.notices.is_some());
        MessageResult(NodeWatchStatus { listening, restarts: self.backoff.restarts() })
    }
}
