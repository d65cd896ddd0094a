//! Tasks: looking, trying again, cancelling.

use actix_web::web::{Data, Json, Path, Query};
use npm::PackageName;
use store::tasks::{self, TaskFilter, TaskRow};
use store::{TaskId, TaskState};

use super::messages::{DoneAnswer, TaskAnswer, TaskLogAnswer, TasksAnswer, TasksQuery};
use crate::app::App;
use crate::error::ApiError;

/// Rows of a list when nothing else is asked.
const LIMIT: i64 = 100;
/// Rows of a list at most.
const MOST: i64 = 1_000;

/// `GET tasks`.
///
/// # Errors
/// 422 for a query that makes no sense.
pub async fn list_tasks(
    app: Data<App>,
    query: Query<TasksQuery>,
) -> Result<Json<TasksAnswer>, ApiError> {
    let filter = filter(&query)?;
    let rows = app.engine.store().read(move |rows| tasks::list(rows, &filter)).await?;
    Ok(Json(TasksAnswer { tasks: rows.into_iter().map(answer).collect() }))
}

/// `GET tasks/:id`.
///
/// # Errors
/// 404 when there is none.
pub async fn get_task(app: Data<App>, id: Path<String>) -> Result<Json<TaskAnswer>, ApiError> {
    let id = task_id(&id)?;
    let found = app.engine.store().read(move |rows| {
        let Some(row) = tasks::find(rows, id)? else { return Ok(None) };
        Ok(Some((row, tasks::place(rows, id)?)))
    });
    let (row, place) = found.await?.ok_or_else(|| no_task(id))?;
    Ok(Json(TaskAnswer { place, ..answer(row) }))
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

/// A row as people see it.
#[must_use]
pub fn answer(row: TaskRow) -> TaskAnswer {
    TaskAnswer {
        id: row.id.to_string(),
        name: row.name.to_string(),
        registry: row.registry,
        state: row.state.to_string(),
        priority: row.priority,
        attempts: row.attempts,
        error: row.error,
        author: row.author,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
        not_before_ms: row.not_before_ms,
        place: None,
    }
}

async fn known_id(app: &App, text: &str) -> Result<TaskId, ApiError> {
    let id = task_id(text)?;
    let known = app.engine.store().read(move |rows| tasks::find(rows, id)).await?;
    known.map(|_| id).ok_or_else(|| no_task(id))
}

fn filter(query: &TasksQuery) -> Result<TaskFilter, ApiError> {
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=MOST).contains(&limit) {
        return Err(ApiError::Invalid(format!("limit: must be 1 to {MOST}, not {limit}")));
    }
    let invalid = |error: store::StoreError| ApiError::Invalid(error.to_string());
    Ok(TaskFilter {
        state: query.state.as_deref().map(TaskState::from_text).transpose().map_err(invalid)?,
        name: query.name.as_deref().map(PackageName::parse).transpose()?,
        limit,
        before: query.before.as_deref().map(task_id).transpose()?,
        ..TaskFilter::default()
    })
}

fn task_id(text: &str) -> Result<TaskId, ApiError> {
    TaskId::parse(text).map_err(|error| ApiError::Invalid(error.to_string()))
}

fn no_task(id: TaskId) -> ApiError {
    ApiError::not_found(format!("task {id}"))
}
