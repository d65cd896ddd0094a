//! Our own feed, for mirrors that follow this one: `GET /_changes` and `GET /_all_docs`.
//!
//! Pages are read and written on the store's threads, row after row into the bytes that leave;
//! a page of 10,000 rows is about 1 MB.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use store::{AnyConnection, StoreError, changes};

use crate::access::gate::Shown;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::encoding::Encoding;
use crate::extract::feed_query::{ChangesQuery, NamesQuery};
use crate::views::feed::{self, NamesPage};

/// What changed after a seq, one row for each package, its newest.
///
/// Asked beyond the newest change it repeats the seq it was given.
///
/// # Errors
/// 422 and 400 for parameters, see [`ChangesQuery::parse`]; 503 while the database is busy.
pub async fn get_changes(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let asked = ChangesQuery::parse(request.query_string())?;
    let encoding = Encoding::from_headers(request.headers());
    let shown = Shown::to(&app, &request).await?;
    let page = app.engine.store().read(move |rows| {
        let mut rows = changes::since(rows, asked.since, asked.limit)?;
        let last = rows.last().map_or(asked.since, |row| row.seq);
        if let Some(shown) = &shown {
            rows.retain(|row| shown.has_text(&row.name));
        }
        Ok(feed::packed(feed::changes_page(&rows, last), encoding))
    });
    Ok(page.await?.respond())
}

/// The names of all packages that are not gone, in byte order.
///
/// # Errors
/// As [`get_changes`].
pub async fn get_names(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let asked = NamesQuery::parse(request.query_string())?;
    let encoding = Encoding::from_headers(request.headers());
    let shown = Shown::to(&app, &request).await?;
    let page = app.engine.store().read(move |rows| {
        let kept_back = shown.as_ref().map(Shown::kept_back).unwrap_or_default();
        let count = |rows: &mut AnyConnection, end: Option<&str>| {
            let all = changes::count_names(rows, end)?;
            Ok::<_, StoreError>(all - changes::count_of(rows, &kept_back, end)?)
        };
        let (total, before) = (count(rows, None)?, count(rows, Some(&asked.start))?);
        let names = names(rows, &asked, shown.as_ref())?;
        let offset = before.saturating_add(asked.skip).min(total);
        let page = NamesPage { total, offset, names: &names };
        Ok(feed::packed(feed::names_page(&page), encoding))
    });
    Ok(page.await?.respond())
}

/// The names of a page. One that lacks what a reader may not know of is filled up from behind, so
/// that a short page still is the last.
fn names(
    rows: &mut AnyConnection,
    asked: &NamesQuery,
    shown: Option<&Shown>,
) -> Result<Vec<(String, String)>, StoreError> {
    let Some(shown) = shown else {
        return changes::names_from(rows, &asked.start, asked.skip, asked.limit);
    };
    let wanted = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let (mut found, mut start, mut skip) = (Vec::new(), asked.start.clone(), asked.skip);
    loop {
        let page = changes::names_from(rows, &start, skip, asked.limit)?;
        let is_last = page.len() < wanted;
        if let Some((name, _)) = page.last() {
            start.clone_from(name);
            skip = 1;
        }
        found.extend(page.into_iter().filter(|(name, _)| shown.has_text(name)));
        if is_last || found.len() >= wanted {
            found.truncate(wanted);
            return Ok(found);
        }
    }
}
