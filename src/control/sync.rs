//! `POST sync`: people ask for packages.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use actors::DEFAULT_REGISTRY;
use npm::PackageName;
use store::tasks::{NewTask, PRIORITY_PEOPLE, TaskOptions};
use store::{Keeping, TaskId};

use super::body::json;
use super::messages::{SyncOptions, SyncRequest, TasksAnswer};
use super::tasks::answer;
use crate::app::App;
use crate::error::ApiError;

/// Queues the packages in front of everything else; the rows come in the order of the names.
///
/// # Errors
/// 422 for a text that is no package name; then nothing is queued.
pub async fn sync_packages(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<TasksAnswer>, ApiError> {
    let asked: SyncRequest = json(&request, payload).await?;
    let options = options(asked.options);
    let names = asked.names.iter().map(|name| PackageName::parse(name));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let tasks = names.into_iter().map(|name| NewTask {
        id: TaskId::new(),
        name,
        registry: DEFAULT_REGISTRY.to_owned(),
        priority: PRIORITY_PEOPLE,
        options: options.clone(),
        author: None,
        author_ip: None,
    });
    let rows = app.engine.enqueue(tasks.collect()).await?;
    Ok(Json(TasksAnswer { tasks: rows.into_iter().map(answer).collect() }))
}

fn options(asked: SyncOptions) -> TaskOptions {
    TaskOptions {
        skip_dependencies: !asked.dependencies,
        force: asked.force,
        tips: asked.tips,
        specific_versions: asked.specific_versions,
        keep: Keeping::Mirrored,
        ..TaskOptions::default()
    }
}
