//! Operations of the command line, performed by the running server.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};

use super::body::json;
use super::operator::operator;
use crate::app::App;
use crate::error::ApiError;
use crate::operations::{News, Operation, Surroundings};
use crate::registries::in_effect;

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
        // what was asked for is done, and known, also when the caller has gone
        let writing = app.runtime.spawn(write(app.clone().into_inner(), operation, with));
        writing.await.map_err(|error| ApiError::Internal(format!("a change: {error}")))??
    };
    Ok(Json(done?))
}

async fn write<O: Operation>(
    app: Arc<App>,
    operation: O,
    with: Surroundings,
) -> Result<Result<O::Answer, crate::registries::Refused>, ApiError> {
    let done = app.engine.write_returning(move |rows| operation.perform(rows, &with)).await?;
    match O::NEWS {
        News::None => {}
        News::Accounts => app.accounts.known.forget(),
        News::Registries => in_effect(&app.engine).await?,
    }
    Ok(done)
}
