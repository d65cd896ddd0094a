//! `GET /-/audit`: who changed what, for admins.

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use store::audit;

use super::registries::admin;
use crate::app::App;
use crate::control::messages::AuditQuery;
use crate::error::ApiError;
use crate::views::json_answer;
use crate::views::registry::{AuditPage, Audited};

/// Rows of the audit log, newest first.
///
/// # Errors
/// 401, 403 for others than admins, 422 for a query that makes no sense.
pub async fn list_audit(
    app: Data<App>,
    request: HttpRequest,
    query: Query<AuditQuery>,
) -> Result<HttpResponse, ApiError> {
    admin(&app, &request).await?;
    let filter = query.filter()?;
    let limit = filter.limit;
    let rows = app.engine.store().read(move |rows| audit::list(rows, &filter)).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
    let next = rows.last().filter(|_| is_full).map(|row| row.id.clone());
    Ok(json_answer(&AuditPage { data: rows.into_iter().map(Audited::from).collect(), next }))
}
