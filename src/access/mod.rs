//! Who may read and change what: orgs, teams, what they were granted, packages with readers of their
//! own (wire contract, 6.5).
//!
//! Tables are the truth. What readers need of them is one small picture in memory
//! ([`store::gates`]), which only packages of our own are ever looked up in. Every change goes
//! through [`Access::change`], which makes this node read the picture again before anybody has an
//! answer; other nodes hear of it by a number in the database, within seconds.

pub mod changes;
pub mod gate;
pub mod names;
pub mod rights;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actors::EngineHandle;
use parking_lot::RwLock;
use store::gates::{self, Gates};
use store::{AnyConnection, StoreError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::error::ApiError;

/// Why a change was not made: a rule, or the database.
#[derive(Debug)]
pub enum NotChanged {
    /// What the client is told; nothing was written.
    Refused(ApiError),
    /// The database failed.
    Store(StoreError),
}

impl From<ApiError> for NotChanged {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<StoreError> for NotChanged {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Who may read what, as of now; cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    engine: EngineHandle,
    runtime: Handle,
    generation: AtomicU64,
    /// The picture and the generation it was read in.
    kept: RwLock<Option<(u64, Arc<Gates>)>>,
    /// The turn to read it.
    reading: Mutex<()>,
}

impl Access {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(engine: EngineHandle, runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            engine,
            runtime,
            generation: AtomicU64::new(0),
            kept: RwLock::new(None),
            reading: Mutex::new(()),
        }))
    }

    /// The picture of now.
    ///
    /// # Errors
    /// When the tables cannot be read: then nobody is let in.
    pub async fn gates(&self) -> Result<Arc<Gates>, ApiError> {
        if let Some(gates) = self.kept() {
            return Ok(gates);
        }
        let _turn = self.0.reading.lock().await;
        if let Some(gates) = self.kept() {
            return Ok(gates);
        }
        // before the tables are read: what is written later makes this picture old
        let generation = self.0.generation.load(Ordering::Acquire);
        let gates = Arc::new(self.0.engine.store().read(gates::read).await?);
        *self.0.kept.write() = Some((generation, Arc::clone(&gates)));
        Ok(gates)
    }

    fn kept(&self) -> Option<Arc<Gates>> {
        let kept = self.0.kept.read();
        let (generation, gates) = kept.as_ref()?;
        (*generation == self.0.generation.load(Ordering::Acquire)).then(|| Arc::clone(gates))
    }

    /// Something that decides about readers was written.
    pub fn forget(&self) {
        self.0.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Checks and makes a change in one transaction; in effect on this node when it answers,
    /// whether or not the caller still waits. A refused change must have written nothing.
    ///
    /// # Errors
    /// The refusal, or what the engine says.
    pub async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, NotChanged> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.write(work, true).await
    }

    /// The same for what decides about no reader.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn note<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, NotChanged> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.write(work, false).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, NotChanged> + Send + 'static,
        forget: bool,
    ) -> Result<T, ApiError> {
        let write = move |rows: &mut AnyConnection| match work(rows) {
            Ok(done) => Ok(Ok(done)),
            Err(NotChanged::Refused(refused)) => Ok(Err(refused)),
            Err(NotChanged::Store(error)) => Err(error),
        };
        let this = self.clone();
        let writing = self.0.runtime.spawn(async move {
            let written = this.0.engine.write_returning(write).await;
            if forget {
                this.forget();
            }
            written
        });
        writing.await.map_err(|error| ApiError::Internal(format!("a change: {error}")))??
    }
}
