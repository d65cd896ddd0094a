//! The packages that a synced one needs become tasks of their own.

use std::collections::HashSet;

use npm::PackageName;
use store::TaskId;
use store::tasks::{self, NewTask, TaskOptions};

use super::sync::Sync;
use crate::engine::DEFAULT_REGISTRY;
use crate::task_queue::EnqueueTasks;

impl Sync<'_> {
    /// Whether so much waits already that dependencies are left to whoever asks for them.
    async fn queue_is_full(&self) -> bool {
        let (registry, most) = (self.task.registry.clone(), self.deps.limits.high_water);
        let read = self.deps.store.read_here(move |rows| {
            tasks::has_waiting(rows, &registry, tasks::PRIORITY_DEPENDENCY, most)
        });
        most > 0 && read.await.unwrap_or(false)
    }

    /// Queues them, unless enough waits already; says each in the log.
    pub(super) async fn enqueue_dependencies(&self, names: Vec<String>) {
        let tasks: Vec<_> = names
            .iter()
            .filter_map(|name| PackageName::parse(name).ok())
            .map(|name| self.dependency_task(name))
            .collect();
        if tasks.is_empty() {
            return;
        }
        if self.queue_is_full().await {
            let (left, most) = (tasks.len(), self.deps.limits.high_water);
            let why = format_args!(
                "{left} dependencies are left out: {most} tasks wait already (sync.high_water)"
            );
            self.log.line("⚠️", why);
            return;
        }
        let Ok(tasks) = self.deps.registries.assign(tasks).await else {
            tracing::warn!(package.name = %self.task.name, "its dependencies were not queued");
            return;
        };
        let ids: HashSet<TaskId> = tasks.iter().map(|task| task.id).collect();
        let Ok(Ok(rows)) = self.deps.enqueue.send(EnqueueTasks { tasks }).await else {
            tracing::warn!(package.name = %self.task.name, "its dependencies were not queued");
            return;
        };
        for row in rows {
            let (name, id) = (&row.name, row.id);
            if ids.contains(&id) {
                self.log.line("📦", format_args!("Add dependency \"{name}\" sync task: {id}"));
            } else {
                self.log.line("📖", format_args!("Has dependency \"{name}\" sync task: {id}"));
            }
        }
    }

    fn dependency_task(&self, name: PackageName) -> NewTask {
        let options = TaskOptions {
            tips: Some(format!("needed by {}", self.task.name)),
            keep: self.task.options.keep,
            ..TaskOptions::default()
        };
        NewTask {
            id: TaskId::new(),
            name,
            registry: DEFAULT_REGISTRY.to_owned(), // assigned to its owner
            priority: tasks::PRIORITY_DEPENDENCY,
            options,
            author: None,
            author_ip: None,
        }
    }
}
