//! `GET /-/package/:fullname/syncs/:taskId/log/stream`: the log as Server-Sent Events.
//!
//! Only lines that are stored are sent, so nothing that a reader saw is ever taken back, and its
//! `Last-Event-ID` goes on behind them after a broken connection or a restart of the mirror. A
//! reader is asked for the next piece only when it has taken the last one: a slow one costs one
//! piece of memory. Follows wake-ups of the log writer and looks each second anyway, because the
//! task may run on another node.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use actors::log_writer::LogWatch;
use futures_util::stream;
use npm::PackageName;
use store::tasks::{self, LogPiece, TaskRow};
use store::{TaskId, TaskState};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::events::{Events, Position};
use super::find;
use super::log::in_words;
use crate::app::App;
use crate::error::ApiError;

/// How long a missed wake-up costs at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Wake-ups that come faster than this are one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Pieces read at once.
const PIECES: i64 = 4;

/// Follows the log of a task until it ends.
///
/// # Errors
/// 404 when there is no such task, 503 when too many follow already.
pub async fn stream_log(
    app: &Data<App>,
    request: &HttpRequest,
    name: &PackageName,
    task: &str,
) -> Result<HttpResponse, ApiError> {
    let (row, _) = find(app, request, name, task).await?;
    stream_row(app, request, &row)
}

/// The same for a task that is known to be there.
///
/// # Errors
/// 503 when too many follow already.
pub fn stream_row(
    app: &Data<App>,
    request: &HttpRequest,
    row: &TaskRow,
) -> Result<HttpResponse, ApiError> {
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let position = last.map(Position::parse).unwrap_or_default();
    if position.is_end() && is_over(row.state) {
        return Ok(HttpResponse::NoContent().finish()); // tells a browser not to come back
    }
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/event-stream; charset=utf-8");
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    answer.insert_header(("x-accel-buffering", "no"));
    if *request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let reader = Reader::new(app.clone(), row.id, position)?;
    let opening = stream::iter([Events::opening().into_bytes()]);
    let rest = stream::unfold(Some(reader), |reader| async move { reader?.next().await });
    let events = futures_util::StreamExt::map(
        futures_util::StreamExt::chain(opening, rest),
        Ok::<Bytes, Infallible>,
    );
    Ok(answer.streaming(Box::pin(events)))
}

fn is_over(state: TaskState) -> bool {
    matches!(state, TaskState::Success | TaskState::Error)
}

/// One who follows a log.
struct Reader {
    app: Data<App>,
    id: TaskId,
    position: Position,
    place: Option<i64>,
    stored: LogWatch,
    stopping: watch::Receiver<bool>,
    sent: Instant,
    _seat: OwnedSemaphorePermit,
}

/// What is to be sent, and whether more will come.
struct Look {
    events: Events,
    more: bool,
}

impl Reader {
    fn new(app: Data<App>, id: TaskId, position: Position) -> Result<Self, ApiError> {
        let seat = app.log_streams.clone().try_acquire_owned();
        let seat = seat.map_err(|_| ApiError::Unavailable {
            reason: "too many readers follow logs already".to_owned(),
            retry_after: Duration::from_secs(10),
            hint: "read the log as a whole meanwhile: the same path without /stream",
        })?;
        let (stored, stopping) = (app.engine.watch_logs(), app.stopping());
        let sent = Instant::now();
        Ok(Self { app, id, position, place: None, stored, stopping, sent, _seat: seat })
    }

    /// The next bytes; the reader is gone with the last ones.
    async fn next(mut self) -> Option<(Bytes, Option<Self>)> {
        loop {
            if *self.stopping.borrow() {
                return None; // the reader comes back with its position
            }
            let mut look = self.look().await?;
            if look.events.is_empty() && self.sent.elapsed() >= self.app.settings.log_heartbeat {
                look.events.heartbeat();
            }
            if !look.events.is_empty() {
                self.sent = Instant::now();
                return Some((look.events.into_bytes(), look.more.then_some(self)));
            }
            self.wait().await;
        }
    }

    /// Reads what is new; none when the store cannot be read, which ends the stream.
    async fn look(&mut self) -> Option<Look> {
        let (id, first) = (self.id, self.position.first_piece());
        let read = self.app.engine.store().read(move |rows| {
            // the row first: the end of a task and its last lines become visible together
            let (row, place) = tasks::find_placed(rows, id)?.unzip();
            Ok((row, place.flatten(), tasks::log_from(rows, id, first, PIECES)?))
        });
        let (row, place, pieces) = read.await.ok()?;
        Some(self.events(row.as_ref(), place, &pieces))
    }

    fn events(&mut self, row: Option<&TaskRow>, place: Option<i64>, pieces: &[LogPiece]) -> Look {
        let mut events = Events::default();
        for piece in pieces {
            events.lines(piece, &mut self.position);
        }
        if pieces.len() as u64 == PIECES.unsigned_abs() {
            return Look { events, more: true };
        }
        if place.is_some() && place != self.place {
            events.place(&place.map(in_words).unwrap_or_default());
        }
        self.place = place;
        let Some(row) = row else {
            events.end(&self.position, TaskState::Error, Some("the task was deleted"));
            return Look { events, more: false };
        };
        if is_over(row.state) {
            events.end(&self.position, row.state, row.error.as_deref());
        }
        Look { events, more: !is_over(row.state) }
    }

    async fn wait(&mut self) {
        let since_look = Instant::now();
        let heard = async {
            self.stored.changed().await;
            tokio::time::sleep_until(since_look + LOOK_AGAIN).await;
        };
        tokio::select! {
            () = heard => {}
            () = tokio::time::sleep(LOOK_EVERY.min(self.app.settings.log_heartbeat)) => {}
            _ = self.stopping.changed() => {}
        }
    }
}
