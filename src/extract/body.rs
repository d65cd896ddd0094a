//! Request bodies: read under a cap, or read and thrown away under the same cap.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::error::ApiError;

/// Longest wait for the next piece of a body: a slow client gives its place back.
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
    let mut taken = 0_u64;
    loop {
        let next = tokio::time::timeout(STALL, payload.next());
        let Some(chunk) = next.await.map_err(|_| stalled())? else { return Ok(()) };
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

fn stalled() -> ApiError {
    ApiError::BadRequest(format!("no byte of the request body came for {} s", STALL.as_secs()))
}
