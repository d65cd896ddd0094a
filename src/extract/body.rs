//! Request bodies: read under a cap, or read and thrown away under the same cap.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::{Data, Payload};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::app::App;
use crate::connection::LEAST_PACE;
use crate::error::ApiError;

/// Longest silence in a body where no server says another one.
const STALL: Duration = Duration::from_secs(30);

/// Reads and drops a body that nobody wants, so that the client gets our answer and not a
/// connection reset while it still writes.
///
/// # Errors
/// [`ApiError::BodyTooLarge`] above `limit` bytes, at once when the length is announced.
pub async fn drain(request: &HttpRequest, payload: Payload, limit: u64) -> Result<(), ApiError> {
    take(request, payload, limit, |_| ()).await
}

/// Reads a whole body.
///
/// # Errors
/// [`ApiError::BodyTooLarge`] above `limit` bytes, [`ApiError::BadRequest`] when it breaks off.
pub async fn read(request: &HttpRequest, payload: Payload, limit: u64) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    take(request, payload, limit, |chunk| body.extend_from_slice(chunk)).await?;
    Ok(body.freeze())
}

async fn take(
    request: &HttpRequest,
    mut payload: Payload,
    limit: u64,
    mut keep: impl FnMut(&[u8]),
) -> Result<(), ApiError> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::BodyTooLarge(limit));
    }
    let app = request.app_data::<Data<App>>();
    let stall = app.map_or(STALL, |app| app.settings.stalls_after);
    let begun = Instant::now();
    let mut taken = 0_u64;
    loop {
        let until =
            (begun + stall + Duration::from_secs(taken / LEAST_PACE)).min(Instant::now() + stall);
        let next = tokio::time::timeout_at(until, payload.next());
        let Some(chunk) = next.await.map_err(|_| stalled(taken, stall))? else { return Ok(()) };
        let chunk = chunk.map_err(|error| {
            ApiError::BadRequest(format!("the request body cannot be read: {error}"))
        })?;
        taken = taken.saturating_add(chunk.len() as u64);
        if taken > limit {
            return Err(ApiError::BodyTooLarge(limit));
        }
        keep(&chunk);
    }
}

fn stalled(taken: u64, stall: Duration) -> ApiError {
    let rule = format!("{} s without a byte, or less than {LEAST_PACE} B/s", stall.as_secs());
    ApiError::BadRequest(format!("the request body stopped after {taken} bytes: {rule}"))
}
