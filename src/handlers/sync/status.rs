//! `GET /-/package/:fullname/syncs/:taskId`.

use actix_web::{HttpRequest, HttpResponse};
use npm::PackageName;

use super::{find, log_path};
use crate::app::App;
use crate::error::ApiError;
use crate::views::json_answer;
use crate::views::task::Status;

/// How a task is.
///
/// # Errors
/// 404 when there is none.
pub async fn get_status(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    task: &str,
) -> Result<HttpResponse, ApiError> {
    let (row, _) = find(app, request, name, task).await?;
    let base = app.base_of(request)?;
    let log_url = format!("{}{}", base.url, log_path(name, row.id));
    Ok(json_answer(&Status::of(&row, &log_url)))
}
