//! Deletes the history of deliveries that is too old or too much, and that of hooks that are gone;
//! drops what waits for a paused hook too long.

use actix::Recipient;
use store::Store;
use store::hooks::{paused, tidy};

use super::health::millis;
use super::settings::HookSettings;
use crate::clock::now_ms;
use crate::committer::{CommitError, Write, write_returning};

/// How many ended deliveries are kept: about 60 MB with their answers.
const KEEP: i64 = 100_000;
/// How many wait for a paused hook.
const KEEP_WAITING: i64 = 100_000;
/// Deliveries deleted in one write.
const AT_ONCE: i64 = 1_000;

/// Deletes in writes that are short enough for commits in between.
pub(super) async fn tidy(
    store: &Store,
    write: &Recipient<Write>,
    settings: &HookSettings,
) -> Result<(), CommitError> {
    drop_waiting(store, write, settings).await?;
    let too_old = now_ms().saturating_sub(millis(settings.keep_history));
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

async fn drop_waiting(
    store: &Store,
    write: &Recipient<Write>,
    settings: &HookSettings,
) -> Result<(), CommitError> {
    let too_old = now_ms().saturating_sub(millis(settings.keep_paused));
    let full = usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
    for excess in store.read(move |rows| paused::look(rows, too_old, KEEP_WAITING)).await? {
        let mut dropped = 0;
        loop {
            let excess = excess.clone();
            let some = write_returning(write.clone(), move |rows| {
                paused::drop_some(rows, &excess, AT_ONCE)
            });
            let some = some.await?;
            dropped += some;
            if some < full {
                break;
            }
        }
        tracing::warn!(
            hook.id = excess.hook,
            deliveries = dropped,
            "deliveries of a paused hook waited too long and were dropped (hooks.keep_paused)"
        );
    }
    Ok(())
}
