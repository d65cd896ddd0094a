//! `GET missing`: what an upstream has and this mirror does not, and why.

use actix_web::web::{Data, Json, Query};
use store::AnyConnection;
use store::completeness::{self, GapCursor, Why};

use super::messages::{MissingAnswer, MissingQuery};
use crate::app::App;
use crate::error::ApiError;

/// Rows of a page when nothing is said.
const USUAL_ROWS: i64 = 100;
/// Most rows of a page.
const MOST_ROWS: i64 = 1_000;

/// `GET missing?why=&limit=&after=`.
///
/// # Errors
/// 422 for a query that makes no sense.
pub async fn get_missing(
    app: Data<App>,
    query: Query<MissingQuery>,
) -> Result<Json<MissingAnswer>, ApiError> {
    let page = Page::of(&query).map_err(ApiError::Invalid)?;
    Ok(Json(app.engine.store().read(move |rows| page.read(rows)).await?))
}

/// A page that was asked for in a way that makes sense.
#[derive(Debug, Clone)]
pub struct Page {
    why: Option<Why>,
    from: GapCursor,
    limit: i64,
}

impl Page {
    /// Checks a query.
    ///
    /// # Errors
    /// A sentence that names the value and the rule.
    pub fn of(query: &MissingQuery) -> Result<Self, String> {
        let limit = query.limit.unwrap_or(USUAL_ROWS);
        if !(1..=MOST_ROWS).contains(&limit) {
            return Err(format!("limit: {limit} is not from 1 to {MOST_ROWS}"));
        }
        let from = query.after.as_deref().map_or_else(|| Ok(GapCursor::default()), str::parse);
        let from = from.map_err(|error: store::StoreError| format!("after: {error}"))?;
        Ok(Self { why: query.why, from, limit })
    }

    /// Reads it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn read(&self, rows: &mut AnyConnection) -> Result<MissingAnswer, store::StoreError> {
        let page = completeness::list(rows, self.why, &self.from, self.limit)?;
        Ok(MissingAnswer { missing: page.gaps, next: page.next.map(|next| next.to_string()) })
    }
}
