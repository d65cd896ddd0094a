//! Versions held back by their age: which they are, letting one go, and taking that back.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload, Query};
use actors::SyncPolicy;
use store::audit::By;
use store::blocks::WHOLE_PACKAGE;
use store::facts::ListedPackage;
use store::{AnyConnection, StoreError, releases, versions};

use super::body::json;
use super::messages::{BlockRequest, DoneAnswer, HeldAnswer, HoldsAnswer, HoldsQuery};
use super::operator::operator;
use super::walk::{Page, walk};
use crate::app::App;
use crate::blocked::BlockTarget;
use crate::error::ApiError;

/// Rows of a page when nothing is said.
const PAGE: usize = 100;

/// `GET holds`: what is held, or with `hold_ms` what would be.
///
/// # Errors
/// 422 for a place in the list that is none.
pub async fn list_holds(
    app: Data<App>,
    query: Query<HoldsQuery>,
) -> Result<Json<HoldsAnswer>, ApiError> {
    let after = query.after.as_deref().map(str::parse::<BlockTarget>).transpose()?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, 1_000);
    let policy = as_if(&app.engine.policy(), query.hold_ms);
    let read =
        move |rows: &mut AnyConnection| HeldAnswer::list(rows, &policy, after.as_ref(), limit);
    let page = app.engine.store().read(read).await?;
    Ok(Json(HoldsAnswer { held: page.rows, next: page.next }))
}

/// `POST releases`.
///
/// # Errors
/// 422 for what is no version of a package.
pub async fn release(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DoneAnswer>, ApiError> {
    let (target, by) = one_version(&app, &request, payload).await?;
    Ok(Json(DoneAnswer { ok: app.engine.release(&target.name, &target.version, by).await? }))
}

/// `POST releases/remove`.
///
/// # Errors
/// 422 for what is no version of a package.
pub async fn take_back(
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<DoneAnswer>, ApiError> {
    let (target, by) = one_version(&app, &request, payload).await?;
    let ok = app.engine.take_release_back(&target.name, &target.version, by).await?;
    Ok(Json(DoneAnswer { ok }))
}

async fn one_version(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<(BlockTarget, By), ApiError> {
    let asked: BlockRequest = json(request, payload).await?;
    let target: BlockTarget = asked.target.parse()?;
    if target.version == WHOLE_PACKAGE {
        return Err(ApiError::Invalid("a release names one version: NAME@VERSION".to_owned()));
    }
    Ok((target, operator(app, request)))
}

/// The policy with another length of the quarantine, for looking before it is set.
#[must_use]
pub fn as_if(policy: &SyncPolicy, hold_ms: Option<i64>) -> SyncPolicy {
    let mut policy = policy.clone();
    if let Some(ms) = hold_ms {
        policy.hold.time = std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    }
    policy
}

impl HeldAnswer {
    /// Versions behind a place that the policy holds back, released ones left out.
    ///
    /// # Errors
    /// Those of the database.
    pub fn list(
        rows: &mut AnyConnection,
        policy: &SyncPolicy,
        after: Option<&BlockTarget>,
        limit: usize,
    ) -> Result<Page<Self>, StoreError> {
        if policy.hold.time.is_zero() {
            return Ok(Page { rows: Vec::new(), next: None });
        }
        let youngest_ms = policy.hold.youngest_ms(policy.clock.now_ms());
        walk(rows, after, limit, |rows, package| held_of(rows, policy, youngest_ms, package))
    }
}

fn held_of(
    rows: &mut AnyConnection,
    policy: &SyncPolicy,
    youngest_ms: i64,
    package: &ListedPackage,
) -> Result<Vec<(String, HeldAnswer)>, StoreError> {
    let name = &package.name;
    if !policy.hold.concerns(name, &package.registry) {
        return Ok(Vec::new());
    }
    let young = versions::listed_published_after(rows, package.id, youngest_ms)?;
    if young.is_empty() {
        return Ok(Vec::new());
    }
    let released = releases::of_package(rows, name)?;
    let held = young.into_iter().filter(|(version, _)| !released.contains(version));
    let held = held.map(|(version, at_ms)| {
        let (target, until_ms) = (format!("{name}@{version}"), policy.hold.until_ms(at_ms));
        (version, HeldAnswer { target, published_at_ms: at_ms, until_ms })
    });
    Ok(held.collect())
}
