//! Where everybody finds the client of one upstream registry, which may come or change while
//! the engine runs.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::upstream::Upstream;

/// A shared place for one [`Upstream`]; cheap to clone.
#[derive(Clone, Default)]
pub struct UpstreamSlot {
    current: Arc<RwLock<Option<Upstream>>>,
}

impl UpstreamSlot {
    /// A slot that holds `upstream` from the start.
    pub fn new(upstream: Option<Upstream>) -> Self {
        Self { current: Arc::new(RwLock::new(upstream)) }
    }

    /// The client, once one is known.
    pub fn get(&self) -> Option<Upstream> {
        self.current.read().clone()
    }

    /// Replaces the client; requests under way keep the old one.
    pub fn set(&self, upstream: Option<Upstream>) {
        *self.current.write() = upstream;
    }
}
