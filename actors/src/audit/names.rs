//! Compares the upstream's list of names with what is here, one page a step.

use std::time::Duration;

use store::feeds::{self, FeedRow};
use store::reconciliations::{self, Compared as Taken, NamesTaken, ReconciliationRow};
use store::{AnyConnection, StoreError, packages};
use url::Url;

use super::AuditDeps;
use super::messages::NamesStatus;
use crate::clock::now_ms;
use crate::committer::{CommitError, write_returning};
use crate::task_queue::MakeTasks;
use crate::upstream::list_address;

/// The end of a step.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) status: NamesStatus,
    /// Another page follows.
    pub(super) more: bool,
    /// Nothing was due: what went wrong before still stands.
    pub(super) idle: bool,
}

/// What is to be done about the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Nothing yet.
    Nothing,
    /// A round from its start.
    Begin {
        /// Address of the list.
        list: String,
        /// Epoch of the feed.
        epoch: i64,
    },
    /// The page behind this name.
    Page {
        /// Address of the list.
        list: String,
        /// The last name compared.
        after: String,
    },
}

/// Decides by what is stored: a round that runs goes on; another address or epoch of the feed
/// begins one, because its numbers no longer tell what changed; otherwise the time does.
pub(super) fn next(
    feed: Option<&FeedRow>,
    row: Option<&ReconciliationRow>,
    every: Duration,
    now_ms: i64,
) -> Next {
    let Some(feed) = feed.filter(|feed| feed.seq.is_some()) else { return Next::Nothing };
    let list = Url::parse(&feed.url).ok().and_then(|feed| list_address(&feed));
    let Some(list) = list.map(String::from) else { return Next::Nothing };
    let epoch = feed.epoch;
    let Some(row) = row.filter(|row| row.url == list && row.epoch == epoch) else {
        return Next::Begin { list, epoch };
    };
    if let Some(after) = &row.after_name {
        return Next::Page { list, after: after.clone() };
    }
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let due = row.ended_at_ms.is_none_or(|ended| now_ms >= ended.saturating_add(every_ms));
    if due { Next::Begin { list, epoch } } else { Next::Nothing }
}

/// One step: reads where it is, asks for a page, writes what it means.
pub(super) async fn step(deps: &AuditDeps) -> Compared {
    match try_step(deps).await {
        Ok(compared) => compared,
        Err(problem) => {
            tracing::warn!(registry = %deps.registry, problem, "the list of names was not compared");
            let mut status = read_status(deps).await;
            status.problem = Some(problem);
            Compared { status, more: false, idle: false }
        }
    }
}

async fn try_step(deps: &AuditDeps) -> Result<Compared, String> {
    let next = decide(deps).await.map_err(|error| error.to_string())?;
    let idle = next == Next::Nothing;
    let more = match next {
        Next::Nothing => false,
        Next::Begin { list, epoch } => {
            let registry = deps.registry.to_string();
            let begun = write_returning(deps.write.clone(), move |connection| {
                reconciliations::begin(connection, &registry, &list, epoch)
            });
            begun.await.map_err(|error| error.to_string())?;
            true
        }
        Next::Page { list, after } => compare_page(deps, &list, after).await?,
    };
    Ok(Compared { status: read_status(deps).await, more, idle })
}

async fn decide(deps: &AuditDeps) -> Result<Next, StoreError> {
    let (registry, settings) = (deps.registry.to_string(), deps.settings.clone());
    if settings.names_every.is_zero() || !deps.may_ask() {
        return Ok(Next::Nothing);
    }
    deps.store
        .read(move |connection| {
            let feed = feeds::find(connection, &registry)?;
            let row = reconciliations::find(connection, &registry)?;
            let next = next(feed.as_ref(), row.as_ref(), settings.names_every, now_ms());
            let begins = matches!(next, Next::Begin { .. });
            let is_worth = !begins
                || settings.wants_all
                || packages::count(connection)? >= settings.names_worth_packages;
            Ok(if is_worth { next } else { Next::Nothing })
        })
        .await
}

async fn compare_page(deps: &AuditDeps, list: &str, after: String) -> Result<bool, String> {
    let upstream = deps.upstream.get().ok_or("no upstream is known")?;
    let list = Url::parse(list).map_err(|error| format!("{list}: {error}"))?;
    let names = match upstream.names(&list, &after).await {
        Ok(names) => names,
        Err(error) if error.is_retryable() => return Err(error.to_string()),
        Err(error) => {
            give_up(deps).await?;
            return Err(format!("{error}; the list is asked for again when it is due"));
        }
    };
    let page = NamesTaken {
        registry: deps.registry.to_string(),
        after,
        is_last: names.is_empty(),
        names,
        wants_missing: deps.settings.wants_all,
        ownership: deps.registries.ownership(),
    };
    let more = !page.is_last;
    let take = move |connection: &mut AnyConnection| {
        let taken = reconciliations::take_names(connection, &page)?;
        Ok(if let Taken::Written { absent, .. } = taken { absent } else { 0 })
    };
    let taken = deps.make.send(MakeTasks { make: Box::new(take) }).await;
    match taken.unwrap_or(Err(CommitError::Restarted)) {
        Ok(_) => Ok(more),
        Err(error @ CommitError::Store { retryable: false, .. }) => {
            give_up(deps).await?;
            Err(error.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A list that cannot be used is left alone until the next round is due.
async fn give_up(deps: &AuditDeps) -> Result<(), String> {
    let registry = deps.registry.to_string();
    let given_up = write_returning(deps.write.clone(), move |connection| {
        reconciliations::give_up(connection, &registry)
    });
    given_up.await.map_err(|error| error.to_string())
}

async fn read_status(deps: &AuditDeps) -> NamesStatus {
    let registry = deps.registry.to_string();
    let row = deps.store.read(move |connection| reconciliations::find(connection, &registry)).await;
    match row {
        Ok(Some(row)) => NamesStatus {
            running: row.after_name.is_some(),
            names: row.names,
            missing: row.missing,
            absent: row.absent,
            ended_at_ms: row.ended_at_ms,
            problem: None,
        },
        _ => NamesStatus::default(),
    }
}
