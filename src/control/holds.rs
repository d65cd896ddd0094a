//! Versions held back by their age: which they are, and letting one go early.

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Payload, Query};
use actors::SyncPolicy;
use store::blocks::WHOLE_PACKAGE;
use store::{AnyConnection, StoreError, releases, versions};

use super::body::json;
use super::messages::{BlockRequest, DoneAnswer, HeldAnswer, HoldsAnswer, HoldsQuery};
use super::operator::operator;
use crate::app::App;
use crate::blocked::BlockTarget;
use crate::error::ApiError;

/// Rows of a page when nothing is said.
const PAGE: i64 = 100;

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
    let policy = as_if(app.engine.policy(), query.hold_ms);
    let read =
        move |rows: &mut AnyConnection| HeldAnswer::list(rows, &policy, after.as_ref(), limit);
    Ok(Json(HoldsAnswer { held: app.engine.store().read(read).await? }))
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
    let asked: BlockRequest = json(&request, payload).await?;
    let target: BlockTarget = asked.target.parse()?;
    if target.version == WHOLE_PACKAGE {
        return Err(ApiError::Invalid("a release names one version: NAME@VERSION".to_owned()));
    }
    let by = operator(&app, &request);
    Ok(Json(DoneAnswer { ok: app.engine.release(&target.name, &target.version, by).await? }))
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
    /// Versions behind a place that the policy holds back, released ones left out. A page may be
    /// shorter than `limit` where exceptions and releases lie in it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn list(
        rows: &mut AnyConnection,
        policy: &SyncPolicy,
        after: Option<&BlockTarget>,
        limit: i64,
    ) -> Result<Vec<Self>, StoreError> {
        if policy.hold.time.is_zero() {
            return Ok(Vec::new());
        }
        let after = after.map_or(("", ""), |after| (after.name.as_str(), after.version.as_str()));
        let youngest_ms = policy.hold.youngest_ms(policy.clock.now_ms());
        let mut held = Vec::new();
        for (name, version, at_ms) in
            versions::all_published_after(rows, youngest_ms, after, limit)?
        {
            if policy.hold.concerns(&name) && !releases::has(rows, &name, &version)? {
                let until_ms = policy.hold.until_ms(at_ms);
                let target = format!("{name}@{version}");
                held.push(Self { target, published_at_ms: at_ms, until_ms });
            }
        }
        Ok(held)
    }
}
