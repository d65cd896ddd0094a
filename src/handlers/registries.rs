//! `/-/registry` and `/-/scope`: the upstream registries and which scopes belong to them.
//!
//! Anybody may look, as in the reference; nobody sees a token. Changing is for admins.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use store::audit::By;
use store::feeds::{self, FeedRow};
use store::registries::{self, DEFAULT, RegistryRow, SELF};
use store::scopes;
use store::{AnyConnection, StoreError};

use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::{drain, read};
use crate::extract::caller::{Caller, by};
use crate::extract::fields::Fields;
use crate::registries::{Change, Done, Refused, Traits, run};
use crate::views::registry::{Made, Page, Registry, Scope};
use crate::views::{created, json_answer};

/// Most characters of a name, a prefix and a token.
const NAME: usize = 256;
/// Most characters of an address.
const ADDRESS: usize = 4096;
/// What may be said of a registry.
const REGISTRY_FIELDS: [&str; 7] =
    ["name", "host", "type", "userPrefix", "authToken", "changeStream", "rate"];

/// `pageSize` and `pageIndex` of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paging {
    page_size: Option<String>,
    page_index: Option<String>,
}

impl Paging {
    /// The page of `rows`.
    fn of<T>(&self, rows: Vec<T>) -> Result<Page<T>, ApiError> {
        let number = |name: &str, text: Option<&String>, usual: usize| match text {
            None => Ok(usual),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| ApiError::BadRequest(format!("{name}: {text:?} is no whole number"))),
        };
        let size = number("pageSize", self.page_size.as_ref(), 20)?;
        let index = number("pageIndex", self.page_index.as_ref(), 0)?;
        if !(1..=100).contains(&size) {
            return Err(ApiError::BadRequest(format!("pageSize: {size} is not from 1 to 100")));
        }
        let total = rows.len();
        let data = rows.into_iter().skip(size.saturating_mul(index)).take(size).collect();
        Ok(Page { data, total, count: total })
    }
}

/// `GET /-/registry`: `default` and `self` first, the others by name.
///
/// # Errors
/// 400 for a page that is none.
pub async fn list_registries(
    app: Data<App>,
    request: HttpRequest,
    paging: Query<Paging>,
) -> Result<HttpResponse, ApiError> {
    let stored = app.engine.store().read(stored).await?;
    let all = presets_first(&app, &request, stored)?;
    let page = paging.of(all)?;
    let data = page.data.into_iter().map(|(row, feed)| Registry::new(row, feed)).collect();
    Ok(json_answer(&Page { data, total: page.total, count: page.count }))
}

/// `GET /-/registry/:id`, by id or name.
///
/// # Errors
/// 404 when there is none.
pub async fn get_registry(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (row, feed) = find(&app, &request, &id).await?;
    Ok(json_answer(&Registry::new(row, feed)))
}

/// `GET /-/registry/:id/scopes`, by name.
///
/// # Errors
/// 404 when there is no such registry, 400 for a page that is none.
pub async fn list_scopes(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    paging: Query<Paging>,
) -> Result<HttpResponse, ApiError> {
    let (row, _) = find(&app, &request, &id).await?;
    let (name, id) = (row.name, row.id);
    let bound = app.engine.store().read(move |rows| scopes::of_registry(rows, &name)).await?;
    let shown = bound.into_iter().map(|row| Scope::new(row, id.clone())).collect();
    Ok(json_answer(&paging.of::<Scope>(shown)?))
}

/// `POST /-/registry`.
///
/// # Errors
/// 401, 403, 422 with the first broken rule, 409 when the name is taken.
pub async fn create_registry(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (by, fields) = admitted(&app, &request, payload).await?;
    let name = fields.required_trimmed("name", NAME)?;
    let host = fields.required_trimmed("host", ADDRESS)?;
    let kind = fields.required_trimmed("type", NAME)?;
    let traits = Traits { kind: Some(kind), ..traits(&fields)? };
    fields.only(&REGISTRY_FIELDS)?;
    let done = run(&app, by, Change::Add { name, host, traits }).await??;
    let Done::Registry(row) = done else { return Err(unexpected()) };
    Ok(created(&Made { ok: true, row: Registry::new(row, None) }))
}

/// `PATCH /-/registry/:id`: what is not named stays, and so does the name.
///
/// # Errors
/// 401, 403, 404, 422 with the first broken rule.
pub async fn change_registry(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (by, fields) = admitted(&app, &request, payload).await?;
    let name = fields.trimmed("name", NAME)?;
    let host = fields.trimmed("host", ADDRESS)?;
    if fields.has("userPrefix") {
        return Err(ApiError::Invalid("userPrefix: cannot be changed".to_owned()));
    }
    let kind = fields.trimmed("type", NAME)?;
    let traits = Traits { kind, ..traits(&fields)? };
    fields.only(&REGISTRY_FIELDS)?;
    let (row, _) = find(&app, &request, &id).await?;
    if name.is_some_and(|name| name != row.name) {
        let text = format!("name: {} is what its packages know it by; it stays", row.name);
        return Err(ApiError::Invalid(text));
    }
    let done = run(&app, by, Change::Set { name: row.name, host, traits }).await??;
    let Done::Registry(row) = done else { return Err(unexpected()) };
    let registry = row.name.clone();
    let feed = app.engine.store().read(move |rows| feeds::find(rows, &registry)).await?;
    Ok(json_answer(&Made { ok: true, row: Registry::new(row, feed) }))
}

/// `DELETE /-/registry/:id`; its scopes go too. One that is not there is gone already.
///
/// # Errors
/// 401, 403, 409 while packages belong to it, 422 for `default` and `self`.
pub async fn delete_registry(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let by = admitted_without_body(&app, &request, payload).await?;
    let change = Change::Remove { name: id.into_inner(), with_scopes: true };
    gone(run(&app, by, change).await?)
}

/// `POST /-/registry/:id/sync`: its feed is followed, from `since` on when that is named.
///
/// # Errors
/// 401, 403, 404, 400 for a registry that has no feed or no scopes, 422 for a number that is none.
pub async fn sync_registry(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (by, fields) = admitted(&app, &request, payload).await?;
    let since = fields.trimmed("since", NAME)?;
    fields.only(&["since"])?;
    let since = since.map(|since| match since.parse::<i64>() {
        Ok(seq) if seq >= 0 => Ok(seq),
        _ => Err(ApiError::Invalid(format!("since: {since:?} is no number of a feed"))),
    });
    let since = since.transpose()?;
    let (row, _) = find(&app, &request, &id).await?;
    let name = row.name.clone();
    let bound = app.engine.store().read(move |rows| scopes::of_registry(rows, &name)).await?;
    if bound.is_empty() && row.name != DEFAULT {
        let text = format!("registry {} has no scopes, please create scopes first", row.id);
        return Err(ApiError::BadRequest(text));
    }
    run(&app, by, Change::Resume { name: row.name, since }).await??;
    Ok(json_answer(&serde_json::json!({ "ok": true })))
}

/// `POST /-/scope`.
///
/// # Errors
/// 401, 403, 422, 400 for a registry that is not there, 409 when the scope is bound already.
pub async fn create_scope(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (by, fields) = admitted(&app, &request, payload).await?;
    let scope = fields.required_trimmed("name", NAME)?;
    let registry = fields.required_trimmed("registryId", NAME)?;
    fields.only(&["name", "registryId"])?;
    let asked = registry.clone();
    let done = match run(&app, by, Change::Bind { scope, registry, replace: false }).await? {
        Err(Refused::NoRegistry(_)) => {
            return Err(ApiError::BadRequest(format!("registry {asked} not found")));
        }
        done => done?,
    };
    let Done::Scope(row) = done else { return Err(unexpected()) };
    let (registry, _) = find(&app, &request, &row.registry).await?;
    Ok(created(&Made { ok: true, row: Scope::new(row, registry.id) }))
}

/// `DELETE /-/scope/:id`, by id or name. One that is not there is gone already.
///
/// # Errors
/// 401, 403.
pub async fn delete_scope(
    app: Data<App>,
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let by = admitted_without_body(&app, &request, payload).await?;
    gone(run(&app, by, Change::Unbind { scope: id.into_inner() }).await?)
}

fn gone(done: Result<Done, Refused>) -> Result<HttpResponse, ApiError> {
    match done {
        Ok(_) | Err(Refused::NoRegistry(_) | Refused::NoScope(_)) => {
            Ok(json_answer(&serde_json::json!({ "ok": true })))
        }
        Err(refused) => Err(refused.into()),
    }
}

fn unexpected() -> ApiError {
    ApiError::Internal("a change ended as another one".to_owned())
}

/// What may be said of a registry beside its name, address and type.
fn traits(fields: &Fields) -> Result<Traits, ApiError> {
    let taken_away = fields.has("authToken").then(String::new);
    let rate = fields.number("rate", 0..=i64::from(u32::MAX))?;
    Ok(Traits {
        kind: None,
        token: fields.trimmed("authToken", NAME)?.or(taken_away),
        rate: rate.and_then(|rate| u32::try_from(rate).ok()),
        feed: fields.trimmed("changeStream", ADDRESS)?,
        user_prefix: fields.trimmed("userPrefix", NAME)?,
    })
}

/// The admin who asks, and the body; a body that is refused is read all the same.
async fn admitted(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(By, Fields), ApiError> {
    let limit = app.settings.max_body_bytes;
    match admin(app, request).await {
        Ok(by) => Ok((by, Fields::parse(&read(request, payload, limit).await?)?)),
        Err(refused) => {
            drain(request, payload, limit).await?;
            Err(refused)
        }
    }
}

async fn admitted_without_body(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<By, ApiError> {
    drain(request, payload, app.settings.max_body_bytes).await?;
    admin(app, request).await
}

/// The admin who asks, for the audit log.
///
/// # Errors
/// 401 when nobody is logged in, 403 for others.
pub async fn admin(app: &App, request: &HttpRequest) -> Result<By, ApiError> {
    let caller = Caller::of(app, request).await?;
    let user = caller.user()?;
    if !user.admin {
        return Err(ApiError::Forbidden("Not allow to access".to_owned()));
    }
    Ok(by(app, request, &user.name))
}

type Known = (RegistryRow, Option<FeedRow>);

/// Every registry of the table with its feed, and `default`, without an address while it has no row.
fn stored(rows: &mut AnyConnection) -> Result<Vec<Known>, StoreError> {
    let mut feeds = feeds::list(rows)?;
    let with_feed = |row: RegistryRow| {
        let place = feeds.iter().position(|feed| feed.registry == row.name);
        let feed = place.map(|place| feeds.swap_remove(place));
        (row, feed)
    };
    let mut all = registries::list(rows)?;
    if !all.iter().any(|row| row.name == DEFAULT) {
        all.push(RegistryRow::new(DEFAULT, "", "", 0));
    }
    Ok(all.into_iter().map(with_feed).collect())
}

/// `default` and `self` are there, whether they have a row or not.
fn presets_first(
    app: &App,
    request: &HttpRequest,
    stored: Vec<Known>,
) -> Result<Vec<Known>, ApiError> {
    let (default, others): (Vec<_>, Vec<_>) =
        stored.into_iter().partition(|(row, _)| row.name == DEFAULT);
    let addressed = |(row, feed): Known| match row.host.as_str() {
        "" => (default_of_settings(app), feed),
        _ => (row, feed),
    };
    let mut all: Vec<_> = default.into_iter().map(addressed).collect();
    all.push((self_of(app, request)?, None));
    all.extend(others);
    Ok(all)
}

fn default_of_settings(app: &App) -> RegistryRow {
    let upstream = app.engine.upstream();
    let host = upstream.as_ref().map_or("", |upstream| upstream.settings().url.as_str());
    RegistryRow::new(DEFAULT, host, "", app.started_ms)
}

/// This mirror itself as a registry.
fn self_of(app: &App, request: &HttpRequest) -> Result<RegistryRow, ApiError> {
    let base = app.base_of(request)?;
    let row = RegistryRow::new(SELF, &format!("{}/", base.url), "", app.started_ms);
    Ok(RegistryRow { kind: "cnpmcore".to_owned(), change_stream: "off".to_owned(), ..row })
}

/// A registry by id or name, with its feed.
async fn find(app: &App, request: &HttpRequest, id: &str) -> Result<Known, ApiError> {
    if id == SELF {
        return Ok((self_of(app, request)?, None));
    }
    let asked = id.to_owned();
    let read = move |rows: &mut AnyConnection| {
        let row = registries::find_by_name_or_id(rows, &asked)?;
        let feed = feeds::find(rows, row.as_ref().map_or(&asked, |row| &row.name))?;
        Ok((row, feed))
    };
    match app.engine.store().read(read).await? {
        (Some(row), feed) => Ok((row, feed)),
        (None, feed) if id == DEFAULT => Ok((default_of_settings(app), feed)),
        (None, _) => Err(ApiError::not_found("registry")),
    }
}
