//! Deletes the history of deliveries that is too old or too much, and that of hooks that are gone.

use std::time::Duration;

use actix::Recipient;
use store::Store;
use store::hooks::tidy;

use super::health::millis;
use crate::clock::now_ms;
use crate::committer::{CommitError, Write};
use crate::task_queue::write_returning;

/// How many ended deliveries are kept: about 60 MB with their answers.
const KEEP: i64 = 100_000;
/// Deliveries deleted in one write.
const AT_ONCE: i64 = 1_000;

/// Deletes in writes that are short enough for commits in between.
pub(super) async fn tidy(
    store: &Store,
    write: &Recipient<Write>,
    keep_for: Duration,
) -> Result<(), CommitError> {
    let too_old = now_ms().saturating_sub(millis(keep_for));
    let work = store.read(move |rows| tidy::look(rows, too_old, KEEP)).await?;
    let full = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    if let Some(before_ms) = work.ended_before_ms {
        let delete = || {
            write_returning(write.clone(), move |rows| {
                tidy::delete_ended_before(rows, before_ms, AT_ONCE)
            })
        };
        while delete().await? >= full {}
    }
    if work.remains {
        let delete = || write_returning(write.clone(), |rows| tidy::delete_remains(rows, AT_ONCE));
        while delete().await? > 0 {}
    }
    Ok(())
}
