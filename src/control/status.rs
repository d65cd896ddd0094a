//! How the server is, and its end.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use store::{changes, packages};

use super::messages::{DoneAnswer, ServingCounts, StatusAnswer, StoreCounts};
use crate::app::App;
use crate::error::ApiError;

/// `GET status`.
///
/// # Errors
/// When the store cannot be read or the engine does not answer.
pub async fn get_status(app: Data<App>) -> Result<Json<StatusAnswer>, ApiError> {
    let read =
        app.engine.store().read(|rows| Ok((changes::last_seq(rows)?, packages::totals(rows)?)));
    let (last_seq, totals) = read.await?;
    Ok(Json(StatusAnswer {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        listen: app.listen.to_string(),
        ops_listen: app.ops_listen.map(|address| address.to_string()),
        public_url: app.settings.public_url.as_ref().map(ToString::to_string),
        ready: app.is_ready(),
        uptime_ms: u64::try_from(app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        store: StoreCounts::new(totals, last_seq),
        engine: serde_json::to_value(app.engine.describe().await?)
            .map_err(|error| ApiError::Internal(error.to_string()))?,
        serving: ServingCounts {
            requests: app.counters.requests(),
            server_errors: app.counters.server_errors(),
            renders: app.bodies.made(),
            cached_bytes: app.bodies.kept_bytes(),
        },
    }))
}

/// `POST stop`: the same as SIGTERM, and a second one the same as a second SIGTERM.
pub async fn stop_server(app: Data<App>) -> HttpResponse {
    app.ask_to_stop();
    HttpResponse::Accepted().json(DoneAnswer { ok: true })
}
