//! Tasks: looking, trying again, cancelling.

use actix_web::web::{Data, Json, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use store::TaskId;
use store::tasks::{self, TaskRow};

use super::answers::{self, BadQuery};
use super::messages::{DoneAnswer, TaskAnswer, TaskLogAnswer, TasksAnswer, TasksQuery};
use crate::app::App;
use crate::error::ApiError;
use crate::handlers::sync::{log_text, stream_row};

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
    let (row, place) = known(&app, &id).await?;
    Ok(Json(TaskAnswer { place, ..row.into() }))
}

/// `GET tasks/:id/log`.
///
/// # Errors
/// 404 when there is no such task.
pub async fn get_task_log(
    app: Data<App>,
    id: Path<String>,
) -> Result<Json<TaskLogAnswer>, ApiError> {
    let (row, place) = known(&app, &id).await?;
    Ok(Json(TaskLogAnswer { log: log_text(&app, &row, place).await?.unwrap_or_default() }))
}

/// `GET tasks/:id/log/stream`: Server-Sent Events until the task has ended.
///
/// # Errors
/// 404 when there is no such task, 503 when too many follow logs already.
pub async fn stream_task_log(
    app: Data<App>,
    id: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (row, _) = known(&app, &id).await?;
    stream_row(&app, &request, &row)
}

/// `POST tasks/:id/retry`.
///
/// # Errors
/// 404 when there is no such task.
pub async fn retry_task(app: Data<App>, id: Path<String>) -> Result<Json<DoneAnswer>, ApiError> {
    let (row, _) = known(&app, &id).await?;
    Ok(Json(DoneAnswer { ok: app.engine.retry(row.id).await? }))
}

/// `POST tasks/:id/cancel`.
///
/// # Errors
/// 404 when there is no such task.
pub async fn cancel_task(app: Data<App>, id: Path<String>) -> Result<Json<DoneAnswer>, ApiError> {
    let (row, _) = known(&app, &id).await?;
    Ok(Json(DoneAnswer { ok: app.engine.cancel(row.id).await? }))
}

/// The task with this id and, while it waits, its place in the queue.
///
/// # Errors
/// 404 when there is none, 422 for a text that is no id.
pub async fn known(app: &App, text: &str) -> Result<(TaskRow, Option<i64>), ApiError> {
    let id = task_id(text)?;
    let found = app.engine.store().read(move |rows| tasks::find_placed(rows, id)).await?;
    found.ok_or_else(|| no_task(id))
}

impl From<BadQuery> for ApiError {
    fn from(error: BadQuery) -> Self {
        Self::Invalid(error.to_string())
    }
}

fn task_id(text: &str) -> Result<TaskId, ApiError> {
    TaskId::parse(text).map_err(|error| ApiError::Invalid(error.to_string()))
}

/// What is said of a task that is not there.
#[must_use]
pub fn no_task(id: TaskId) -> ApiError {
    ApiError::not_found(format!("task {id}"))
}
