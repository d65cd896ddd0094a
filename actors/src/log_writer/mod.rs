//! Stores what running tasks write, in batches.
//!
//! Owns no lines itself: jobs write into their [`TaskLog`], whose memory is bounded, and the end
//! of a log travels with the commit that ends the task. This actor stores the rest every two
//! seconds in one write, so that the log of a long task survives a crash and costs no
//! transaction of its own. It answers [`ReadLog`] with the stored and the waiting part.

mod task_log;

use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, MessageResult, Recipient,
    ResponseFuture, Supervised, WrapFuture,
};
use serde::{Deserialize, Serialize};
use store::{Store, TaskId, tasks};

pub use self::task_log::{TaskLog, TaskLogs, format_line};
use crate::committer::{CommitError, Write};
use crate::supervision::{RestartBackoff, guarded};
use crate::task_queue::write_returning;

/// How often lines of running tasks are stored.
const STORE_EVERY: Duration = Duration::from_secs(2);

/// The log writer; see the module.
pub struct LogWriter {
    committer: Recipient<Write>,
    store: Store,
    logs: TaskLogs,
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
    /// Writes that failed; their lines are lost, the tasks are not.
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
            status: LogWriterStatus::default(),
            backoff: RestartBackoff::default(),
        }
    }

    fn store_lines(&self) -> impl Future<Output = Option<bool>> + Send + 'static {
        let lines = self.logs.take_all();
        let committer = self.committer.clone();
        async move {
            if lines.is_empty() {
                return None;
            }
            let stored = write_returning(committer, move |connection| {
                for (id, text) in &lines {
                    tasks::append_log(connection, *id, text)?;
                }
                Ok(())
            });
            Some(stored.await.is_ok())
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
        ctx.run_interval(STORE_EVERY, |this, ctx| {
            guarded(this, ctx, |this, ctx| {
                let stored = this.store_lines().into_actor(this);
                ctx.spawn(stored.map(|outcome, this, _| this.note(outcome)));
            });
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
        let pending = self.logs.pending(id);
        let store = self.store.clone();
        Box::pin(async move {
            let stored = store.read(move |connection| tasks::log(connection, id)).await?;
            Ok(match (stored, pending) {
                (Some(stored), Some(pending)) => Some(stored + &pending),
                (stored, pending) => stored.or(pending),
            })
        })
    }
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
