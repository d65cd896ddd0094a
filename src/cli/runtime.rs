//! The runtime of a command: one thread, because the engine brings its own.

use tokio::runtime::{Builder, Runtime};

use super::problem::Problem;

/// A runtime on the calling thread.
///
/// # Errors
/// When the system refuses what it needs.
pub fn small() -> Result<Runtime, Problem> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Problem::failed("the runtime cannot start").why(error))
}
