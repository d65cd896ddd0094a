//! Group commit: turns many small metadata changes into few transactions.
//!
//! Owns the only path to the metadata writer. While one batch is being written the next one
//! fills, so batch size follows load and no timer is needed. Receives [`Commit`] from package
//! sync jobs and misses and [`Write`] from everybody else; sends [`WriteBatch`] to the metadata
//! writer. After a restart every unanswered sender gets [`CommitError::Restarted`] and retries.

mod messages;
#[cfg(test)]
mod tests;

use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MailboxError, MessageResult, Recipient,
    ResponseFuture, SpawnHandle, Supervised, WrapFuture,
};
use npm::PackageName;
use store::{BatchOutcome, CommitBatch, Committed, PackageChange, WriteFn};
use tokio::sync::{broadcast, oneshot};

pub use self::messages::{
    Commit, CommitError, CommitterStatus, DescribeCommitter, Drain, Write, write_returning,
};
use crate::events::EngineEvent;
use crate::metadata_writer::{FailedBatch, Idle, WriteBatch};
use crate::supervision::{RestartBackoff, guarded};

/// Most package changes in one transaction: long enough to share a flush, short enough that
/// a waiting reader of the writer is not held up for more than some tens of milliseconds.
const BATCH_CHANGES: usize = 256;
/// Most version rows in one transaction, so that packages of thousands of versions share less.
const BATCH_ROWS: usize = 20_000;
/// Quiet time after which the writer may checkpoint.
const IDLE_AFTER: Duration = Duration::from_millis(500);

type ChangeAnswer = oneshot::Sender<Result<Committed, CommitError>>;
type WriteAnswer = oneshot::Sender<Result<(), CommitError>>;

/// The group committer; see the module.
pub struct Committer {
    writer: Recipient<WriteBatch>,
    idle: Recipient<Idle>,
    events: broadcast::Sender<EngineEvent>,
    changes: Vec<(PackageChange, ChangeAnswer)>,
    writes: Vec<(WriteFn, WriteAnswer)>,
    writing: bool,
    drained: Vec<oneshot::Sender<()>>,
    idle_timer: Option<SpawnHandle>,
    status: CommitterStatus,
    backoff: RestartBackoff,
}

impl Committer {
    /// A committer that writes through `writer`, tells it through `idle` when all is quiet, and
    /// tells `events` of every change that is durable.
    pub fn new(
        writer: Recipient<WriteBatch>,
        idle: Recipient<Idle>,
        events: broadcast::Sender<EngineEvent>,
    ) -> Self {
        Self {
            writer,
            idle,
            events,
            changes: Vec::new(),
            writes: Vec::new(),
            writing: false,
            drained: Vec::new(),
            idle_timer: None,
            status: CommitterStatus::default(),
            backoff: RestartBackoff::default(),
        }
    }

    fn write_next_batch(&mut self, ctx: &mut Context<Self>) {
        if self.writing {
            return;
        }
        if self.changes.is_empty() && self.writes.is_empty() {
            self.rest(ctx);
            return;
        }
        let (changes, change_answers): (Vec<_>, Vec<_>) =
            self.changes.drain(..self.next_changes()).map(named).unzip();
        let (writes, write_answers): (Vec<_>, Vec<_>) = self.writes.drain(..).unzip();
        self.send(CommitBatch { writes, changes }, Answers { change_answers, write_answers }, ctx);
    }

    fn next_changes(&self) -> usize {
        let mut rows = 0;
        self.changes
            .iter()
            .take(BATCH_CHANGES)
            .take_while(|(change, _)| {
                let fits = rows == 0 || rows + change.versions.len() <= BATCH_ROWS;
                rows += change.versions.len() + 1;
                fits
            })
            .count()
    }

    fn send(&mut self, batch: CommitBatch, answers: Answers, ctx: &mut Context<Self>) {
        self.writing = true;
        if let Some(timer) = self.idle_timer.take() {
            ctx.cancel_future(timer);
        }
        let sent = self.writer.send(WriteBatch { batch }).into_actor(self);
        ctx.spawn(sent.map(move |outcome, this, ctx| {
            guarded(this, ctx, |this, ctx| this.batch_done(outcome, answers, ctx));
        }));
    }

    fn batch_done(
        &mut self,
        outcome: Result<Result<BatchOutcome, FailedBatch>, MailboxError>,
        answers: Answers,
        ctx: &mut Context<Self>,
    ) {
        self.writing = false;
        self.status.batches += 1;
        match outcome {
            Ok(Ok(outcome)) => self.answer(outcome, answers),
            Ok(Err(failed)) => {
                self.halve(failed, answers, ctx);
                return;
            }
            Err(_) => answers.fail_all(&CommitError::Restarted),
        }
        self.write_next_batch(ctx);
    }

    fn answer(&mut self, outcome: BatchOutcome, answers: Answers) {
        for (result, (name, answer)) in outcome.changes.into_iter().zip(answers.change_answers) {
            self.status.changes += 1;
            match &result {
                Ok(committed) => {
                    let seq = committed.local_seq;
                    let _ = self.events.send(EngineEvent::Committed { seq, name });
                }
                Err(_) => self.status.failed += 1,
            }
            let _ = answer.send(result.map_err(CommitError::from));
        }
        for (result, answer) in outcome.writes.into_iter().zip(answers.write_answers) {
            self.status.writes += 1;
            self.status.failed += u64::from(result.is_err());
            let _ = answer.send(result.map_err(CommitError::from));
        }
    }

    /// A batch that failed as a whole is tried in halves until the guilty change stands alone.
    fn halve(&mut self, failed: FailedBatch, mut answers: Answers, ctx: &mut Context<Self>) {
        let error = CommitError::from(failed.error);
        for answer in answers.write_answers.drain(..) {
            self.status.failed += 1;
            let _ = answer.send(Err(error.clone()));
        }
        let pairs = failed.changes.into_iter().zip(answers.change_answers);
        // a full disk or a lost database is nobody's guilt: halving would only repeat it
        if pairs.len() <= 1 || matches!(error, CommitError::DiskFull(_)) || error.is_retryable() {
            for (_, (_, answer)) in pairs {
                self.status.failed += 1;
                let _ = answer.send(Err(error.clone()));
            }
            self.write_next_batch(ctx);
            return;
        }
        let half = pairs.len().div_ceil(2);
        let mut again: Vec<_> = pairs.collect();
        let later = again.split_off(half);
        self.changes.splice(0..0, later.into_iter().map(|(change, (_, answer))| (change, answer)));
        let (changes, change_answers) = again.into_iter().unzip();
        let answers = Answers { change_answers, write_answers: Vec::new() };
        self.send(CommitBatch { writes: Vec::new(), changes }, answers, ctx);
    }

    fn rest(&mut self, ctx: &mut Context<Self>) {
        for drained in self.drained.drain(..) {
            let _ = drained.send(());
        }
        if self.idle_timer.is_none() && self.status.batches > 0 {
            self.idle_timer = Some(ctx.run_later(IDLE_AFTER, |this, _| {
                this.idle_timer = None;
                let _ = this.idle.try_send(Idle);
            }));
        }
    }
}

fn named(
    (change, answer): (PackageChange, ChangeAnswer),
) -> (PackageChange, (PackageName, ChangeAnswer)) {
    let name = change.name.clone();
    (change, (name, answer))
}

/// Who waits for the batch in flight.
struct Answers {
    change_answers: Vec<(PackageName, ChangeAnswer)>,
    write_answers: Vec<WriteAnswer>,
}

impl Answers {
    fn fail_all(self, error: &CommitError) {
        for (_, answer) in self.change_answers {
            let _ = answer.send(Err(error.clone()));
        }
        for answer in self.write_answers {
            let _ = answer.send(Err(error.clone()));
        }
    }
}

impl Actor for Committer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
    }
}

impl Supervised for Committer {
    fn restarting(&mut self, _: &mut Self::Context) {
        // dropping an answer is what tells its sender to retry
        self.changes.clear();
        self.writes.clear();
        self.drained.clear();
        self.writing = false;
        self.idle_timer = None;
        self.backoff.note_restart();
        self.status.restarts = self.backoff.restarts();
    }
}

impl Handler<Commit> for Committer {
    type Result = ResponseFuture<Result<Committed, CommitError>>;

    fn handle(&mut self, commit: Commit, ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        guarded(self, ctx, |this, ctx| {
            this.changes.push((commit.change, answer));
            this.write_next_batch(ctx);
        });
        Box::pin(async move { answered.await.unwrap_or(Err(CommitError::Restarted)) })
    }
}

impl Handler<Write> for Committer {
    type Result = ResponseFuture<Result<(), CommitError>>;

    fn handle(&mut self, write: Write, ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        guarded(self, ctx, |this, ctx| {
            this.writes.push((write.write, answer));
            this.write_next_batch(ctx);
        });
        Box::pin(async move { answered.await.unwrap_or(Err(CommitError::Restarted)) })
    }
}

impl Handler<Drain> for Committer {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        guarded(self, ctx, |this, ctx| {
            this.drained.push(answer);
            this.write_next_batch(ctx);
        });
        Box::pin(async move { answered.await.unwrap_or(()) })
    }
}

impl Handler<DescribeCommitter> for Committer {
    type Result = MessageResult<DescribeCommitter>;

    fn handle(&mut self, _: DescribeCommitter, _: &mut Self::Context) -> Self::Result {
        MessageResult(CommitterStatus {
            waiting: self.changes.len() + self.writes.len(),
            writing: self.writing,
            ..self.status.clone()
        })
    }
}
