//! Tasks that are made by a write of their own kind: rounds over what is here, comparisons with an
//! upstream's list. The place that such a write moves and its tasks are one transaction.

use actix::{ActorFutureExt, Handler, Message, ResponseActFuture, WrapFuture};
use store::{AnyConnection, StoreError};

use super::TaskQueue;
use crate::committer::CommitError;
use crate::supervision::guarded;

/// Makes tasks and says how many.
pub type MakeFn = Box<dyn FnOnce(&mut AnyConnection) -> Result<usize, StoreError> + Send>;

/// Runs a write that makes tasks; answers how many.
#[derive(Message)]
#[rtype(result = "Result<usize, CommitError>")]
pub struct MakeTasks {
    /// The write.
    pub make: MakeFn,
}

impl Handler<MakeTasks> for TaskQueue {
    type Result = ResponseActFuture<Self, Result<usize, CommitError>>;

    fn handle(&mut self, message: MakeTasks, _: &mut Self::Context) -> Self::Result {
        let written = self.write(message.make);
        Box::pin(written.into_actor(self).map(|made, this, ctx| {
            if let Ok(made @ 1..) = made {
                guarded(this, ctx, |this, _| {
                    this.status.enqueued += u64::try_from(made).unwrap_or(0);
                    this.wake_pullers();
                });
            }
            made
        }))
    }
}
