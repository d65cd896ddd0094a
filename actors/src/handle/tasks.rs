//! Sync tasks: asking for them, ending them, their logs.

use npm::PackageName;
use store::tasks::{self, NewTask, TaskOptions, TaskRow};
use store::{Keeping, TaskId};

use super::{EngineError, EngineHandle};
use crate::engine::DEFAULT_REGISTRY;
use crate::events::{EngineEvent, SyncSummary};
use crate::log_writer::{LogWatch, ReadLog};
use crate::task_queue::{CancelTask, EnqueueTasks, RetryTask};

impl EngineHandle {
    /// Adds sync tasks, each for the registry that owns its name; each answer is the row that
    /// stands for the request.
    ///
    /// # Errors
    /// When the rows could not be written.
    pub async fn enqueue(&self, tasks: Vec<NewTask>) -> Result<Vec<TaskRow>, EngineError> {
        let tasks = self.registries().assign(tasks).await?;
        let rows = self.addresses().queue.send(EnqueueTasks { tasks }).await;
        Ok(rows.map_err(|_| EngineError::Busy)??)
    }

    /// Ends a waiting or running task as cancelled; `false` when it had ended already.
    ///
    /// # Errors
    /// When the row could not be written.
    pub async fn cancel(&self, id: TaskId) -> Result<bool, EngineError> {
        let sent = self.addresses().queue.send(CancelTask(id)).await;
        let cancelled = sent.map_err(|_| EngineError::Busy)??;
        if cancelled && let Some(row) = self.store().read(move |c| tasks::find(c, id)).await? {
            let summary = SyncSummary::default();
            let TaskRow { id, name, state, error, failure, .. } = row;
            let ended = EngineEvent::TaskEnded { id, name, state, error, failure, summary };
            let _ = self.shared.parts.events.send(ended);
        }
        Ok(cancelled)
    }

    /// Puts a failed task back into the queue; `false` when there is no such failed task.
    ///
    /// # Errors
    /// When the row could not be written.
    pub async fn retry(&self, id: TaskId) -> Result<bool, EngineError> {
        Ok(self.addresses().queue.send(RetryTask(id)).await.map_err(|_| EngineError::Busy)??)
    }

    /// The log of a task, as far as it is written.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn task_log(&self, id: TaskId) -> Result<Option<String>, EngineError> {
        Ok(self.addresses().logs.send(ReadLog(id)).await.map_err(|_| EngineError::Busy)??)
    }

    /// Follows logs as they are stored; while the answer lives, lines are stored more often.
    pub fn watch_logs(&self) -> LogWatch {
        self.shared.parts.logs.watch()
    }

    pub(super) fn mirror_later(&self, name: PackageName) {
        let handle = self.clone();
        self.shared.parts.runtime.spawn(async move {
            let task = NewTask {
                id: TaskId(uuid::Uuid::now_v7()),
                name,
                registry: DEFAULT_REGISTRY.to_owned(),
                priority: tasks::PRIORITY_FEED,
                options: TaskOptions {
                    skip_dependencies: true,
                    keep: Keeping::Mirrored,
                    ..TaskOptions::default()
                },
                author: None,
                author_ip: None,
            };
            if let Err(error) = handle.enqueue(vec![task]).await {
                tracing::warn!(%error, "a package that arrived by a miss was not queued");
            }
        });
    }
}
