//! `GET /downloads/…`: how often packages were fetched from here.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse};
use actors::clock::now_ms;
use npm::{PackageName, PackagePath};
use percent_encoding::percent_decode_str;
use store::downloads::{self, ALL, DayCount, day_of};

use crate::access::gate::{self, LetIn};
use crate::app::App;
use crate::downloads::range::DayRange;
use crate::error::ApiError;
use crate::views::downloads::{DayFigure, Point, Range, Sum};
use crate::views::json_answer;

/// Path before all of these. A package of this name has no paths of this shape.
pub const PREFIX: &str = "/downloads/";

/// Answers `point/:range/:name`, `range/:range/:name`, `total/point/:range`, `total/:range` and
/// `@scope/:range`.
///
/// # Errors
/// 404 for other paths and packages that are not here, 401 and 403 for closed ones, 422 for a range that is none.
pub async fn get_downloads(app: &App, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let path = request.uri().path();
    let rest = path.strip_prefix(PREFIX).unwrap_or_default().trim_end_matches('/');
    let segments: Vec<&str> = rest.split('/').collect();
    match segments.as_slice() {
        ["total", "point", range] => {
            let range = parse(range)?;
            let sum = total(&read(app, ALL, range).await?);
            Ok(json_answer(&Sum::new(sum, range)))
        }
        ["point", range, name @ ..] if !name.is_empty() => {
            let range = parse(range)?;
            let (name, let_in) = package(app, request, &name.join("/")).await?;
            let sum = total(&read(app, name.as_str(), range).await?);
            let point = Point { sum: Sum::new(sum, range), package: name.as_str() };
            Ok(let_in.mark(json_answer(&point)))
        }
        ["range", range, name @ ..] if !name.is_empty() => {
            let range = parse(range)?;
            let (name, let_in) = package(app, request, &name.join("/")).await?;
            let counts = read(app, name.as_str(), range).await?;
            let versions = by_version(&counts);
            let body = Range::new(by_day(&counts), range).of_package(name.as_str(), versions);
            Ok(let_in.mark(json_answer(&body)))
        }
        [subject, range] => {
            let Some(subject) = whole(subject) else { return Err(ApiError::not_found(path)) };
            let range = parse(range)?;
            let counts = read(app, &subject, range).await?;
            Ok(json_answer(&Range::new(by_day(&counts), range)))
        }
        _ => Err(ApiError::not_found(path)),
    }
}

/// The subject that `total` and a scope stand for.
fn whole(segment: &str) -> Option<String> {
    let subject = percent_decode_str(segment).decode_utf8().ok()?;
    match &*subject {
        "total" => Some(ALL.to_owned()),
        scope => PackageName::parse(&format!("{scope}/x")).ok()?.scope().map(str::to_owned),
    }
}

fn parse(range: &str) -> Result<DayRange, ApiError> {
    let range = percent_decode_str(range).decode_utf8_lossy();
    DayRange::parse(&range, day_of(now_ms()))
}

/// The package of the last part of a path, which has to be here and the caller's to read.
async fn package(
    app: &App,
    request: &HttpRequest,
    path: &str,
) -> Result<(PackageName, LetIn), ApiError> {
    let PackagePath::Packument(name) = PackagePath::parse(path)? else {
        return Err(ApiError::not_found(path));
    };
    let let_in = gate::of_name(app, request, &name).await?;
    match app.packages.find(&name).await? {
        Some(_) => Ok((name, let_in)),
        None => Err(ApiError::not_here(name)),
    }
}

async fn read(app: &App, subject: &str, range: DayRange) -> Result<Vec<DayCount>, ApiError> {
    let subject = subject.to_owned();
    let DayRange { first, last } = range;
    let read = app.engine.store().read(move |rows| downloads::between(rows, &subject, first, last));
    Ok(read.await?)
}

fn total(counts: &[DayCount]) -> i64 {
    counts.iter().map(|count| count.count).sum()
}

fn by_day(counts: &[DayCount]) -> Vec<DayFigure> {
    let mut days = BTreeMap::new();
    for count in counts {
        *days.entry(count.day).or_default() += count.count;
    }
    days.into_iter().map(|(day, count)| DayFigure::new(day, count)).collect()
}

/// Those of days so old that only their package is known are in no version.
fn by_version(counts: &[DayCount]) -> BTreeMap<&str, Vec<DayFigure>> {
    let mut versions = BTreeMap::<&str, Vec<DayFigure>>::new();
    for count in counts.iter().filter(|count| count.version != ALL) {
        let figure = DayFigure::new(count.day, count.count);
        versions.entry(&count.version).or_default().push(figure);
    }
    versions
}
