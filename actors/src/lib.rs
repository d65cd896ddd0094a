//! The engine of the mirror: supervised actors that sync packages, and the HTTP client to
//! upstream registries.
//!
//! | module | is |
//! |---|---|
//! | [`engine`] | starts and drains everything; [`EngineHandle`] is how others talk to it |
//! | [`task_queue`] | the durable queue; owner of the tasks table |
//! | [`registry_sync`] | pulls tasks of one upstream and runs their jobs |
//! | [`changes_follower`] | reads the changes feed of one upstream into the queue |
//! | [`registries`] | the upstream registries, and which of them a name belongs to |
//! | [`committer`] | group commit, in front of [`metadata_writer`], the one writing connection |
//! | [`log_writer`] | logs of running tasks |
//! | [`audit`] | looks for what is missing: names, versions, silent takedowns |
//! | [`hook_dispatcher`] | tells hooks of what happened |
//! | [`janitor`] | free space, what is over |
//! | [`node_watch`] | what other nodes of a cluster wrote |
//! | [`fetch_through`] | misses: what a reader asks for and is not here |
//! | [`upstream`] | HTTP to registries; no actors |
//! | [`change_builder`] | what a document means for the rows of its package |

#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::needless_pass_by_value
    )
)]

mod attestations;
pub mod audit;
mod budget;
pub mod change_builder;
pub mod changes_follower;
pub mod clock;
pub mod committer;
mod credit;
pub mod deny;
pub mod engine;
pub mod events;
pub mod fetch_through;
mod handle;
pub mod hold;
pub mod hook_dispatcher;
mod hook_news;
pub mod janitor;
mod known;
pub mod log_writer;
pub mod metadata_writer;
pub mod node_watch;
mod parking;
pub mod policy;
pub mod publishing;
mod recent_reads;
pub mod registries;
pub mod registry_sync;
mod removal;
pub mod rules;
pub mod settings;
pub mod signing_keys;
pub mod status;
mod supervision;
pub mod task_queue;
pub mod upstream;
mod upstream_slot;
mod words;

pub use engine::{DEFAULT_REGISTRY, Engine};
pub use events::{EngineEvent, SyncSummary};
pub use fetch_through::{MissDocument, MissError, TarballFetch};
pub use handle::{EngineError, EngineHandle};
pub use policy::{CurrentPolicy, RemovedPolicy, SignaturePolicy, SyncPolicy};
pub use settings::EngineSettings;
pub use status::EngineStatus;
