//! Documents: the first fetch of a package, and the check whether a held one is current.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use npm::PackageName;
use store::registries::DEFAULT;
use store::{Committed, Validators, VersionChange};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::flight::Landing;
use super::{FetchThroughDeps, MissError};
use crate::change_builder::DocumentPlan;
use crate::committer::CommitError;
use crate::deny::{Denied, learn};
use crate::known::Known;
use crate::removal::{self, Absence};
use crate::upstream::{
    FREE_BODY_BYTES, FetchedDocument, PackumentAnswer, UpstreamError, Urgency, in_place,
};

/// A package that changes all the time is given up after this many tries.
const TRIES_ON_CONFLICT: usize = 3;

/// A document that was not here when it was asked for, for rendering.
pub struct MissDocument {
    /// The package.
    pub name: PackageName,
    /// Decoded text; it scans and is this package's document.
    pub body: Bytes,
    /// What upstream sent with it.
    pub validators: Validators,
    /// Versions that are withheld, see `sync.signatures`.
    pub withheld: HashSet<String>,
    /// Versions that are too young, and when they are old enough.
    pub held: HashMap<String, i64>,
    /// Versions that a rule of the settings denies, and what it says.
    pub denied: HashMap<String, Denied>,
    commit: watch::Receiver<CommitState>,
    /// Large bodies keep their place in the large lane as long as somebody renders them.
    _lane: Option<Arc<OwnedSemaphorePermit>>,
}

/// How far the commit behind a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommitState {
    Pending,
    Done {
        package_id: i64,
        revision: i64,
    },
    /// Not kept: parked, or the commit failed.
    Dropped,
}

impl MissDocument {
    /// The revision readers will find in the store, once it is committed.
    #[must_use]
    pub fn revision(&self) -> Option<i64> {
        match *self.commit.borrow() {
            CommitState::Done { revision, .. } => Some(revision),
            _ => None,
        }
    }

    /// The row id of the package, once it is committed.
    #[must_use]
    pub fn package_id(&self) -> Option<i64> {
        match *self.commit.borrow() {
            CommitState::Done { package_id, .. } => Some(package_id),
            _ => None,
        }
    }

    /// Waits until the document is committed or never will be; answers whether it is.
    pub async fn committed(&self) -> bool {
        let mut commit = self.commit.clone();
        let state = commit.wait_for(|state| *state != CommitState::Pending).await;
        state.is_ok_and(|state| matches!(*state, CommitState::Done { .. }))
    }
}

impl fmt::Debug for MissDocument {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MissDocument")
            .field("name", &self.name)
            .field("body_bytes", &self.body.len())
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}

pub(super) async fn fetch(
    deps: FetchThroughDeps,
    name: PackageName,
    landing: Landing<PackageName, Arc<MissDocument>>,
) {
    if let Err(failure) = try_fetch(&deps, &name, &landing).await {
        tracing::debug!(package.name = %name, error = %failure, "a miss stayed one");
        landing.fail(failure);
    }
}

async fn try_fetch(
    deps: &FetchThroughDeps,
    name: &PackageName,
    landing: &Landing<PackageName, Arc<MissDocument>>,
) -> Result<(), MissError> {
    let known = Known::read(&deps.store, name).await?;
    if let Some(here) = already_here(deps, &known).await {
        landing.succeed(Arc::new(here));
        return Ok(());
    }
    let upstream = deps.upstream(name, known.owner())?;
    let known = known.asked_at(&upstream);
    let answer = upstream.packument(name, &Validators::default(), Urgency::Person).await?;
    let PackumentAnswer::Found(mut fetched) = answer else {
        let why = "304 (not modified) for a request without conditions";
        return Err(UpstreamError::BadBody(String::from(why)).into());
    };
    let plan = deps.rules.plan(&upstream, &known, &mut fetched).await?;
    let (committed, commit) = watch::channel(CommitState::Pending);
    let withheld = withheld(deps, &known, &plan);
    landing.succeed(Arc::new(MissDocument {
        name: name.clone(),
        body: fetched.body.clone(),
        validators: fetched.validators.clone(),
        withheld,
        held: held(deps, &known, &plan.versions),
        denied: denied(deps, &known, &fetched.body),
        commit,
        _lane: fetched.lane.clone(),
    }));
    let state = match keep(deps, &known, fetched, plan, "miss").await {
        Ok(Committed { package_id, revision, .. }) => CommitState::Done { package_id, revision },
        Err(failure) => {
            tracing::warn!(package.name = %name, error = %failure,
                "a document was served and not kept; the next reader fetches it again");
            CommitState::Dropped
        }
    };
    committed.send_replace(state);
    Ok(())
}

/// Versions of a new document that readers must not see.
fn withheld(deps: &FetchThroughDeps, known: &Known, plan: &DocumentPlan) -> HashSet<String> {
    let policy = &deps.rules.policy;
    let mut withheld: HashSet<String> = withheld_rows(deps, known).collect();
    for version in &plan.versions {
        if policy.withholds(version.signature) {
            withheld.insert(version.version.clone());
        } else {
            withheld.remove(&version.version);
        }
    }
    withheld
}

/// Versions of a new document that are too young; what was written first counts.
fn held(deps: &FetchThroughDeps, known: &Known, new: &[VersionChange]) -> HashMap<String, i64> {
    let policy = deps.rules.current.get();
    if !policy.hold.concerns(&known.name, known.owner().unwrap_or(DEFAULT)) {
        return HashMap::new();
    }
    let new = new.iter().map(|row| (&row.version, row.published_at_ms));
    let rows = known.versions.iter().filter(|row| row.published_at_ms.is_some());
    let first: HashMap<_, _> =
        new.chain(rows.map(|row| (&row.version, row.published_at_ms))).collect();
    let youngest_ms = policy.hold.youngest_ms(policy.clock.now_ms());
    let young = first.into_iter().filter_map(|(version, at_ms)| {
        let at_ms = at_ms.filter(|at_ms| *at_ms > youngest_ms)?;
        Some((version.clone(), policy.hold.until_ms(at_ms)))
    });
    young.collect()
}

/// Versions of a document that rules deny; where there are none the document is not looked at.
fn denied(deps: &FetchThroughDeps, known: &Known, body: &Bytes) -> HashMap<String, Denied> {
    let rules = &deps.rules.current.get().deny;
    if !rules.concerns(&known.name) {
        return HashMap::new();
    }
    let by_name = rules.name(&known.name);
    let sizes: HashMap<&str, Option<i64>> =
        known.versions.iter().map(|row| (row.version.as_str(), row.size_bytes)).collect();
    let all = in_place(body.len(), || learn::of_document(body)).unwrap_or_default();
    let judged = all.into_iter().filter_map(|(version, facts)| {
        let size_bytes = sizes.get(version.as_str()).copied().flatten();
        let row = learn::as_row(&version, size_bytes, facts);
        let denied = by_name.clone().or_else(|| rules.version(&row))?;
        Some((version, denied))
    });
    judged.collect()
}

fn withheld_rows(deps: &FetchThroughDeps, known: &Known) -> impl Iterator<Item = String> {
    let policy = &deps.rules.policy;
    let rows = known.versions.iter().filter(|row| policy.withholds(row.signature));
    rows.map(|row| row.version.clone())
}

/// The document somebody else committed between the reader's look and ours. `None` when there
/// is none, or when it cannot be read, which fetching repairs.
async fn already_here(deps: &FetchThroughDeps, known: &Known) -> Option<MissDocument> {
    let row = known.row.as_ref()?;
    if row.status.is_absent() {
        return None; // perhaps it is back
    }
    let body_bytes = usize::try_from(row.document.as_ref()?.body_bytes).ok()?;
    let lane = match deps.upstream(&known.name, known.owner()) {
        Ok(upstream) if body_bytes > FREE_BODY_BYTES => upstream.large_lane().enter().await,
        _ => None,
    };
    let body = known.document_body(&deps.store).await?;
    let done = CommitState::Done { package_id: row.id, revision: row.revision };
    Some(MissDocument {
        name: row.name.clone(),
        denied: denied(deps, known, &body),
        body,
        validators: row.validators.clone(),
        withheld: withheld_rows(deps, known).collect(),
        held: held(deps, known, &[]),
        commit: watch::channel(done).1,
        _lane: lane.map(Arc::new),
    })
}

/// Stores the bytes and commits what they mean.
async fn keep(
    deps: &FetchThroughDeps,
    known: &Known,
    fetched: FetchedDocument,
    plan: DocumentPlan,
    cause: &'static str,
) -> Result<Committed, CommitError> {
    if let Some(reason) = (deps.parked)() {
        return Err(CommitError::DiskFull(reason));
    }
    for alarm in &plan.alarms {
        tracing::warn!(package.name = %known.name, alarm, "upstream contradicts itself");
    }
    let change = known.with_document(&deps.store, fetched, plan, cause).await?;
    (deps.commit)(change).await
}

pub(super) async fn revalidate(
    deps: FetchThroughDeps,
    name: PackageName,
    urgency: Urgency,
    landing: Landing<(PackageName, bool), ()>,
) {
    match try_revalidate(&deps, &name, urgency).await {
        Ok(()) => landing.succeed(()),
        Err(failure) => {
            tracing::debug!(package.name = %name, error = %failure, "not revalidated");
            landing.fail(failure);
        }
    }
}

async fn try_revalidate(
    deps: &FetchThroughDeps,
    name: &PackageName,
    urgency: Urgency,
) -> Result<(), MissError> {
    deps.check_parked()?;
    let mut tries = 0;
    loop {
        tries += 1;
        match revalidate_once(deps, name, urgency).await? {
            Ok(_) => return Ok(()),
            Err(failure) if failure.is_retryable() && tries < TRIES_ON_CONFLICT => {}
            Err(CommitError::DiskFull(reason)) => return Err(MissError::Parked(reason)),
            Err(failure) => return Err(MissError::unavailable(failure.to_string())),
        }
    }
}

/// The outer error is final, the inner one is the commit's.
async fn revalidate_once(
    deps: &FetchThroughDeps,
    name: &PackageName,
    urgency: Urgency,
) -> Result<Result<Committed, CommitError>, MissError> {
    let known = Known::read(&deps.store, name).await?;
    if known.row.is_none() {
        return Err(MissError::NotFound);
    }
    let upstream = deps.upstream(name, known.owner())?;
    match upstream.packument(name, &deps.rules.validators(&known), urgency).await {
        Ok(PackumentAnswer::NotModified { validators }) => {
            Ok((deps.commit)(known.touched(validators, "sync")).await)
        }
        Ok(PackumentAnswer::Found(mut fetched)) => {
            let plan = deps.rules.plan(&upstream, &known, &mut fetched).await?;
            Ok(keep(deps, &known, fetched, plan, "sync").await)
        }
        Err(failure @ (UpstreamError::NotFound | UpstreamError::Gone { .. })) => {
            // noted; what becomes of what is held is for the sync of the package
            let status = removal::absent_status(&failure).unwrap_or(404);
            let noted = removal::absent(&known, &deps.rules.policy, status);
            let asked = match noted {
                Some(Absence::Noted { change, .. }) => change,
                _ => known.touched(known.validators(), "sync"),
            };
            if let Err(error) = (deps.commit)(asked).await {
                tracing::debug!(package.name = %name, %error, "the check was not noted");
            }
            Err(failure.into())
        }
        Err(failure) => Err(failure.into()),
    }
}
