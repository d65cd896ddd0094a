//! What became of the deliveries of a hook.

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use store::hooks::HookRow;
use store::hooks::history;
use store::hooks::outbox::DeliveryId;

use super::wish::number;
use super::{own, reader, setter};
use crate::access::gate::Shown;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::caller::client;
use crate::views::hook::{DeliveryAnswer, DeliveryList, TestAnswer};
use crate::views::{Done, json_answer};

/// Most deliveries of one answer, and how many when nothing is said.
const MOST: i64 = 100;
const PAGE: i64 = 30;

#[derive(Deserialize)]
struct PageQuery {
    before: Option<String>,
    limit: Option<String>,
}

/// The newest deliveries, or those before one.
pub(super) async fn list(
    app: &App,
    request: &HttpRequest,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    let user = reader(app, request).await?;
    let query = Query::<PageQuery>::from_query(request.query_string())
        .map_err(|error| ApiError::Invalid(error.to_string()))?;
    let limit = number("limit", query.limit.as_deref(), PAGE, 1..=MOST)?;
    let before = query.before.as_deref().map(|text| {
        DeliveryId::parse(text)
            .map(|id| id.seq)
            .ok_or_else(|| ApiError::Invalid("before: must be the id of a delivery".to_owned()))
    });
    let before = before.transpose()?;
    let hook = own(app, &user, id).await?;
    let shown = Shown::to(app, request).await?;
    let read = move |rows: &mut _| {
        let is_shown = |name: &str| shown.as_ref().is_none_or(|shown| shown.has_text(name));
        history::list(rows, &hook.id, before, limit, is_shown)
    };
    let page = app.engine.store().read(read).await?;
    Ok(json_answer(&DeliveryList::from(&page)))
}

/// One delivery with every try.
pub(super) async fn show(
    app: &App,
    request: &HttpRequest,
    id: &str,
    delivery: &str,
) -> Result<HttpResponse, ApiError> {
    let user = reader(app, request).await?;
    let hook = own(app, &user, id).await?;
    let found = find(app, request, &hook, delivery).await?;
    Ok(json_answer(&found))
}

/// Sends a delivery again.
pub(super) async fn redeliver(
    app: &App,
    request: &HttpRequest,
    id: &str,
    delivery: &str,
) -> Result<HttpResponse, ApiError> {
    let user = setter(app, request).await?;
    let hook = own(app, &user, id).await?;
    find(app, request, &hook, delivery).await?;
    app.hook_limit.check(client(app, request), Some(&user.name))?;
    if let Some(reason) = &hook.paused {
        return Err(ApiError::Conflict(format!(
            "hook {id} is paused ({reason}); change its endpoint to resume it"
        )));
    }
    let parsed = DeliveryId::parse(delivery).ok_or_else(|| not_there(delivery))?;
    if !app.engine.redeliver(parsed).await? {
        return Err(not_there(delivery));
    }
    Ok(json_answer(&Done { ok: true }))
}

/// Tries a hook now and tells what it answered.
pub(super) async fn test(
    app: &App,
    request: &HttpRequest,
    id: &str,
) -> Result<HttpResponse, ApiError> {
    let user = setter(app, request).await?;
    let hook = own(app, &user, id).await?;
    app.hook_limit.check(client(app, request), Some(&user.name))?;
    let (delivery, sent) = app.engine.test_hook(hook).await?;
    Ok(json_answer(&TestAnswer::new(delivery, &sent)))
}

/// One of the hook, about a package that may be shown to whoever asks.
async fn find(
    app: &App,
    request: &HttpRequest,
    hook: &HookRow,
    text: &str,
) -> Result<DeliveryAnswer, ApiError> {
    let shown = Shown::to(app, request).await?;
    let delivery = DeliveryId::parse(text).ok_or_else(|| not_there(text))?;
    let found = app.engine.store().read(move |rows| history::find(rows, delivery)).await?;
    let found = found.filter(|(row, _)| {
        row.hook == hook.id && shown.is_none_or(|shown| shown.has_text(&row.package))
    });
    let (row, attempts) = found.ok_or_else(|| not_there(text))?;
    Ok(DeliveryAnswer::with_attempts(&row, &attempts))
}

fn not_there(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    ApiError::NotThere(format!("delivery {id} not found"))
}
