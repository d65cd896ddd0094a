//! The Package Sync API: ask for a sync, look how it is, read what it says.
//!
//! Routes, texts and their order are those of the wire contract, sections 1.1 to 1.5, with the
//! answers of the decisions where they differ.

mod create;
mod events;
mod log;
mod status;
mod stream;
pub mod wish;

pub use self::create::{create_sync, create_sync_legacy};
pub use self::log::{get_log, get_log_legacy, log_text};
pub use self::status::get_status;
pub use self::stream::{stream_log, stream_row};

use actix_web::HttpRequest;
use npm::PackageName;
use store::TaskId;
use store::tasks::{self, TaskRow};

use crate::access::gate::Shown;
use crate::app::App;
use crate::error::ApiError;

/// Path of a package's log, below the base address; names stand in it as people write them.
fn log_path(name: &PackageName, id: TaskId) -> String {
    format!("/-/package/{name}/syncs/{id}/log")
}

/// The task of a route and, while it waits, its place in the queue; as in the reference, any
/// package's route shows it. One of a package that the reader may not know of is not there.
async fn find(
    app: &App,
    request: &HttpRequest,
    name: &PackageName,
    task: &str,
) -> Result<(TaskRow, Option<i64>), ApiError> {
    let missing = || ApiError::not_found(format!("Package \"{name}\" sync task \"{task}\""));
    let id = TaskId::parse(task).map_err(|_| missing())?;
    let found = app.engine.store().read(move |rows| tasks::find_placed(rows, id)).await?;
    let (row, place) = found.ok_or_else(missing)?;
    match Shown::to(app, request).await? {
        Some(shown) if !shown.has(&row.name) => Err(missing()),
        _ => Ok((row, place)),
    }
}
