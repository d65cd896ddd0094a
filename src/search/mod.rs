//! The local search: a full-text index of what is here, in the data folder of this node.
//!
//! The index is a cache of what is served, so it lives in this crate: losable, made anew from the
//! tables whenever it is missing, damaged or that of another database. It knows a place in our own
//! change log ([`store::changes`]) that is committed with it, and a part in the background
//! (`follower.rs`) reads on from there: after a kill the index is behind and catches up, and it can
//! never be ahead. What readers must not get is looked up once more for each answer ([`states`]), so
//! an index that is behind shows nothing that is withheld by now.
//!
//! Writers and readers of packages know nothing of it: they pay nothing.

mod document;
mod follower;
pub mod index;
mod numbers;
mod place;
pub mod query;
pub mod question;
mod schema;
pub mod states;
mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use npm::PackageName;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use self::index::SearchIndex;
use crate::error::ApiError;

pub use self::document::{CardError, card_of, entry_of};
pub use self::numbers::Numbers;
pub use self::place::Place;

/// How the search works; there is none without this.
#[derive(Debug, Clone)]
pub struct SearchSettings {
    /// Folder of the index, of this node alone.
    pub folder: PathBuf,
    /// Least time between two commits of the index; what changes is found so much later.
    pub every: Duration,
}

/// Names that wait to be looked at.
const MOST_WAITING: usize = 20_000;

/// Time that an order of a person has to be carried out.
const ORDER_WITHIN: Duration = Duration::from_secs(20);

/// Why the index cannot be used; it is made anew or opened again.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The files.
    #[error("the search index: {0}")]
    Index(#[from] tantivy::TantivyError),
    /// The folder.
    #[error("the folder of the search index: {0}")]
    Folder(#[from] std::io::Error),
    /// Nobody writes into it any more.
    #[error("the search index is closed")]
    Closed,
    /// Files whose checksum is wrong.
    #[error("{0} files of the search index are damaged")]
    Damaged(usize),
    /// The place in the change log cannot be read, or is of another form or database.
    #[error("the search index is not one of this database: {0}")]
    Foreign(String),
    /// The tables.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The engine does not write.
    #[error(transparent)]
    Engine(#[from] actors::EngineError),
    /// A thread ended before its work.
    #[error("work on the search index did not finish: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

impl SearchError {
    /// Whether the files are of no use any more.
    fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Foreign(_) => true,
            // what else goes wrong in it (space, memory, the lock) is tried again over the same files
            Self::Index(error) => matches!(
                error,
                tantivy::TantivyError::DataCorruption(_)
                    | tantivy::TantivyError::OpenReadError(_)
                    | tantivy::TantivyError::IncompatibleIndex(_)
                    | tantivy::TantivyError::SchemaError(_)
                    | tantivy::TantivyError::DeserializeError(_)
            ),
            _ => false,
        }
    }
}

/// What is to be done with a name beside what the change log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Look again, and write what is found only if it differs.
    Look,
    /// Write anew whatever is known.
    Write,
    /// Leave it out until it changes.
    Forget,
}

struct Waiting {
    name: PackageName,
    order: Order,
    done: Option<oneshot::Sender<()>>,
}

/// The search of this node.
pub struct Search {
    settings: SearchSettings,
    index: ArcSwapOption<SearchIndex>,
    waiting: Mutex<Vec<Waiting>>,
    nudge: Notify,
    /// What it has done, for whoever watches.
    pub numbers: Numbers,
    ended: watch::Sender<bool>,
}

impl Search {
    /// Not open yet; [`Search::keep`] opens it.
    #[must_use]
    pub fn new(settings: SearchSettings) -> Self {
        Self {
            settings,
            index: ArcSwapOption::empty(),
            waiting: Mutex::default(),
            nudge: Notify::new(),
            numbers: Numbers::default(),
            ended: watch::Sender::new(false),
        }
    }

    /// The index, while there is one.
    ///
    /// # Errors
    /// 503 until it is opened for the first time, and while a damaged one is made anew.
    pub fn index(&self) -> Result<Arc<SearchIndex>, ApiError> {
        self.index.load_full().ok_or_else(|| ApiError::Unavailable {
            reason: "the search index is being opened".to_owned(),
            retry_after: Duration::from_secs(2),
            hint: "try again in a moment",
        })
    }

    /// Waits until [`Search::keep`] has closed the index.
    pub async fn closed(&self) {
        // that it is gone without a word is the end, too
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Looks at a name again soon. One too many is left out: it is looked at when it is found the
    /// next time.
    pub fn look_again(&self, name: PackageName) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < MOST_WAITING {
            waiting.push(Waiting { name, order: Order::Look, done: None });
            self.nudge.notify_one();
        }
    }

    /// Carries out an order and returns when it is committed.
    ///
    /// # Errors
    /// 503 when too much waits, or when it took too long; then it is still carried out later.
    pub async fn order(&self, name: PackageName, order: Order) -> Result<(), ApiError> {
        let (done, is_done) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= MOST_WAITING {
                return Err(busy());
            }
            waiting.push(Waiting { name, order, done: Some(done) });
        }
        self.nudge.notify_one();
        match tokio::time::timeout(ORDER_WITHIN, is_done).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

fn busy() -> ApiError {
    ApiError::Unavailable {
        reason: "the search index is behind and does not take orders".to_owned(),
        retry_after: Duration::from_secs(10),
        hint: "try again in a moment",
    }
}
