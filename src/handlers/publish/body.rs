//! The body of a publish: handed to the engine piece by piece.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use actors::publishing::{ReceiveError, ReceiveLimits, Received};
use bytes::Bytes;
use futures_util::StreamExt;
use npm::publish::ScannerError;
use tokio::sync::mpsc;

use crate::app::App;
use crate::error::ApiError;

/// Pieces that wait for the engine.
const WAITING: usize = 8;
/// Longest wait for the next piece.
const STALL: Duration = Duration::from_secs(30);

/// The largest body that can hold a tarball of this size.
#[must_use]
pub fn longest_body(app: &App) -> u64 {
    let tarball = app.settings.publish.max_tarball_bytes;
    (tarball / 3 + 1).saturating_mul(4).saturating_add(app.settings.max_body_bytes)
}

/// Reads a whole body.
///
/// # Errors
/// 413 when it is too large, 400 when it breaks off, 422 when its tarball is no base64.
pub async fn receive(
    app: &App,
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<Received, ApiError> {
    let longest = longest_body(app);
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > longest) {
        return Err(ApiError::BodyTooLarge(longest));
    }
    let limits = ReceiveLimits {
        document_bytes: app.settings.max_body_bytes,
        tarball_bytes: app.settings.publish.max_tarball_bytes,
    };
    let (pieces, taken) = mpsc::channel::<Bytes>(WAITING);
    let engine = app.engine.clone();
    let received =
        app.runtime.spawn(async move { engine.receive_publication(limits, taken).await });
    let mut passed = 0_u64;
    loop {
        let next = tokio::time::timeout(STALL, payload.next()).await;
        let Some(piece) = next.map_err(|_| stalled())? else { break };
        let piece = piece.map_err(|error| {
            ApiError::BadRequest(format!("the request body cannot be read: {error}"))
        })?;
        passed = passed.saturating_add(piece.len() as u64);
        if passed > longest {
            return Err(ApiError::BodyTooLarge(longest));
        }
        // who refused it already is asked below; the rest is read, so that the client gets the answer
        let _ = pieces.send(piece).await;
    }
    drop(pieces);
    let received = received.await.map_err(|error| ApiError::Internal(error.to_string()))?;
    received.map_err(|error| refused(&error))
}

fn stalled() -> ApiError {
    ApiError::BadRequest(format!("no byte of the request body came for {} s", STALL.as_secs()))
}

fn refused(error: &ReceiveError) -> ApiError {
    match error {
        ReceiveError::Scanner(
            ScannerError::DocumentTooLarge { limit } | ScannerError::TarballTooLarge { limit },
        ) => ApiError::BodyTooLarge(*limit),
        ReceiveError::Scanner(ScannerError::Base64) => ApiError::Unprocessable(error.to_string()),
        ReceiveError::Scanner(_) => ApiError::BadRequest(error.to_string()),
        ReceiveError::Blob(_) | ReceiveError::Stopped => ApiError::Unavailable {
            reason: error.to_string(),
            retry_after: Duration::from_secs(5),
            hint: "try again in a moment",
        },
    }
}
