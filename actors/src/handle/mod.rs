//! The way everybody else talks to the engine.

mod reading;
mod status;
mod tasks;
mod upstreams;
mod withholding;

use std::sync::Arc;

use store::{AnyConnection, Committed, PackageChange, Store, StoreError, WriteFn};
use tokio::sync::broadcast;

use crate::committer::{Commit, CommitError, Write, write_returning};
use crate::engine::{Addresses, Parts};
use crate::events::EngineEvent;
use crate::fetch_through::{FetchThrough, FetchThroughDeps};
use crate::hook_dispatcher::HookDeps;
use crate::registries::{Registries, ReloadError};
use crate::settings::EngineSettings;
use crate::upstream::UpstreamError;

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It could not be started.
    #[error("the engine cannot start: {0}")]
    Start(String),
    /// The settings of an upstream are refused.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The registries could not be read or used.
    #[error(transparent)]
    Registries(#[from] ReloadError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The write failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A part of the engine does not answer; it is being restarted or shut down.
    #[error("the engine does not answer; try again in a moment")]
    Busy,
}

/// Talks to the engine; cheap to clone, usable from every runtime.
#[derive(Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    addresses: Addresses,
    parts: Parts,
    fetch: FetchThrough,
    mirror_misses: bool,
    /// Held by who reads facts for old rows.
    learning: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn new(addresses: Addresses, settings: &EngineSettings, parts: Parts) -> Self {
        let commit = addresses.committer.clone().recipient::<Commit>();
        let (registries, parking) = (parts.registries.clone(), parts.parking.clone());
        let fetch = FetchThrough::new(FetchThroughDeps {
            runtime: parts.runtime.clone(),
            upstream: Arc::new(move |name, set| registries.for_name(name, set)),
            store: parts.store.clone(),
            commit: Arc::new(move |change| {
                let commit = commit.clone();
                Box::pin(async move {
                    commit.send(Commit { change }).await.unwrap_or(Err(CommitError::Restarted))
                })
            }),
            negative_for: settings.negative_for,
            parked: Arc::new(move || parking.reason()),
            rules: addresses.rules.clone(),
        });
        Self {
            addresses,
            parts,
            fetch,
            mirror_misses: settings.mirror_misses,
            learning: tokio::sync::Mutex::default(),
        }
    }
}

impl EngineHandle {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn hook_deps(&self) -> &HookDeps {
        &self.addresses().hook_deps
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.shared.addresses
    }

    /// Where work runs that is too much for whoever asks for it.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.shared.parts.runtime
    }

    /// The store the engine works on, for reading.
    pub fn store(&self) -> &Store {
        &self.shared.parts.store
    }

    /// Facts as they happen; a slow listener misses some.
    pub fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.shared.parts.events.subscribe()
    }

    /// The upstream registries.
    pub fn registries(&self) -> &Registries {
        &self.shared.parts.registries
    }

    /// Runs a rare write in the committer's next transaction.
    ///
    /// # Errors
    /// Those of the write.
    pub async fn write(&self, write: WriteFn) -> Result<(), EngineError> {
        let sent = self.addresses().committer.send(Write { write }).await;
        Ok(sent.map_err(|_| EngineError::Busy)??)
    }

    /// The same for a write that answers something. It is made also when the caller goes away.
    ///
    /// # Errors
    /// Those of the write.
    pub async fn write_returning<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let committer = self.addresses().committer.clone().recipient();
        Ok(write_returning(committer, write).await?)
    }

    /// Makes one package change durable.
    ///
    /// # Errors
    /// Those of the commit.
    pub async fn commit(&self, change: PackageChange) -> Result<Committed, EngineError> {
        let sent = self.addresses().committer.send(Commit { change }).await;
        Ok(sent.map_err(|_| EngineError::Busy)??)
    }
}
