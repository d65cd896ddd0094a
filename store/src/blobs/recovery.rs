//! Continuing after a stop of any kind: the files are made to agree with the database.
//!
//! Bytes behind the durable end of an unsealed segment belong to no row and are cut away.
//! Segments the database does not know (created after its last commit) are kept as sealed,
//! wholly dead ones, so that a database restored from elsewhere never destroys bytes by
//! being opened; compaction removes them.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;

use super::folder::failed;
use super::segments::Inner;
use super::walk::SegmentWalk;
use super::{BlobError, SegmentState};

/// What [`super::BlobStore::resume_blocking`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResumeReport {
    /// Bytes cut from open segments: written, never named by a row.
    pub cut_bytes: u64,
    /// Segments the database did not know.
    pub adopted: Vec<i64>,
    /// Segments whose file is missing or ends before its durable end: damage.
    pub short: Vec<i64>,
}

pub(crate) fn resume(inner: &Inner, known: &[SegmentState]) -> Result<ResumeReport, BlobError> {
    let mut report = ResumeReport::default();
    let mut found: BTreeSet<i64> = inner.folder.segment_ids()?.into_iter().collect();
    let last_open = known.iter().filter(|state| !state.sealed).map(|state| state.id).max();
    for state in known {
        let mut state = *state;
        let is_there = found.remove(&state.id);
        if !is_there || (!state.sealed && !cut(inner, &state, &mut report)?) {
            report.short.push(state.id);
            state.sealed = true;
        }
        let recorded = known.contains(&state);
        state.sealed |= last_open != Some(state.id);
        inner.state.lock().adopt(state, recorded);
    }
    for id in found {
        let end = SegmentWalk::open(&inner.folder.segment(id), id, u64::MAX)?.last_good_end()?;
        let durable_bytes = i64::try_from(end).unwrap_or(i64::MAX);
        inner.state.lock().adopt(SegmentState { id, durable_bytes, sealed: true }, false);
        report.adopted.push(id);
    }
    warn(&report);
    Ok(report)
}

/// Cuts an unsealed segment at its durable end; `false` if it ends before that.
fn cut(inner: &Inner, state: &SegmentState, report: &mut ResumeReport) -> Result<bool, BlobError> {
    let path = inner.folder.segment(state.id);
    let length_and_cut = || -> io::Result<u64> {
        let file = OpenOptions::new().write(true).open(&path)?;
        let length = file.metadata()?.len();
        let durable = u64::try_from(state.durable_bytes).unwrap_or(0);
        if length > durable {
            file.set_len(durable)?;
            file.sync_all()?;
        }
        Ok(length)
    };
    let length = length_and_cut().map_err(|e| failed("cut segment", &path, &e))?;
    let durable = u64::try_from(state.durable_bytes).unwrap_or(0);
    report.cut_bytes += length.saturating_sub(durable);
    Ok(length >= durable)
}

fn warn(report: &ResumeReport) {
    if report.cut_bytes > 0 {
        tracing::info!(size_bytes = report.cut_bytes, "cut bytes no row names from segments");
    }
    if !report.adopted.is_empty() {
        tracing::warn!(segments = ?report.adopted, "segments the database does not know");
    }
    if !report.short.is_empty() {
        tracing::error!(
            segments = ?report.short,
            "segments are missing or shorter than the database says; run verify"
        );
    }
}
