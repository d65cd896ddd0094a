//! Tasks: looking, trying again, cancelling.

use actix_web::web::{Data, Json, Path, Query};
use store::{TaskId, tasks};

use super::answers::{self, BadQuery};
use super::messages::{DoneAnswer, TaskAnswer, TaskLogAnswer, TasksAnswer, TasksQuery};
use crate::app::App;
use crate::error::ApiError;

/// `GET tasks`.
///
/// # Errors
/// 422 for a query that makes no sense.
pub async fn list_tasks(
    app: Data<App>,
    query: Query<TasksQuery>,
) -> Result<Json<TasksAnswer>, ApiError> {
    let filter = query.filter()?;
    let tasks = app.engine.store().read(move |rows| answers::task_list(rows, &filter)).await?;
    Ok(Json(TasksAnswer { tasks }))
}

/// `GET tasks/:id`.
///
/// # Errors
/// 404 when there is none.
pub async fn get_task(app: Data<App>, id: Path<String>) -> Result<Json<TaskAnswer>, ApiError> {
    let id = task_id(&id)?;
    let found = app.engine.store().read(move |rows| answers::task(rows, id)).await?;
    found.map(Json).ok_or_else(|| no_task(id))
}

/// `GET tasks/:id/log`.
///
/// # Errors
/// 404 when there is no such task.
pub async fn get_task_log(
    app: Data<App>,
    id: Path<String>,
) -> Result<Json<TaskLogAnswer>, ApiError> {
    let id = task_id(&id)?;
    let known = app.engine.store().read(move |rows| tasks::find(rows, id)).await?;
    known.ok_or_else(|| no_task(id))?;
    Ok(Json(TaskLogAnswer { log: app.engine.task_log(id).await?.unwrap_or_default() }))
}

/// `POST tasks/:id/retry`.
///
/// # Errors
/// 404 when there is no such task.
pub async fn retry_task(app: Data<App>, id: Path<String>) -> Result<Json<DoneAnswer>, ApiError> {
    let id = known_id(&app, &id).await?;
    Ok(Json(DoneAnswer { ok: app.engine.retry(id).await? }))
}

/// `POST tasks/:id/cancel`.
///
/// # Errors
/// 404 when there is no such task.
pub async fn cancel_task(app: Data<App>, id: Path<String>) -> Result<Json<DoneAnswer>, ApiError> {
    let id = known_id(&app, &id).await?;
    Ok(Json(DoneAnswer { ok: app.engine.cancel(id).await? }))
}

async fn known_id(app: &App, text: &str) -> Result<TaskId, ApiError> {
    let id = task_id(text)?;
    let known = app.engine.store().read(move |rows| tasks::find(rows, id)).await?;
    known.map(|_| id).ok_or_else(|| no_task(id))
}

impl From<BadQuery> for ApiError {
    fn from(error: BadQuery) -> Self {
        Self::Invalid(error.to_string())
    }
}

fn task_id(text: &str) -> Result<TaskId, ApiError> {
    TaskId::parse(text).map_err(|error| ApiError::Invalid(error.to_string()))
}

fn no_task(id: TaskId) -> ApiError {
    ApiError::not_found(format!("task {id}"))
}
