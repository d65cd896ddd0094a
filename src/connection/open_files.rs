//! Connections are open files, and so is everything that is served over them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this many are of no use to anybody here.
const ENOUGH_FILES: u64 = 65_536;

/// Most connections at once, over all workers.
const MOST_CONNECTIONS: u64 = 10_000;

/// Takes all the open files that the system lets this process have, and says how many of them may
/// be connections of clients: half, so that they never take those of the database, of blobs and
/// of connections to upstreams.
pub fn room_for_connections() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(ENOUGH_FILES).min(ENOUGH_FILES);
    if limit.current.is_some_and(|current| current < most) {
        let raised = Rlimit { current: Some(most), maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
        }
    }
    let files = limit.current.unwrap_or(ENOUGH_FILES);
    usize::try_from((files / 2).clamp(1, MOST_CONNECTIONS)).unwrap_or(usize::MAX)
}
