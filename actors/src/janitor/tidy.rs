//! An hour's round: what is over is deleted, in writes that are short enough for commits in between.
//!
//! Each node of a cluster makes its own round; what another one deleted is not there any more.

use std::time::Duration;

use actix::Recipient;
use store::{AnyConnection, StoreError, audit, downloads, sign_ins, tasks, tokens};

use crate::clock::now_ms;
use crate::committer::{CommitError, Write, write_returning};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// How long finished tasks and their logs are kept.
const KEEP_TASKS_MS: i64 = 30 * DAY_MS;
/// How many of them are kept: five days of today's feed, about 300 MB with their logs.
const KEEP_TASKS: i64 = 200_000;
/// How long a token is kept beyond its end: whoever still uses it is told that it has expired, not
/// that there is none.
const KEEP_TOKENS_MS: i64 = DAY_MS;
/// How long refused logins stay in the audit log: anybody can add to them.
const KEEP_REFUSED_MS: i64 = 30 * DAY_MS;
/// Rows deleted in one write.
const DELETE_AT_ONCE: i64 = 1_000;

/// Makes the round; what fails is tried again in the next one.
pub(super) async fn tidy(committer: Recipient<Write>, keep_audit_log: Option<Duration>) {
    let committer = &committer;
    tell("tasks with their logs", delete_old_tasks(committer).await);
    let tokens =
        in_batches(committer, |rows, most| tokens::delete_ended(rows, KEEP_TOKENS_MS, most));
    tell("expired tokens", tokens.await);
    tell("logins that ran out", in_batches(committer, sign_ins::delete_ended_logins).await);
    tell("sign-in links that ran out", in_batches(committer, sign_ins::delete_ended_links).await);
    let refused = in_batches(committer, |rows, most| {
        audit::delete_old(rows, KEEP_REFUSED_MS, Some(audit::LOGIN_REFUSED), most)
    });
    tell("refused logins in the audit log", refused.await);
    if let Some(keep) = keep_audit_log {
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let old =
            in_batches(committer, move |rows, most| audit::delete_old(rows, keep_ms, None, most));
        tell("rows of the audit log", old.await);
    }
    if let Err(error) = fold_old_downloads(committer).await {
        tracing::warn!(%error, "old counts of downloads could not be added up");
    }
}

fn tell(what: &str, outcome: Result<usize, CommitError>) {
    match outcome {
        Ok(0) => {}
        Ok(rows) => tracing::info!(what, rows, "what is over was deleted"),
        Err(error) => tracing::warn!(%error, what, "what is over could not be deleted"),
    }
}

async fn delete_old_tasks(committer: &Recipient<Write>) -> Result<usize, CommitError> {
    let too_old = now_ms().saturating_sub(KEEP_TASKS_MS);
    let too_many = write_returning(committer.clone(), |connection| {
        tasks::ended_beyond(connection, KEEP_TASKS)
    });
    // what ended at that very moment is beyond, too
    let before = too_many.await?.map_or(too_old, |ended| too_old.max(ended.saturating_add(1)));
    let delete =
        move |rows: &mut AnyConnection, most| tasks::delete_finished_before(rows, before, most);
    in_batches(committer, delete).await
}

/// Deletes until a batch is not full; how many all of them were.
async fn in_batches(
    committer: &Recipient<Write>,
    delete: impl Fn(&mut AnyConnection, i64) -> Result<usize, StoreError> + Copy + Send + 'static,
) -> Result<usize, CommitError> {
    let mut all = 0;
    loop {
        let batch = move |rows: &mut AnyConnection| delete(rows, DELETE_AT_ONCE);
        let deleted = write_returning(committer.clone(), batch).await?;
        all += deleted;
        if i64::try_from(deleted).is_ok_and(|deleted| deleted < DELETE_AT_ONCE) {
            return Ok(all);
        }
    }
}

/// Adds up versions of days that are too old, a day in a write.
async fn fold_old_downloads(committer: &Recipient<Write>) -> Result<(), CommitError> {
    let before = downloads::day_of(now_ms()).saturating_sub(downloads::VERSIONS_KEPT_DAYS);
    let fold = || write_returning(committer.clone(), move |rows| downloads::fold(rows, before));
    while fold().await? {}
    Ok(())
}
