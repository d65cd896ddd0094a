//! `GET events`: what the engine does, as it happens.

use actix_web::HttpResponse;
use actix_web::web::Data;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use super::body::lines;
use super::messages::EventLine;
use crate::app::App;

/// Streams events until the reader goes or the server stops. The first line says that the
/// listening has begun, so a reader may then ask for what it wants to watch.
pub async fn get_events(app: Data<App>) -> HttpResponse {
    let events = stream::unfold(app.engine.events(), |mut events| async move {
        let line = match events.recv().await {
            Ok(event) => EventLine::Event { event },
            Err(RecvError::Lagged(missed)) => EventLine::Lagged { missed },
            Err(RecvError::Closed) => return None,
        };
        Some((line, events))
    });
    let mut stopping = app.stopping();
    let stopped = async move {
        // An error means that the server is gone, which ends the stream as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let listening = stream::iter([EventLine::Listening]);
    lines(listening.chain(events.take_until(Box::pin(stopped))))
}
