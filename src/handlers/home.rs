//! `GET /` for programs: what this registry is and how much it holds.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use store::{changes, packages};

use crate::app::App;
use crate::error::ApiError;
use crate::views::home::{Counts, Home};
use crate::views::json_answer;

/// Answers with counts that are a few seconds old at most, and the newest change.
///
/// # Errors
/// When the store cannot be read.
pub async fn get_home(app: Data<App>) -> Result<HttpResponse, ApiError> {
    let counts = counts(&app).await?;
    let newest = app.engine.store().read(|rows| {
        let seq = changes::last_seq(rows)?;
        let last = changes::since(rows, seq.saturating_sub(1), 1)?.pop();
        Ok((seq, last.map(|row| row.name)))
    });
    let (seq, last) = newest.await?;
    Ok(json_answer(&Home::new(&app, *counts, seq, last.as_deref())))
}

/// Counting reads whole tables, so all who ask within some seconds share one count.
///
/// # Errors
/// When the store cannot be read.
pub async fn counts(app: &App) -> Result<Arc<Counts>, ApiError> {
    let count = async {
        let totals = app.engine.store().read(packages::totals).await?;
        Ok::<_, ApiError>(Arc::new(Counts { totals, at_ms: actors::clock::now_ms() }))
    };
    Ok(app.counts.try_get_with((), count).await?)
}
