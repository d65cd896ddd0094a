//! What upstream takes away, and what becomes of it here (`sync.removed`).
//!
//! A document that lacks versions, or says that the package was unpublished, is upstream's clear
//! word. "There is no such package" is not: registries answer that by mistake and on bad days, so
//! it counts only when a later answer says the same. Nothing is deleted before a second answer.
//! What a version hashed to stays known in every case.

use std::collections::HashSet;
use std::time::Duration;

use npm::{PackageName, PackumentScan, with_kept_versions};
use store::blocks::{self, NewBlock, WHOLE_PACKAGE};
use store::versions::VersionRow;
use store::{
    BlockKind, Gone, PackageChange, PackageStatus, Store, Validators, VersionChange, VersionState,
    WriteFn,
};

use crate::change_builder::DocumentPlan;
use crate::clock::now_ms;
use crate::committer::CommitError;
use crate::known::Known;
use crate::policy::{RemovedPolicy, SyncPolicy};
use crate::signing_keys::WriteRows;
use crate::upstream::{FetchedDocument, UpstreamError, in_place};

/// What clients of a blocked package are told.
const BLOCK_REASON: &str = "Removed in remote registry";
/// Stands at a version whose bytes were deleted.
const DELETED: &str = "deleted here after upstream took it away";

/// What an answer "there is no such package" means.
pub(crate) enum Absence {
    /// Noted; an answer at this time or later decides (unix milliseconds).
    Noted { change: PackageChange, decided_at_ms: i64 },
    /// Upstream said the same long enough ago: the policy was applied.
    Decided { change: PackageChange },
}

/// The status of an answer that says "there is no such package".
pub(crate) fn absent_status(error: &UpstreamError) -> Option<u16> {
    match error {
        UpstreamError::NotFound => Some(404),
        UpstreamError::Gone { status } => Some(*status),
        _ => None,
    }
}

/// What to do about a package that is here and not upstream; `None` when it is not here either.
pub(crate) fn absent(known: &Known, policy: &SyncPolicy, status: u16) -> Option<Absence> {
    let row = known.row.as_ref().filter(|row| row.document.is_some())?;
    let now_ms = now_ms();
    let decided_at_ms =
        row.gone_at_ms.unwrap_or(now_ms).saturating_add(millis(policy.removed_after));
    let mut change = known.touched(Validators::default(), "removed");
    change.gone = Some(Gone { at_ms: now_ms, status: None });
    if row.gone_at_ms.is_none() || now_ms < decided_at_ms {
        return Some(Absence::Noted { change, decided_at_ms });
    }
    if policy.removed != RemovedPolicy::Keep {
        let status = if status == 451 { PackageStatus::Legal } else { PackageStatus::Missing };
        change.gone = Some(Gone { at_ms: now_ms, status: Some(status) });
    }
    if policy.removed == RemovedPolicy::Delete {
        let held = known.versions.iter().filter(|row| row.blob.is_some());
        delete(&mut change.versions, &mut change.removed_versions, held);
    }
    Some(Absence::Decided { change })
}

/// Blocks a package that upstream does not have any more.
pub(crate) async fn block_package(
    write: &WriteRows,
    name: &PackageName,
) -> Result<(), CommitError> {
    let name = name.clone();
    write(Box::new(move |rows| blocks::add(rows, &removed_block(&name, WHOLE_PACKAGE)))).await
}

/// Whether the next request has to be unconditional: "not modified" would not say whether what
/// is gone is still gone.
pub(crate) fn wants_whole_answer(known: &Known, policy: &SyncPolicy) -> bool {
    let row = known.row.as_ref();
    row.is_some_and(|row| row.gone_at_ms.is_some())
        || (policy.removed == RemovedPolicy::Delete
            && known.versions.iter().any(|row| is_due(row, policy, now_ms())))
}

/// Applies the policy to what a new document lacks.
///
/// Blocks are written before the change that goes with them: a crash between the two repeats
/// this, it never forgets it.
pub(crate) async fn settle(
    known: &Known,
    policy: &SyncPolicy,
    store: &Store,
    write: &WriteRows,
    fetched: &mut FetchedDocument,
    plan: &mut DocumentPlan,
) -> Result<(), CommitError> {
    restore_blocks(known, write, plan).await?;
    match (policy.removed, plan.status) {
        // a placeholder stands for something dangerous, whatever else is wished
        (_, PackageStatus::SecurityHolding) | (RemovedPolicy::Hide, _) => {}
        (RemovedPolicy::Keep, PackageStatus::Live) => {
            keep_versions(known, store, fetched, plan).await
        }
        (RemovedPolicy::Keep, _) => keep_document(known, plan),
        (RemovedPolicy::Block, PackageStatus::Live) => {
            let versions = std::mem::take(&mut plan.removed);
            block_versions(write, &known.name, versions.clone()).await?;
            plan.removed = versions;
        }
        (RemovedPolicy::Block, _) if known.row.is_some() => {
            block_package(write, &known.name).await?;
        }
        (RemovedPolicy::Delete, _) => delete_due(known, policy, plan),
        (RemovedPolicy::Block, _) => {}
    }
    Ok(())
}

/// What is back upstream is not withheld for having been away.
async fn restore_blocks(
    known: &Known,
    write: &WriteRows,
    plan: &DocumentPlan,
) -> Result<(), CommitError> {
    let is_live = plan.status == PackageStatus::Live;
    let was_away = known
        .row
        .as_ref()
        .is_some_and(|row| row.gone_at_ms.is_some() || !matches!(row.status, PackageStatus::Live));
    let mut back: Vec<String> = known
        .versions
        .iter()
        .filter(|row| row.removed_at_ms.is_some())
        .filter(|row| plan.versions.iter().any(|now| now.version == row.version))
        .map(|row| row.version.clone())
        .collect();
    if is_live && was_away {
        back.push(WHOLE_PACKAGE.to_owned());
    }
    if back.is_empty() {
        return Ok(());
    }
    let name = known.name.clone();
    let unblock: WriteFn = Box::new(move |rows| {
        for version in &back {
            blocks::remove(rows, &name, version, Some(BlockKind::Removed))?;
        }
        Ok(())
    });
    write(unblock).await
}

fn removed_block<'a>(name: &'a PackageName, version: &'a str) -> NewBlock<'a> {
    NewBlock { name, version, kind: BlockKind::Removed, reason: BLOCK_REASON, operator: None }
}

async fn block_versions(
    write: &WriteRows,
    name: &PackageName,
    versions: Vec<String>,
) -> Result<(), CommitError> {
    if versions.is_empty() {
        return Ok(());
    }
    let name = name.clone();
    write(Box::new(move |rows| {
        for version in &versions {
            blocks::add(rows, &removed_block(&name, version))?;
        }
        Ok(())
    }))
    .await
}

/// Puts the manifests of dropped versions into the new document. When the old one cannot be
/// read they are hidden instead, as there is nothing of them to show.
async fn keep_versions(
    known: &Known,
    store: &Store,
    fetched: &mut FetchedDocument,
    plan: &mut DocumentPlan,
) {
    if plan.removed.is_empty() {
        return;
    }
    let Some(old) = known.document_body(store).await else { return };
    let merged = in_place(old.len() + fetched.body.len(), || {
        let old = PackumentScan::parse(&old).ok()?;
        let new = PackumentScan::parse(&fetched.body).ok()?;
        let kept: HashSet<&str> = plan.removed.iter().map(String::as_str).collect();
        Some(with_kept_versions(&new, &old, &kept))
    });
    if let Some(merged) = merged {
        fetched.replace_body(merged);
        plan.removed.clear();
    }
}

/// Keeps the old document: the new one says only that the package is gone.
fn keep_document(known: &Known, plan: &mut DocumentPlan) {
    if known.row.as_ref().is_some_and(|row| row.document.is_some()) {
        plan.removed.clear();
        plan.versions.clear();
        plan.keep_old_document = true;
    }
}

/// Deletes what an earlier document lacked already, long enough ago.
fn delete_due(known: &Known, policy: &SyncPolicy, plan: &mut DocumentPlan) {
    let now_ms = now_ms();
    let back: HashSet<&str> = plan.versions.iter().map(|row| row.version.as_str()).collect();
    let due: Vec<_> = known
        .versions
        .iter()
        .filter(|row| is_due(row, policy, now_ms) && !back.contains(row.version.as_str()))
        .collect();
    delete(&mut plan.versions, &mut plan.removed, due.into_iter());
}

fn is_due(row: &VersionRow, policy: &SyncPolicy, now_ms: i64) -> bool {
    let since = row.removed_at_ms.filter(|_| row.blob.is_some());
    since.is_some_and(|since| now_ms >= since.saturating_add(millis(policy.removed_after)))
}

/// Takes the bytes from rows; what they hashed to stays.
fn delete<'a>(
    versions: &mut Vec<VersionChange>,
    removed: &mut Vec<String>,
    rows: impl Iterator<Item = &'a VersionRow>,
) {
    for row in rows {
        removed.push(row.version.clone());
        versions.push(VersionChange {
            state: VersionState::Skipped,
            blob: None,
            size_bytes: None,
            reason: Some(DELETED.to_owned()),
            ..VersionChange::from(row)
        });
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
