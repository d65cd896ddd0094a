//! The task table as commands read it: asked of the running server, or read from the store.

use store::{Store, TaskId};

use super::{control::ControlClient, exit::Exit, problem::Problem};
use crate::control::{
    answers::{self, BadQuery},
    messages::{TaskAnswer, TasksAnswer, TasksQuery},
};

/// Where the table is.
#[derive(Clone)]
pub enum TaskTable {
    /// With the running server.
    Remote(ControlClient),
    /// In a store that this process has open.
    Local(Store),
}

impl TaskTable {
    /// Tasks, newest first.
    ///
    /// # Errors
    /// For a query that makes no sense, or when the table cannot be read.
    pub async fn list(&self, query: &TasksQuery) -> Result<Vec<TaskAnswer>, Problem> {
        match self {
            Self::Remote(client) => Ok(client.find::<_, TasksAnswer>("tasks", query).await?.tasks),
            Self::Local(store) => {
                let filter = query.filter()?;
                Ok(store.read(move |rows| answers::task_list(rows, &filter)).await?)
            }
        }
    }

    /// One task.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn find(&self, id: TaskId) -> Result<Option<TaskAnswer>, Problem> {
        match self {
            Self::Remote(client) => found(client.get(&format!("tasks/{id}")).await),
            Self::Local(store) => Ok(store.read(move |rows| answers::task(rows, id)).await?),
        }
    }
}

/// A server's answer about one thing, which may not be there.
///
/// # Errors
/// Everything but "not found".
pub fn found<T>(answer: Result<T, Problem>) -> Result<Option<T>, Problem> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(problem) if problem.exit == Exit::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

impl From<BadQuery> for Problem {
    fn from(error: BadQuery) -> Self {
        Self::usage(error.to_string())
    }
}
