//! `/-/v1/search`: what is here, found by its words (wire contract, 6.8).

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use npm::{PackageName, PackagePath};
use serde_json::value::RawValue;

use super::registries::admin;
use super::unserved;
use crate::access::gate::{self, LetIn, Shown};
use crate::app::App;
use crate::error::ApiError;
use crate::extract::body::drain;
use crate::extract::caller::Caller;
use crate::extract::search_query::SearchQuery;
use crate::search::index::{Hit, Page, SearchIndex};
use crate::search::states::{self, State};
use crate::search::{Order, Search, card_of};
use crate::views::json_answer;
use crate::views::search::{Downloads, Found, Object, Ordered, Score};

/// The words of the reference implementation, its setting included: clients show them.
const OFF: &str = "search feature not enabled in `config.cnpmcore.enableElasticsearch`";

fn search(app: &App) -> Result<&Arc<Search>, ApiError> {
    app.search.as_ref().ok_or_else(|| ApiError::Legal(OFF.to_owned()))
}

/// Searches.
///
/// # Errors
/// 451 where there is no search, 422 for a query that is none, 401 and 403 for a token that is not
/// good where some packages have readers of their own, 503 while the index is made.
pub async fn get_search(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let search = search(&app)?;
    let asked = SearchQuery::parse(request.query_string())?;
    let shown = Shown::to(&app, &request).await?;
    let kept_back = shown.as_ref().map(Shown::kept_back).unwrap_or_default();
    let began = Instant::now();
    let page = run(search.index()?, asked, kept_back).await;
    search.numbers.answered(began.elapsed());
    let page = page?;
    let mut objects = Vec::with_capacity(page.hits.len());
    let names = page.hits.iter().map(|hit| hit.name.clone()).collect();
    let mut now = states::of_names(&app.engine, names).await?;
    let mut total = page.total;
    for hit in page.hits {
        let state = now.remove(&hit.name);
        match object(&app, search, hit, state).await {
            Some(object) => objects.push(object),
            None => total = total.saturating_sub(1),
        }
    }
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let let_in = if shown.is_some() { LetIn::Alone } else { LetIn::Open };
    Ok(let_in.mark(json_answer(&Found { objects, total, time })))
}

async fn run(
    index: Arc<SearchIndex>,
    asked: SearchQuery,
    kept_back: Vec<PackageName>,
) -> Result<Page, ApiError> {
    let found = tokio::task::spawn_blocking(move || {
        index.search(&asked.question, asked.from, asked.size, &kept_back)
    });
    let found = found.await.map_err(|error| ApiError::Internal(error.to_string()))?;
    found.map_err(|error| ApiError::Internal(error.to_string()))
}

/// A hit as the tables have it now; the index hears of what it did not know.
async fn object(app: &App, search: &Search, hit: Hit, state: Option<State>) -> Option<Object> {
    let Some(state) = state.filter(|state| !state.withheld) else {
        search.look_again(hit.name);
        return None;
    };
    let downloads = hit.known.downloads;
    let is_known =
        state.revision == hit.known.revision && state.hidden_print == hit.known.hidden_print;
    let card = if is_known {
        Some(hit.card)
    } else {
        search.look_again(hit.name.clone());
        let card = card_of(&app.engine, state).await;
        card.inspect_err(|error| tracing::warn!(package.name = %hit.name, %error, "no card"))
            .ok()?
    };
    let package: Box<RawValue> = serde_json::from_slice(&card?).ok()?;
    Some(Object {
        package,
        downloads: Downloads { all: downloads },
        score: Score::of(hit.rank, downloads),
        search_score: hit.rank,
    })
}

/// `/-/v1/search/sync/:name`: writes a package into the index anew, or takes it out until it
/// changes.
///
/// # Errors
/// 451 where there is no search, 401 without a login, 403 for DELETE by others than admins, 404
/// for a package that is not here.
pub async fn search_api(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let order = match *request.method() {
        Method::PUT => Order::Write,
        Method::DELETE => Order::Forget,
        _ => return unserved::only(&app, &request, payload, "PUT, DELETE, OPTIONS").await,
    };
    drain(&request, payload, app.settings.max_body_bytes).await?;
    let name = name_of(&request)?;
    if order == Order::Forget {
        admin(&app, &request).await?;
    } else {
        let caller = Caller::of(&app, &request).await?;
        caller.user()?.may_change(&name, "sync")?;
    }
    let search = search(&app)?;
    gate::of_name(&app, &request, &name).await?;
    if order == Order::Write && app.packages.find(&name).await?.is_none() {
        return Err(ApiError::not_here(name));
    }
    search.order(name.clone(), order).await?;
    Ok(json_answer(&Ordered { package: name.as_str() }))
}

/// The name is one escaped segment or two plain ones.
fn name_of(request: &HttpRequest) -> Result<PackageName, ApiError> {
    let path = request.uri().path();
    let (_, name) = path.split_once("/sync/").unwrap_or_default();
    match PackagePath::parse(name.trim_matches('/'))? {
        PackagePath::Packument(name) => Ok(name),
        _ => Err(ApiError::not_found(path)),
    }
}
