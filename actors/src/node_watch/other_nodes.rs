//! What other nodes of a cluster commit: the caches of this one hear of it here, by the change log
//! that all of them write.

use std::sync::Arc;

use npm::PackageName;
use store::{Store, StoreError, changes};
use tokio::sync::Mutex;

use crate::events::EngineEvent;

/// With more changes than this since the last look, all that was read counts as old.
const NAMES_AT_ONCE: i64 = 1_000;

/// How far this node knows the change log.
#[derive(Clone)]
pub(super) struct OtherNodes {
    store: Store,
    seen: Arc<Mutex<Option<i64>>>,
}

impl OtherNodes {
    pub(super) fn new(store: Store) -> Self {
        Self { store, seen: Arc::default() }
    }

    /// What to tell since the last look. Own commits are told once more: one more read of a row.
    pub(super) async fn look(&self) -> Result<Option<EngineEvent>, StoreError> {
        // nobody else can commit there
        if self.store.is_local() {
            return Ok(None);
        }
        let mut seen = self.seen.lock().await;
        let Some(from) = *seen else { return self.start_over(&mut seen).await };
        let later = move |rows: &mut _| changes::names_since(rows, from, NAMES_AT_ONCE);
        let later = self.store.read(later).await?;
        let Some((last, _)) = later.last() else { return Ok(None) };
        if i64::try_from(later.len()).is_ok_and(|found| found >= NAMES_AT_ONCE) {
            return self.start_over(&mut seen).await;
        }
        *seen = Some(*last);
        let names = later.iter().filter_map(|(_, name)| PackageName::parse(name).ok()).collect();
        Ok(Some(EngineEvent::ChangedSomewhere { names }))
    }

    /// From the end of the log on; what was read before it may be old.
    async fn start_over(&self, seen: &mut Option<i64>) -> Result<Option<EngineEvent>, StoreError> {
        *seen = Some(self.store.read(changes::last_seq).await?);
        Ok(Some(EngineEvent::PolicyChanged))
    }
}
