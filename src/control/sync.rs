//! `POST sync`: people ask for packages.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use store::tasks::TaskOptions;

use super::body::json;
use super::messages::{SyncOptions, SyncRequest, TaskAnswer, TasksAnswer};
use crate::app::App;
use crate::error::ApiError;
use crate::wanted::{WantedError, WantedPackages};

/// Queues the packages in front of everything else.
///
/// # Errors
/// 422 for a word that names no package; then nothing is queued.
pub async fn sync_packages(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<TasksAnswer>, ApiError> {
    let asked: SyncRequest = json(&request, payload).await?;
    let options = TaskOptions::from(asked.options);
    let wanted = WantedPackages::read(&asked.names)?;
    let tasks = wanted.into_iter().map(|one| one.into_task(options.clone())).collect();
    let rows = app.engine.enqueue(tasks).await?;
    Ok(Json(TasksAnswer { tasks: rows.into_iter().map(TaskAnswer::from).collect() }))
}

impl From<SyncOptions> for TaskOptions {
    fn from(asked: SyncOptions) -> Self {
        Self {
            skip_dependencies: !asked.dependencies,
            force: asked.force,
            tips: asked.tips,
            ..Self::default()
        }
    }
}

impl From<WantedError> for ApiError {
    fn from(error: WantedError) -> Self {
        Self::Invalid(error.to_string())
    }
}
