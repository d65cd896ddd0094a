//! Rewrites segments that are mostly dead, so that their space comes back.
//!
//! For each one: it is retired (no new row may name it), its live records are read, compared
//! with their digests and put again, flushed; one transaction points the rows at the new
//! places and forgets the segment; then the file goes. A stop before that transaction leaves
//! dead copies, a stop after it a file the next start adopts as wholly dead.
//!
//! Readers that have the file open go on. Whoever looked a place up before the move and
//! opens it after gets [`BlobError::Missing`](crate::blobs::BlobError::Missing) and has to
//! look the digest up once more: the row then names the new place.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use npm::Sha512Digest;

use super::Writes;
use super::gc::GcOptions;
use super::rows::{self, BlobRow};
use crate::blobs::Segments;
use crate::blobs::{BlobLocation, BlockingRuntime, RECORD_HEADER_BYTES, SegmentState};
use crate::{Store, StoreError};

/// A segment is rewritten when less than half of it is alive: then every byte copied frees
/// more than one.
const LIVE_SHARE_OF: i64 = 2;

/// What compaction did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Segment files removed.
    pub segments: u64,
    /// Bytes of those files.
    pub freed_bytes: u64,
    /// Live bytes copied to other segments.
    pub moved_bytes: u64,
    /// Segments left alone because a live record in them is damaged.
    pub damaged: u64,
}

/// Rewrites every sealed segment that is mostly dead and older than the grace.
///
/// # Errors
/// Those of the database or of the blobs; each segment is done wholly or not at all.
pub fn compact_blocking(
    store: &Store,
    writes: &mut dyn Writes,
    options: &GcOptions,
) -> Result<CompactionReport, StoreError> {
    let _alone = store.blobs().local().map(|local| local.maintenance_lock());
    run_blocking(store, writes, options)
}

/// The same for a caller that holds the maintenance lock.
pub(super) fn run_blocking(
    store: &Store,
    writes: &mut dyn Writes,
    options: &GcOptions,
) -> Result<CompactionReport, StoreError> {
    let mut report = CompactionReport::default();
    let Some(local) = store.blobs().local() else { return Ok(report) };
    for (state, live) in mostly_dead(store, local, options)? {
        let freed = state.durable_bytes.unsigned_abs();
        if options.dry_run {
            report.segments += 1;
            (report.freed_bytes, report.moved_bytes) =
                (report.freed_bytes + freed, report.moved_bytes + live.unsigned_abs());
            continue;
        }
        if !local.retire(state.id) {
            continue;
        }
        match rewrite(store, local, writes, state.id) {
            Ok(moved) => {
                report.segments += 1;
                report.freed_bytes += freed;
                report.moved_bytes += moved;
            }
            Err(StoreError::Damaged { what }) => {
                local.unretire(state.id);
                report.damaged += 1;
                tracing::error!(segment = state.id, %what, "segment not rewritten");
            }
            Err(error) => {
                local.unretire(state.id);
                return Err(error);
            }
        }
    }
    Ok(report)
}

/// Sealed segments last written before this time.
pub(super) fn old_segments(store: &Store, before_ms: i64) -> HashSet<i64> {
    let Some(local) = store.blobs().local() else { return HashSet::new() };
    let states = local.states().into_iter().filter(|state| state.sealed);
    states
        .map(|state| state.id)
        .filter(|id| local.written_at_ms(*id).is_some_and(|at| at < before_ms))
        .collect()
}

/// Segments worth rewriting, with their live bytes.
fn mostly_dead(
    store: &Store,
    local: &Segments,
    options: &GcOptions,
) -> Result<Vec<(SegmentState, i64)>, StoreError> {
    let old = old_segments(store, options.before_ms());
    let live: HashMap<i64, i64> = store
        .read_blocking(rows::live_bytes)?
        .into_iter()
        .map(|live| (live.segment, live.bytes + live.blobs * RECORD_HEADER_BYTES))
        .collect();
    let with_live = |state: SegmentState| (state, live.get(&state.id).copied().unwrap_or(0));
    Ok(local
        .states()
        .into_iter()
        .filter(|state| old.contains(&state.id))
        .map(with_live)
        .filter(|(state, live)| live * LIVE_SHARE_OF < state.durable_bytes || *live == 0)
        .collect())
}

/// One segment; answers the bytes copied.
fn rewrite(
    store: &Store,
    local: &Segments,
    writes: &mut dyn Writes,
    id: i64,
) -> Result<u64, StoreError> {
    let live = store.read_blocking(|c| rows::blobs_in_segments(c, &[id]))?;
    let moved = copy(store, &live)?;
    let bytes = live.iter().map(|row| row.location.length.unsigned_abs()).sum();
    let blobs = Arc::clone(store.blobs());
    writes.write_blocking(Box::new(move |connection| {
        rows::leave_segment(connection, id, &moved, blobs.as_ref())
    }))?;
    // The rows are gone from here on: what fails now only leaves a dead file.
    if let Err(error) = local.remove_blocking(id) {
        tracing::warn!(segment = id, %error, "a rewritten segment could not be removed");
    }
    Ok(bytes)
}

/// Puts live records again; durable on return.
fn copy(store: &Store, live: &[BlobRow]) -> Result<Vec<(Sha512Digest, BlobLocation)>, StoreError> {
    let runtime = BlockingRuntime::new()?;
    let mut moved = Vec::with_capacity(live.len());
    for row in live {
        let to = runtime.wait(async {
            let bytes = store.blobs().reader(&row.digest, row.location).await?.read_all().await?;
            if Sha512Digest::of(&bytes) != row.digest {
                return Err(StoreError::damaged(format!("sha512 of {} differs", row.digest)));
            }
            Ok(store.blobs().put(row.digest, bytes).await?)
        });
        match to {
            Ok(to) => moved.push((row.digest, to)),
            Err(StoreError::MissingBlob(digest)) => {
                return Err(StoreError::damaged(format!("blob {digest} is missing")));
            }
            Err(error) => return Err(error),
        }
    }
    store.blobs().flush_blocking()?;
    Ok(moved)
}
