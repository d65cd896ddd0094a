//! What followers ask of the queue: pages of feeds, written with the place they lead to.

use std::sync::Arc;

use actix::{ActorFutureExt, Handler, Message, ResponseActFuture, WrapFuture};
use store::feeds::{self, FeedPage, FeedRow, Mover, Taken};
use store::ownership::Ownership;

use super::TaskQueue;
use crate::committer::CommitError;
use crate::supervision::guarded;

/// Makes tasks of a page's rows and moves the place in the feed, in one transaction.
#[derive(Message)]
#[rtype(result = "Result<Taken, CommitError>")]
pub struct TakeFeedPage {
    /// The page.
    pub page: FeedPage,
}

/// Queues the next packages of a registry that are to be asked again; answers with the place.
#[derive(Message)]
#[rtype(result = "Result<(Taken, Option<FeedRow>), CommitError>")]
pub struct RecheckPackages {
    /// Who follows the feed.
    pub mover: Mover,
    /// Most packages.
    pub limit: i64,
    /// Who is asked for which name.
    pub ownership: Arc<Ownership>,
}

impl TaskQueue {
    fn taken(&mut self, taken: Taken, ctx: &mut <Self as actix::Actor>::Context) {
        if let Taken::Written { tasks: tasks @ 1.. } = taken {
            guarded(self, ctx, |this, _| {
                this.status.enqueued += u64::try_from(tasks).unwrap_or(0);
                this.wake_pullers();
            });
        }
    }
}

impl Handler<TakeFeedPage> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<Taken, CommitError>>;

    fn handle(&mut self, message: TakeFeedPage, _: &mut Self::Context) -> Self::Result {
        let written = self.write(move |connection| feeds::take_page(connection, &message.page));
        Box::pin(written.into_actor(self).map(|taken, this, ctx| {
            if let Ok(taken) = taken {
                this.taken(taken, ctx);
            }
            taken
        }))
    }
}

impl Handler<RecheckPackages> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<(Taken, Option<FeedRow>), CommitError>>;

    fn handle(&mut self, message: RecheckPackages, _: &mut Self::Context) -> Self::Result {
        let RecheckPackages { mover, limit, ownership } = message;
        let written = self.write(move |connection| {
            let taken = feeds::recheck(connection, &mover, limit, &ownership)?;
            Ok((taken, feeds::find(connection, &mover.registry)?))
        });
        Box::pin(written.into_actor(self).map(|answer, this, ctx| {
            if let Ok((taken, _)) = &answer {
                this.taken(*taken, ctx);
            }
            answer
        }))
    }
}
