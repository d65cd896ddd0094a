//! Publishing: who may, and what becomes of the package.
//!
//! [`rights`] decides who; [`edits`] makes the package after the change of the one before it, so
//! that the same step can be made again when somebody else was faster.

pub mod edits;
pub mod rights;

use std::collections::HashSet;
use std::sync::Arc;

use npm::PackageName;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Bodies read at once; each costs some pieces of memory and a thread that looks into a tarball.
const AT_ONCE: usize = 32;

/// How publishing is set up, `publish.*`.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// `publish.enabled`.
    pub enabled: bool,
    /// `publish.scopes`, with their `@`.
    pub scopes: Vec<String>,
    /// `publish.unscoped`.
    pub unscoped: bool,
    /// `publish.max_tarball`, bytes.
    pub max_tarball_bytes: u64,
    /// `publish.strict`.
    pub strict: bool,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            scopes: Vec::new(),
            unscoped: false,
            max_tarball_bytes: 200 << 20,
            strict: false,
        }
    }
}

/// What is being published now.
#[derive(Debug, Clone)]
pub struct Publishing {
    busy: Arc<Mutex<HashSet<PackageName>>>,
    /// Places for bodies.
    pub room: Arc<Semaphore>,
}

impl Default for Publishing {
    fn default() -> Self {
        Self { busy: Arc::default(), room: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Publishing {
    /// Lets one publisher of a package through.
    ///
    /// # Errors
    /// 409 while another one is.
    pub fn try_lock(&self, name: &PackageName) -> Result<PublishLock, ApiError> {
        if self.busy.lock().insert(name.clone()) {
            return Ok(PublishLock { busy: Arc::clone(&self.busy), name: name.clone() });
        }
        let text = "Unable to create the publication lock, please try again later.";
        Err(ApiError::Conflict(text.to_owned()))
    }
}

/// Held while a package is published.
#[derive(Debug)]
pub struct PublishLock {
    busy: Arc<Mutex<HashSet<PackageName>>>,
    name: PackageName,
}

impl Drop for PublishLock {
    fn drop(&mut self) {
        self.busy.lock().remove(&self.name);
    }
}
