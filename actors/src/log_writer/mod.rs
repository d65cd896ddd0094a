//! Stores what running tasks write, in batches.
//!
//! Owns no lines itself: jobs write into their [`TaskLog`], whose memory is bounded, and the end
//! of a log travels with the commit that ends the task. This actor stores the rest every two
//! seconds in one write, more often while somebody follows a log, so that the log of a long task
//! survives a crash and costs no transaction of its own. It answers [`ReadLog`] with the stored
//! and the waiting part. Whoever follows a log sees stored lines only: they are never taken back.

mod task_log;

use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult, Recipient,
    ResponseFuture, Supervised, WrapFuture,
};
use serde::{Deserialize, Serialize};
use store::{Store, StoreError, TaskId, tasks};

pub use self::task_log::{LogWatch, TaskLog, TaskLogs, Unstored, format_line};
use crate::committer::{CommitError, Write, write_returning};
use crate::supervision::{RestartBackoff, guarded};

/// How often lines of running tasks are stored while somebody follows a log.
const TICK: Duration = Duration::from_millis(250);
/// Otherwise they are stored at every so manieth tick.
const TICKS_UNWATCHED: u32 = 8;
/// A log that changes while it is read is read again so often; then its stored part is shown.
const READ_TRIES: u32 = 5;
/// Time between such tries.
const READ_AGAIN: Duration = Duration::from_millis(20);

/// The log writer; see the module.
pub struct LogWriter {
    committer: Recipient<Write>,
    store: Store,
    logs: TaskLogs,
    ticks: u32,
    status: LogWriterStatus,
    backoff: RestartBackoff,
}

/// Asks for the log of a task: everything stored plus what a running task wrote since.
#[derive(Message)]
#[rtype(result = "Result<Option<String>, CommitError>")]
pub struct ReadLog(pub TaskId);

/// Stores everything that waits; answers when it is durable.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FlushLogs;

/// Asks for [`LogWriterStatus`].
#[derive(Message)]
#[rtype(result = "LogWriterStatus")]
pub struct DescribeLogWriter;

/// What the log writer does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LogWriterStatus {
    /// Logs of running tasks.
    pub open: usize,
    /// Writes that stored lines.
    pub stored: u64,
    /// Writes that failed; their lines are stored with later ones.
    pub failed: u64,
    /// Restarts of the actor.
    pub restarts: u32,
}

impl LogWriter {
    /// A log writer for the running tasks in `logs`.
    pub fn new(committer: Recipient<Write>, store: Store, logs: TaskLogs) -> Self {
        Self {
            committer,
            store,
            logs,
            ticks: 0,
            status: LogWriterStatus::default(),
            backoff: RestartBackoff::default(),
        }
    }

    fn store_lines(&self) -> impl Future<Output = Option<bool>> + Send + 'static {
        let lines = self.logs.take_all();
        let (committer, logs) = (self.committer.clone(), self.logs.clone());
        async move {
            if lines.is_empty() {
                return None;
            }
            let pieces = lines.clone();
            let stored = write_returning(committer, move |connection| {
                let pieces: Vec<_> = pieces.iter().map(|(id, text)| (*id, text.as_str())).collect();
                tasks::append_logs(connection, &pieces)
            });
            let stored = stored.await.is_ok();
            logs.settle(lines, stored);
            Some(stored)
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_UNWATCHED) || self.logs.has_readers() {
            let stored = self.store_lines().into_actor(self);
            ctx.spawn(stored.map(|outcome, this, _| this.note(outcome)));
        }
    }

    fn note(&mut self, outcome: Option<bool>) {
        self.status.stored += u64::from(outcome == Some(true));
        self.status.failed += u64::from(outcome == Some(false));
    }
}

impl Actor for LogWriter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.backoff.wait(self, ctx);
        ctx.run_interval(TICK, |this, ctx| {
            guarded(this, ctx, Self::tick);
        });
    }
}

impl Supervised for LogWriter {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.backoff.note_restart();
        self.status.restarts = self.backoff.restarts();
    }
}

impl Handler<ReadLog> for LogWriter {
    type Result = ResponseFuture<Result<Option<String>, CommitError>>;

    fn handle(&mut self, message: ReadLog, _: &mut Self::Context) -> Self::Result {
        let ReadLog(id) = message;
        let (store, logs) = (self.store.clone(), self.logs.clone());
        Box::pin(async move { read_log(&store, &logs, id).await.map_err(CommitError::from) })
    }
}

/// The stored part and the waiting one, when nothing moved between them while they were read; else
/// the stored part, to which the other belongs behind.
async fn read_log(
    store: &Store,
    logs: &TaskLogs,
    id: TaskId,
) -> Result<Option<String>, StoreError> {
    for _ in 0..READ_TRIES {
        let before = logs.unstored(id);
        let stored = store.read(move |connection| tasks::log(connection, id)).await?;
        let unstored = match before {
            None => return Ok(stored),
            Some(before) => before,
        };
        if !unstored.storing && logs.unstored(id).is_some_and(|now| now.takes == unstored.takes) {
            return Ok(Some(stored.unwrap_or_default() + &unstored.text));
        }
        tokio::time::sleep(READ_AGAIN).await;
    }
    store.read(move |connection| tasks::log(connection, id)).await
}

impl Handler<FlushLogs> for LogWriter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: FlushLogs, _: &mut Self::Context) -> Self::Result {
        let stored = self.store_lines();
        Box::pin(async move {
            stored.await;
        })
    }
}

impl Handler<DescribeLogWriter> for LogWriter {
    type Result = MessageResult<DescribeLogWriter>;

    fn handle(&mut self, _: DescribeLogWriter, _: &mut Self::Context) -> Self::Result {
        MessageResult(LogWriterStatus { open: self.logs.len(), ..self.status.clone() })
    }
}
