//! Publishing: what a client sends comes in as a stream and leaves as one change of a package.
//!
//! [`receive`](EngineHandle::receive_publication) reads the body on the engine's runtime: the
//! tarball is decoded, hashed, looked into and spooled while it comes, so that its size costs no
//! memory. [`edit`](EngineHandle::edit_package) makes a new document of the one that is here and
//! commits it with everything that belongs to it in one transaction; whoever was overtaken by
//! another writer begins again with what that one left.
//!
//! Nothing here survives a restart, and nothing needs to: before the commit a publish never was.

mod edit;
mod inspect;
mod receive;

pub use edit::{Before, Edit, EditError, HeldTarball};
pub use inspect::{OddTarball, TarballPackage};
pub use receive::{ReceiveError, ReceiveLimits, Received, ReceivedTarball};

use bytes::Bytes;
use npm::PackageName;
use store::Committed;
use tokio::sync::mpsc;

use crate::handle::{EngineError, EngineHandle};

impl EngineHandle {
    /// Reads the body of a publish, whose pieces come through a channel and end with it.
    ///
    /// # Errors
    /// See [`ReceiveError`]; nothing of the body is left then.
    pub async fn receive_publication(
        &self,
        limits: ReceiveLimits,
        pieces: mpsc::Receiver<Bytes>,
    ) -> Result<Received, ReceiveError> {
        let store = self.store().clone();
        let received = self.runtime().spawn(receive::receive(store, limits, pieces));
        received.await.map_err(|_| ReceiveError::Stopped)?
    }

    /// Makes the spooled bytes of a tarball a blob, which only a commit makes known to others.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn keep_tarball(
        &self,
        tarball: ReceivedTarball,
    ) -> Result<HeldTarball, ReceiveError> {
        let kept = self.runtime().spawn(tarball.keep());
        kept.await.map_err(|_| ReceiveError::Stopped)?
    }

    /// What is known of a package that is about to change.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn before_edit(&self, name: &PackageName) -> Result<Before, EngineError> {
        let (store, name) = (self.store().clone(), name.clone());
        let read = self.runtime().spawn(async move { edit::read(&store, &name).await });
        let (_, before) = read.await.map_err(|_| EngineError::Busy)??;
        Ok(before)
    }

    /// Changes a package that is published here, or becomes so with this. `decide` is asked again
    /// when somebody else changed it meanwhile; `None` from it means that nothing is to be done.
    ///
    /// # Errors
    /// Those of `decide` and of the commit.
    pub async fn edit_package<E: Send + 'static>(
        &self,
        name: &PackageName,
        decide: impl Fn(Before) -> Result<Option<Edit>, E> + Send + 'static,
    ) -> Result<Option<Committed>, EditError<E>> {
        let (handle, of) = (self.clone(), name.clone());
        let edited = self.runtime().spawn(async move { edit::edit(&handle, &of, decide).await });
        edited.await.unwrap_or(Err(EditError::Engine(EngineError::Busy)))
    }
}
