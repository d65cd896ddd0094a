//! Is it alive, can it serve, what does it do: `/-/ping`, `/-/livez`, `/-/readyz`,
//! `/-/metrics`, and the same plain paths on the ops listener.

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use serde_json::json;

use crate::app::App;
use crate::error::ApiError;
use crate::views::json_answer;
use crate::views::metrics;

/// `npm ping`: 200 as soon as packages can be served.
///
/// # Errors
/// 503 while starting and stopping.
pub async fn get_ping(app: Data<App>) -> Result<HttpResponse, ApiError> {
    let asked = Instant::now();
    check_ready(&app)?;
    let took_ms = asked.elapsed().as_secs_f64() * 1000.0;
    Ok(json_answer(&json!({ "pong": true, "use": took_ms })))
}

/// 200 while the process answers at all.
pub async fn get_livez() -> HttpResponse {
    json_answer(&json!({ "ok": true }))
}

/// 200 while packages can be served.
///
/// # Errors
/// 503 while starting and stopping.
pub async fn get_readyz(app: Data<App>) -> Result<HttpResponse, ApiError> {
    check_ready(&app)?;
    Ok(json_answer(&json!({ "ok": true })))
}

/// What Prometheus reads.
pub async fn get_metrics(app: Data<App>) -> HttpResponse {
    let engine = app.engine.describe().await.ok();
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, metrics::CONTENT_TYPE))
        .body(metrics::text(&app, engine.as_ref()))
}

fn check_ready(app: &App) -> Result<(), ApiError> {
    if app.is_ready() {
        return Ok(());
    }
    Err(ApiError::Unavailable {
        reason: "the mirror is starting or stopping".to_owned(),
        retry_after: std::time::Duration::from_secs(1),
        hint: "try again in a moment",
    })
}
