//! The one write path: a batch of writes and package changes in one transaction.
//!
//! Order inside: writes (a savepoint each), then the changes in bulk, then the states of segments,
//! then the seqs, because whoever commits waits from there on. A change is judged before anything of
//! it is written, so no change needs a savepoint: it is refused alone, or the whole batch fails.

mod judge;
mod package_rows;
#[cfg(test)]
mod tests;
mod version_rows;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use diesel::Connection;

use crate::blobs::{BlobStore, SegmentState};
use crate::change::{BatchOutcome, Committed, PackageChange, WriteFn};
use crate::changes::NewChange;
use crate::dist_tags::{self, NewTags};
use crate::hooks::outbox::{self, PackageNews};
use crate::hooks::watch::HookInterests;
use crate::{
    AnyConnection, StoreError, alarms, blob_rows, changes, dialect, publication, segments, tasks,
};
use judge::Judges;
use package_rows::{News, Plan};

type Outcome = Result<Committed, StoreError>;

/// Runs a batch inside an open transaction.
pub(crate) fn run(
    connection: &mut AnyConnection,
    writes: Vec<WriteFn>,
    changes: &[PackageChange],
    states: &[SegmentState],
    blobs: &dyn BlobStore,
    interests: &HookInterests,
) -> Result<BatchOutcome, StoreError> {
    let writes = run_writes(connection, writes)?;
    let mut outcomes: Vec<Option<Outcome>> = changes.iter().map(|_| None).collect();
    let mut log = Vec::new();
    let mut waiting: Vec<usize> = (0..changes.len()).collect();
    while !waiting.is_empty() {
        // Two changes of one package: the second sees what the first did.
        let (round, later) = first_of_each_name(changes, &waiting);
        let judges = Judges { blobs, interests };
        apply_round(connection, changes, &round, &mut outcomes, &mut log, judges)?;
        waiting = later;
    }
    let deliveries = tell_hooks(connection, changes, &outcomes, interests)?;
    segments::save(connection, states)?;
    take_seqs(connection, changes, &log, &mut outcomes)?;
    let unanswered = || Err(StoreError::Other("a change was left without an answer".into()));
    let changes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect();
    Ok(BatchOutcome { writes, changes, deliveries })
}

/// Each write in its savepoint; an error that may have ended the transaction ends the batch.
fn run_writes(
    connection: &mut AnyConnection,
    writes: Vec<WriteFn>,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut answers = Vec::with_capacity(writes.len());
    for write in writes {
        match run_write(connection, write) {
            // SQLite rolls everything back by itself in these cases.
            Err(error) if error.ends_transactions() => return Err(error),
            answer => answers.push(answer),
        }
    }
    Ok(answers)
}

/// What fails or panics here is rolled back alone.
fn run_write(connection: &mut AnyConnection, write: WriteFn) -> Result<(), StoreError> {
    connection.transaction(|connection| {
        catch_unwind(AssertUnwindSafe(|| write(connection)))
            .unwrap_or_else(|_| Err(StoreError::Other("a write panicked".into())))
    })
}

fn first_of_each_name(changes: &[PackageChange], waiting: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut seen = HashSet::with_capacity(waiting.len());
    let is_first =
        |index: &usize| changes.get(*index).is_some_and(|change| seen.insert(&change.name));
    waiting.iter().copied().partition(is_first)
}

/// Applies changes of different packages.
fn apply_round(
    connection: &mut AnyConnection,
    changes: &[PackageChange],
    round: &[usize],
    outcomes: &mut [Option<Outcome>],
    log: &mut Vec<News>,
    judges: Judges<'_>,
) -> Result<(), StoreError> {
    let (mut plans, refused) = judge::judge(connection, changes, round, judges)?;
    let mut rows: Vec<_> =
        plans.iter().flat_map(|plan| plan.change.blobs.iter().copied()).collect();
    blob_rows::insert(connection, &mut rows)?;
    let lost = package_rows::save(connection, &mut plans)?;
    version_rows::save(connection, &plans)?;
    for plan in &plans {
        publication::save(connection, plan.package_id(), plan.change)?;
    }
    replace_tags(connection, &plans)?;
    end_tasks(connection, &plans)?;
    let mut news: Vec<News> = plans.iter().filter_map(Plan::news).collect();
    // the plans are in name order by now, seqs follow the batch
    news.sort_unstable_by_key(|news| news.index);
    log.append(&mut news);
    let done = plans.iter().map(|plan| (plan.index, Ok(plan.committed())));
    for (index, outcome) in refused.into_iter().chain(lost).chain(done) {
        if let Some(slot) = outcomes.get_mut(index) {
            *slot = Some(outcome);
        }
    }
    Ok(())
}

fn replace_tags(connection: &mut AnyConnection, plans: &[Plan<'_>]) -> Result<(), StoreError> {
    let tags: Vec<NewTags<'_>> = plans.iter().filter_map(Plan::new_tags).collect();
    dist_tags::replace(connection, &tags)
}

fn end_tasks(connection: &mut AnyConnection, plans: &[Plan<'_>]) -> Result<(), StoreError> {
    let ends: Vec<_> = plans.iter().filter_map(|plan| plan.change.task.as_ref()).collect();
    tasks::finish_many(connection, &ends)
}

/// Queues what hooks hear of the changes that were accepted.
fn tell_hooks(
    connection: &mut AnyConnection,
    changes: &[PackageChange],
    outcomes: &[Option<Outcome>],
    interests: &HookInterests,
) -> Result<usize, StoreError> {
    if interests.is_empty() {
        return Ok(0);
    }
    let accepted = changes.iter().zip(outcomes);
    let accepted = accepted.filter(|(change, outcome)| {
        !change.events.is_empty() && outcome.as_ref().is_some_and(Result::is_ok)
    });
    let news = accepted.map(|(change, _)| PackageNews {
        name: &change.name,
        owners: &change.owners,
        events: &change.events,
    });
    outbox::queue(connection, interests, &news.collect::<Vec<_>>())
}

/// Alarms and the change log; the seqs come last.
fn take_seqs(
    connection: &mut AnyConnection,
    all: &[PackageChange],
    log: &[News],
    outcomes: &mut [Option<Outcome>],
) -> Result<(), StoreError> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let now = dialect::now_ms(connection)?;
    let news: Vec<(&PackageChange, &News)> =
        log.iter().filter_map(|news| Some((all.get(news.index)?, news))).collect();
    let alarming: Vec<(&str, &str)> = news
        .iter()
        .flat_map(|(change, _)| {
            change.alarms.iter().map(|alarm| (change.name.as_str(), alarm.as_str()))
        })
        .collect();
    alarms::insert(connection, &alarming, now)?;
    let rows: Vec<_> = news.iter().map(|(change, news)| log_row(change, news)).collect();
    let last = if rows.is_empty() { changes::last_seq(connection)? } else { 0 };
    for outcome in outcomes.iter_mut().flatten().flatten() {
        outcome.local_seq = last;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let first = changes::append(connection, &rows, now)?;
    for outcome in outcomes.iter_mut().flatten().flatten() {
        outcome.local_seq = first - 1;
    }
    for (seq, news) in (first..).zip(log) {
        if let Some(Some(Ok(committed))) = outcomes.get_mut(news.index) {
            committed.local_seq = seq;
        }
    }
    Ok(())
}

fn log_row<'a>(change: &'a PackageChange, news: &'a News) -> NewChange<'a> {
    let document = change.document.as_ref();
    NewChange {
        name: change.name.as_str(),
        kind: change.cause,
        rev: &news.rev,
        version: document.and_then(|document| document.added_version.as_deref()),
        deleted: news.deleted,
    }
}
