//! Blocks: adding, lifting, looking.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload, Query};
use store::blocks;
use store::{AnyConnection, StoreError};

use super::body::json;
use super::messages::{BlockAnswer, BlockRequest, BlocksAnswer, BlocksQuery, DoneAnswer};
use super::operator::operator;
use crate::app::App;
use crate::blocked::BlockTarget;
use crate::error::ApiError;

/// Rows of a page when nothing is said.
const PAGE: i64 = 100;

/// `GET blocks`.
///
/// # Errors
/// 422 for a place in the list that is none.
pub async fn list_blocks(
    app: Data<App>,
    query: Query<BlocksQuery>,
) -> Result<Json<BlocksAnswer>, ApiError> {
    let after = query.after.as_deref().map(str::parse::<BlockTarget>).transpose()?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, 1_000);
    let read = move |rows: &mut AnyConnection| BlockAnswer::list(rows, after.as_ref(), limit);
    Ok(Json(BlocksAnswer { blocks: app.engine.store().read(read).await? }))
}

/// `POST blocks`.
///
/// # Errors
/// 422 for a name or version that is none, and without a reason.
pub async fn add_block(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DoneAnswer>, ApiError> {
    let asked: BlockRequest = json(&request, payload).await?;
    let target: BlockTarget = asked.target.parse()?;
    if asked.reason.trim().is_empty() {
        return Err(ApiError::Invalid("reason: must not be empty".to_owned()));
    }
    let by = operator(&app, &request);
    app.engine.block(&target.name, &target.version, asked.reason.trim(), by).await?;
    Ok(Json(DoneAnswer { ok: true }))
}

/// `POST blocks/remove`.
///
/// # Errors
/// 422 for a name or version that is none.
pub async fn remove_block(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DoneAnswer>, ApiError> {
    let asked: BlockRequest = json(&request, payload).await?;
    let target: BlockTarget = asked.target.parse()?;
    let by = operator(&app, &request);
    Ok(Json(DoneAnswer { ok: app.engine.unblock(&target.name, &target.version, by).await? }))
}

impl BlockAnswer {
    /// Blocks behind a place in the list, by name.
    ///
    /// # Errors
    /// Those of the database.
    pub fn list(
        rows: &mut AnyConnection,
        after: Option<&BlockTarget>,
        limit: i64,
    ) -> Result<Vec<Self>, StoreError> {
        let after = after.map_or(("", ""), |after| (after.name.as_str(), after.version.as_str()));
        let found = blocks::list(rows, after, limit)?;
        Ok(found.into_iter().map(Self::from).collect())
    }
}

impl From<blocks::BlockRow> for BlockAnswer {
    fn from(row: blocks::BlockRow) -> Self {
        let target = BlockTarget { name: row.name, version: row.version };
        Self {
            target: target.to_string(),
            id: row.id,
            kind: row.kind.as_str().to_owned(),
            reason: row.reason,
            operator: row.operator,
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
        }
    }
}
