//! Waiting for blobs from a thread that may block.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};

use super::BlobError;

/// The runtime around this thread, or one of its own.
///
/// For threads that may block only: within an async task waiting would panic.
#[derive(Debug)]
pub struct BlockingRuntime {
    handle: Handle,
    _own: Option<Runtime>,
}

impl BlockingRuntime {
    /// Finds or makes the runtime.
    ///
    /// # Errors
    /// [`BlobError::Failed`] when none can be made.
    pub fn new() -> Result<Self, BlobError> {
        if let Ok(handle) = Handle::try_current() {
            return Ok(Self { handle, _own: None });
        }
        let own = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let own = own.map_err(|error| BlobError::from_io("start a runtime", &error))?;
        Ok(Self { handle: own.handle().clone(), _own: Some(own) })
    }

    /// Waits for the work; may be called from several threads at once.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }
}
