//! Who operates the mirror: whoever may open the socket, or an admin from afar.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::{Data, Payload};
use actix_web::{Error, HttpMessage, HttpRequest};
use store::audit::By;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::{Caller, by};

/// The person at the terminal, as the command line calls it; believed on the socket only.
pub const WHO: &str = "espejo-who";

/// Lets admins through: with a token that is limited in nothing.
///
/// # Errors
/// 401 without a good token, 403 for everybody else.
pub async fn admins_only(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admin(&request).await {
        Ok(by) => {
            request.extensions_mut().insert(by);
            next.call(request).await
        }
        Err(refused) => {
            let limit =
                request.app_data::<Data<App>>().map_or(0, |app| app.settings.max_body_bytes);
            let payload = request.extract::<Payload>().await?;
            // who is refused gets the answer, and not a connection reset while he still writes
            let read = drain(request.request(), payload, limit).await;
            Ok(request.error_response(read.err().unwrap_or(refused)))
        }
    }
}

async fn admin(request: &ServiceRequest) -> Result<By, ApiError> {
    let app = request.app_data::<Data<App>>();
    let app = app.ok_or_else(|| ApiError::Internal("a server without its App".into()))?;
    let caller = Caller::of(app, request.request()).await?;
    let user = caller.user()?;
    if !user.admin {
        return Err(ApiError::Forbidden("Not allow to access".to_owned()));
    }
    user.may_set()?;
    Ok(by(app, request.request(), &user.name))
}

/// Who asks, for the audit log.
#[must_use]
pub fn operator(app: &App, request: &HttpRequest) -> By {
    if let Some(admin) = request.extensions().get::<By>() {
        return admin.clone();
    }
    if request.peer_addr().is_some() {
        return by(app, request, "unknown"); // no way leads here: only the socket has no address
    }
    let who = request.headers().get(WHO).and_then(|who| who.to_str().ok());
    By::terminal(who.unwrap_or("unknown"))
}
