//! Operations of the command line, performed by the running server.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use actors::registries::ReloadError;
use store::WriteFn;
use tokio::sync::oneshot;

use super::body::json;
use super::operator::operator;
use crate::app::App;
use crate::error::ApiError;
use crate::operations::{News, Operation, Surroundings};

/// Performs an operation; it is in effect on this node when this answers.
///
/// # Errors
/// The refusal, or what the database says.
pub async fn operate<O: Operation>(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<O::Answer>, ApiError> {
    let operation: O = json(&request, payload).await?;
    let with = Surroundings {
        rules: app.settings.registries.clone(),
        admins: app.settings.admins.clone(),
        by: operator(&app, &request),
    };
    let done = if O::READS {
        app.engine.store().read(move |rows| operation.perform(rows, &with)).await?
    } else {
        write(&app, operation, with).await?
    };
    Ok(Json(done?))
}

async fn write<O: Operation>(
    app: &App,
    operation: O,
    with: Surroundings,
) -> Result<Result<O::Answer, crate::registries::Refused>, ApiError> {
    let (answer, answered) = oneshot::channel();
    let write: WriteFn = Box::new(move |rows| {
        // the caller may have gone; what was asked for is done all the same
        let _ = answer.send(operation.perform(rows, &with)?);
        Ok(())
    });
    app.engine.write(write).await?;
    let done =
        answered.await.map_err(|_| ApiError::Internal("a write without an answer".into()))?;
    match O::NEWS {
        News::None => {}
        News::Accounts => app.accounts.known.forget(),
        News::Registries => match app.engine.registries().reload().await {
            Ok(()) => {}
            // another row than the one that was written, which was checked
            Err(error @ ReloadError::Refused { .. }) => tracing::error!(%error, "a registry"),
            Err(ReloadError::Store(error)) => return Err(error.into()),
        },
    }
    Ok(done)
}
