//! The log of a task as a whole: `GET …/syncs/:taskId/log` and `GET /:fullname/sync/log/:taskId`.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use actors::clock::now_text;
use actors::log_writer::format_line;
use npm::PackageName;
use store::TaskState;
use store::tasks::{FARTHEST_PLACE, TaskRow};

use super::{find, log_path};
use crate::app::App;
use crate::error::ApiError;
use crate::views::json_answer;
use crate::views::task::{LegacyLog, Status};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The lines so far; of a task that waits also its place in the queue.
///
/// # Errors
/// 404 when there is no such task, or its log is gone.
pub async fn get_log(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    task: &str,
) -> Result<HttpResponse, ApiError> {
    let (row, place) = find(app, request, name, task).await?;
    let text = log_text(app, &row, place).await?.ok_or_else(|| {
        ApiError::not_found(format!("Package \"{name}\" sync task \"{task}\" log"))
    })?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, TEXT)).body(text))
}

/// The text of a task's log, the same for everybody who shows it; none when nothing is known.
///
/// # Errors
/// When the store cannot be read or the engine does not answer.
pub async fn log_text(
    app: &App,
    row: &TaskRow,
    place: Option<i64>,
) -> Result<Option<String>, ApiError> {
    let written = app.engine.task_log(row.id).await?;
    Ok(match (written, place) {
        (written, Some(place)) => {
            let line = format_line("🚧", format_args!("waiting in the queue, {}", in_words(place)));
            Some(written.unwrap_or_default() + &line)
        }
        (None, None) if row.state == TaskState::Processing => Some(String::new()),
        (written, None) => written,
    })
}

/// `place 3`, or where counting ends.
pub(super) fn in_words(place: i64) -> String {
    let beyond = if place >= FARTHEST_PLACE { " or behind" } else { "" };
    format!("place {place}{beyond}")
}

/// The same for older clients: one line that says how the task is.
///
/// # Errors
/// 404 when there is no such task.
pub async fn get_log_legacy(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    task: &str,
) -> Result<HttpResponse, ApiError> {
    let (row, _) = find(app, request, name, task).await?;
    let log_url = format!("{}{}", app.base_of(request)?.url, log_path(name, row.id));
    let done = !matches!(row.state, TaskState::Waiting | TaskState::Processing);
    let status = Status::of(&row, &log_url);
    let data = serde_json::to_string(&status).unwrap_or_default();
    let mark = if done { "done" } else { "processing" };
    let log = format!("[{}] [{mark}] Sync {name} data: {data}", now_text());
    Ok(json_answer(&LegacyLog {
        ok: true,
        sync_done: done,
        log,
        log_url: &log_url,
        error: row.error.as_deref(),
    }))
}
