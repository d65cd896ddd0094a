//! Request bodies of the owner-only API, and answers in JSON lines.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::extract::body::read;

/// Requests of people; names of packages at most.
const LIMIT: u64 = 10 << 20;

/// Reads a JSON body; none stands for the empty object.
///
/// # Errors
/// [`ApiError::Invalid`] naming what is wrong with it.
pub async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, ApiError> {
    let body = read(request, payload, LIMIT).await?;
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::Invalid(format!("request body: {error}")))
}

/// An answer that goes on for a while, one JSON document a line.
pub fn lines<T: Serialize + 'static>(lines: impl Stream<Item = T> + 'static) -> HttpResponse {
    let lines = lines.map(|line| {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(text))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines)
}
