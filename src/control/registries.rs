//! Registries and scopes: the command line writes their rows and has the server read them again.

use actix_web::web::{Data, Json};

use actors::registries::ReloadError;

use super::messages::DoneAnswer;
use crate::app::App;
use crate::error::ApiError;

/// `POST registries/reload`.
///
/// # Errors
/// 422 for a row that cannot be used; the others are in use then.
pub async fn reload(app: Data<App>) -> Result<Json<DoneAnswer>, ApiError> {
    match app.engine.registries().reload().await {
        Ok(()) => Ok(Json(DoneAnswer { ok: true })),
        Err(error @ ReloadError::Refused { .. }) => Err(ApiError::Invalid(error.to_string())),
        Err(ReloadError::Store(error)) => Err(error.into()),
    }
}
