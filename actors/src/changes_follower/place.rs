//! What a follower knows between two steps. Lost with the actor and read again from the table.

use std::time::Duration;

use npm::Seq;
use store::feeds::{FeedRow, Mover};
use tokio::time::Instant;

use crate::upstream::FeedAddress;

/// The place in one feed, as the last step left it.
#[derive(Clone, Default)]
pub(super) struct Place {
    /// Where the feed is.
    pub(super) address: Option<FeedAddress>,
    /// The address was found by looking, so "not there" is no fault.
    pub(super) looked_for: bool,
    /// The row, kept equal to the table by the one who holds its lease.
    pub(super) row: Option<FeedRow>,
    /// When the head was asked last.
    pub(super) head_asked: Option<Instant>,
    /// When the row was written last: the lease runs from then.
    pub(super) written: Option<Instant>,
    /// When the last alarm about silence was raised.
    pub(super) silence_told: Option<Instant>,
    doubts: u32,
    doubting_since: Option<Instant>,
}

/// Fewer looks than these prove nothing, however far apart: several back ends may answer.
const DOUBTS: u32 = 3;

impl Place {
    pub(super) fn seq(&self) -> Seq {
        Seq::new(self.row.as_ref().and_then(|row| row.seq).unwrap_or_default())
    }

    pub(super) fn head(&self) -> Option<Seq> {
        self.row.as_ref()?.head.map(Seq::new)
    }

    /// Who may move the place from where it is.
    pub(super) fn mover(&self, holder: &str, lease: Duration) -> Option<Mover> {
        let row = self.row.as_ref()?;
        Some(Mover {
            registry: row.registry.clone(),
            holder: holder.to_owned(),
            lease_ms: i64::try_from(lease.as_millis()).unwrap_or(i64::MAX),
            epoch: row.epoch,
            seq: row.seq,
        })
    }

    /// Whether something asked at `last` is due again.
    pub(super) fn is_due(last: Option<Instant>, every: Duration) -> bool {
        last.is_none_or(|last| last.elapsed() >= every)
    }

    /// Notes that nothing is at and behind the place; answers whether that is proven now.
    pub(super) fn doubt(&mut self, confirm_for: Duration) -> bool {
        self.doubts = self.doubts.saturating_add(1);
        let since = *self.doubting_since.get_or_insert_with(Instant::now);
        self.doubts >= DOUBTS && since.elapsed() >= confirm_for
    }

    pub(super) fn trust(&mut self) {
        self.doubts = 0;
        self.doubting_since = None;
    }
}
