//! `GET /` for programs: what this registry is and how much it holds.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use actors::clock::now_ms;
use store::downloads::{self, ALL, day_of};
use store::{changes, packages};

use crate::access::gate::Shown;
use crate::app::App;
use crate::error::ApiError;
use crate::views::downloads::HomeDownloads;
use crate::views::home::Home;
use crate::views::json_answer;

/// Answers with how much is here and the newest change.
///
/// # Errors
/// When the store cannot be read.
pub async fn get_home(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let today = day_of(now_ms());
    let read = app.engine.store().read(move |rows| {
        let seq = changes::last_seq(rows)?;
        let last = changes::since(rows, seq.saturating_sub(1), 1)?.pop();
        let counts = downloads::between(rows, ALL, HomeDownloads::first_day(today), today)?;
        Ok((packages::totals(rows)?, seq, last.map(|row| row.name), counts))
    });
    let (totals, seq, last, counts) = read.await?;
    let shown = Shown::to(&app, &request).await?;
    let last = last.filter(|name| shown.is_none_or(|shown| shown.has_text(name)));
    let downloads = HomeDownloads::new(today, &counts);
    Ok(json_answer(&Home::new(&app, totals, seq, last.as_deref(), downloads)))
}
