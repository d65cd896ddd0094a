//! Versions that rules of the settings deny: which they are, or would be under other rules.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload};
use actors::SyncPolicy;
use actors::deny::DenyRules;
use npm::PackageName;
use store::facts::{self, Facts, ListedPackage};
use store::registries::SELF;
use store::{AnyConnection, StoreError, releases};

use super::body::json;
use super::messages::{DenialsAnswer, DenialsQuery, DeniedAnswer, TriedRules};
use super::walk::{Page, walk};
use crate::app::App;
use crate::blocked::BlockTarget;
use crate::cache::withheld::learn;
use crate::config::value::check_pattern;
use crate::error::ApiError;

/// Rows of a page when nothing is said.
const PAGE: usize = 100;
/// Most rows of a page.
const LONGEST_PAGE: usize = 1_000;

/// `POST denials`: what is denied, or with `tried` what those rules would deny.
///
/// # Errors
/// 422 for a place in the list that is none, and for rules that no name can match.
pub async fn list_denials(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DenialsAnswer>, ApiError> {
    let asked: DenialsQuery = json(&request, payload).await?;
    let after = asked.after.as_deref().map(str::parse::<BlockTarget>).transpose()?;
    let limit = asked.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let rules = under(&app.engine.policy(), asked.tried.as_ref());
    for pattern in rules.names.iter().chain(&rules.except) {
        check_pattern(pattern).map_err(|error| ApiError::Invalid(error.to_string()))?;
    }
    let mut page = denials(&app, &rules, after.as_ref(), limit).await?;
    if !page.unread.is_empty() {
        for name in &page.unread {
            learn(&app.engine, name).await;
        }
        page = denials(&app, &rules, after.as_ref(), limit).await?;
    }
    Ok(Json(DenialsAnswer { denied: page.page.rows, next: page.page.next }))
}

async fn denials(
    app: &App,
    rules: &DenyRules,
    after: Option<&BlockTarget>,
    limit: usize,
) -> Result<Denials, ApiError> {
    let (rules, after) = (rules.clone(), after.cloned());
    let read = move |rows: &mut AnyConnection| Denials::read(rows, &rules, after.as_ref(), limit);
    Ok(app.engine.store().read(read).await?)
}

/// The rules as they are set, or others in their place; exceptions stay where none are given.
#[must_use]
pub fn under(policy: &SyncPolicy, tried: Option<&TriedRules>) -> DenyRules {
    let set = policy.deny.clone();
    let Some(tried) = tried else { return set };
    DenyRules {
        names: tried.names.clone(),
        licences: tried.licences.clone(),
        larger_than_bytes: tried.larger_than_bytes,
        install_scripts: tried.install_scripts,
        except: if tried.except.is_empty() { set.except } else { tried.except.clone() },
    }
}

/// A page of denied versions.
#[derive(Debug)]
pub struct Denials {
    /// The page.
    pub page: Page<DeniedAnswer>,
    /// Packages on it with versions whose manifests were never read for rules: they count as
    /// denied where that matters. Read them, and then the page again.
    pub unread: Vec<PackageName>,
}

impl Denials {
    /// Versions behind a place that the rules deny, released ones left out.
    ///
    /// # Errors
    /// Those of the database.
    pub fn read(
        rows: &mut AnyConnection,
        rules: &DenyRules,
        after: Option<&BlockTarget>,
        limit: usize,
    ) -> Result<Self, StoreError> {
        let mut unread = Vec::new();
        let page =
            walk(rows, after, limit, |rows, package| denied_of(rows, rules, package, &mut unread))?;
        Ok(Self { page, unread })
    }
}

fn denied_of(
    rows: &mut AnyConnection,
    rules: &DenyRules,
    package: &ListedPackage,
    unread: &mut Vec<PackageName>,
) -> Result<Vec<(String, DeniedAnswer)>, StoreError> {
    let name = &package.name;
    let by_name = rules.name(name);
    let is_asked = by_name.is_some() || rules.judges_versions();
    if !is_asked || package.registry == SELF || !rules.concerns(name) {
        return Ok(Vec::new());
    }
    let listed = facts::listed(rows, package.id)?;
    if rules.judges_versions() && listed.iter().any(|row| row.facts == Facts::Unread) {
        unread.push(name.clone());
    }
    let denied = listed.into_iter().filter_map(|row| {
        let denied = by_name.clone().or_else(|| rules.version(&row))?;
        Some((row.version, denied))
    });
    let denied: Vec<_> = denied.collect();
    if denied.is_empty() {
        return Ok(Vec::new());
    }
    let released = releases::of_package(rows, name)?;
    let shown = denied.into_iter().filter(|(version, _)| !released.contains(version));
    let shown = shown.map(|(version, denied)| {
        let target = format!("{name}@{version}");
        let answer = DeniedAnswer { target, rule: denied.rule.to_owned(), found: denied.found };
        (version, answer)
    });
    Ok(shown.collect())
}
