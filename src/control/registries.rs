//! Registries and scopes: the command line writes their rows and has the server read them again,
//! or ask one of them how it is.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use actors::registries::ReloadError;
use npm::PackageName;

use super::body::json;
use super::messages::{DoneAnswer, RegistryTest, RegistryTested};
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

/// `POST registries/test`.
///
/// # Errors
/// 404 for a registry that is not there or has no address, 422 for a package that is none.
pub async fn test(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<RegistryTested>, ApiError> {
    let asked: RegistryTest = json(&request, payload).await?;
    let package = asked.package.as_deref().map(PackageName::parse).transpose()?;
    let found = app.engine.check_registry(&asked.name, package).await?;
    let findings = found.ok_or_else(|| ApiError::not_found(format!("registry {}", asked.name)))?;
    Ok(Json(RegistryTested { findings }))
}
