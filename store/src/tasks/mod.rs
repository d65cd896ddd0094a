//! The `tasks` table: what is to be synced, what is being synced, and how it went.
//!
//! A package has at most one waiting task in a registry; asking again merges into it. A worker
//! leases tasks ([`claim`]) and either finishes them, gives them back, or lets the lease run out.

mod backlog;
mod end;
mod enqueue;
mod lease;
mod list;
mod logs;
mod row;
#[cfg(test)]
mod tests;

pub use backlog::{count_waiting, has_waiting};
pub(crate) use end::finish_many;
pub use end::{
    cancel, delete_finished_before, ended_beyond, finish, give_back, retry, retry_later,
};
pub use enqueue::{enqueue, enqueue_unanswered};
pub use lease::{claim, claim_these, expired_leases, renew};
pub use list::{FARTHEST_PLACE, TaskCounts, TaskFilter, counts, find, find_placed, list, place};
pub use logs::{LogPiece, append_log, append_logs, delete_log, log, log_from};
pub use row::{FeedTarget, NewTask, TaskOptions, TaskRow};

/// An admin said `force`: runs at once, beside whatever runs already.
pub const PRIORITY_FORCED: i32 = -10;
/// A person waits for it: comes before everything that nobody waits for.
pub const PRIORITY_PEOPLE: i32 = 0;
/// The changes feed said so, or a package arrived by a miss.
pub const PRIORITY_FEED: i32 = 10;
/// Another package needs it.
pub const PRIORITY_DEPENDENCY: i32 = 20;
/// Found while checking everything.
pub const PRIORITY_SWEEP: i32 = 30;
