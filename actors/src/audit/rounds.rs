//! Makes tasks as the queue has room: for names that are missing, and to ask anew for what is here.

use std::time::Duration;

use store::sweeps::{self, Lane, SweepStep};
use store::tasks::{PRIORITY_SWEEP, has_waiting};
use store::{AnyConnection, StoreError, feeds, missing_names};

use super::AuditDeps;
use crate::task_queue::MakeTasks;

/// What a step made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// Tasks for names that are missing.
    pub(super) missing: u64,
    /// Tasks that ask anew.
    pub(super) swept: u64,
}

impl Made {
    /// As much as one look may make: more is due.
    pub(super) fn is_full(self, deps: &AuditDeps) -> bool {
        let most = u64::try_from(deps.settings.tasks_at_once).unwrap_or(u64::MAX);
        self.missing >= most || self.swept >= most
    }
}

/// What is to be done now, found out by a reader: most looks find nothing and write nothing.
#[derive(Debug, Default)]
struct Due {
    missing: bool,
    lanes: Vec<SweepStep>,
}

/// One step.
pub(super) async fn step(deps: &AuditDeps) -> Made {
    match try_step(deps).await {
        Ok(made) => made,
        Err(problem) => {
            tracing::warn!(registry = %deps.registry, problem, "packages were not asked for anew");
            Made::default()
        }
    }
}

async fn try_step(deps: &AuditDeps) -> Result<Made, String> {
    let mut made = Made::default();
    if !deps.may_ask() || deps.parking.is_parked() {
        return Ok(made);
    }
    let due = due(deps).await.map_err(|error| error.to_string())?;
    for lane in due.lanes {
        let ownership = deps.registries.ownership();
        let sweep = move |c: &mut AnyConnection| sweeps::step(c, &lane, &ownership);
        made.swept += make(deps, sweep).await?;
    }
    if due.missing {
        let (registry, limit) = (deps.registry.to_string(), deps.settings.tasks_at_once);
        let ownership = deps.registries.ownership();
        let queue =
            move |c: &mut AnyConnection| missing_names::queue(c, &registry, limit, &ownership);
        made.missing = make(deps, queue).await?;
    }
    Ok(made)
}

async fn make(
    deps: &AuditDeps,
    make: impl FnOnce(&mut AnyConnection) -> Result<usize, StoreError> + Send + 'static,
) -> Result<u64, String> {
    let made = deps.make.send(MakeTasks { make: Box::new(make) }).await;
    let made = made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(u64::try_from(made).unwrap_or(u64::MAX))
}

async fn due(deps: &AuditDeps) -> Result<Due, StoreError> {
    let (registry, settings) = (deps.registry.to_string(), deps.settings.clone());
    deps.store
        .read(move |connection| {
            let full = has_waiting(connection, &registry, PRIORITY_SWEEP, settings.queue_limit)?;
            if full {
                return Ok(Due::default());
            }
            let feed = feeds::find(connection, &registry)?;
            let followed = feed.is_some_and(|feed| feed.seq.is_some());
            let mut due = Due::default();
            for lane in Lane::EVERY {
                let period = match lane {
                    Lane::All => settings.sweep,
                    Lane::Read => settings.sweep / settings.read_share.max(1),
                    Lane::Conditional if followed => Duration::ZERO,
                    Lane::Conditional => settings.sweep_without_feed,
                };
                if period.is_zero() {
                    continue;
                }
                let period_ms = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
                let limit = settings.tasks_at_once;
                let step = SweepStep { registry: registry.clone(), lane, period_ms, limit };
                if sweeps::is_due(connection, &step)? {
                    due.lanes.push(step);
                }
            }
            due.missing = settings.wants_all && missing_names::any_to_queue(connection, &registry)?;
            Ok(due)
        })
        .await
}
