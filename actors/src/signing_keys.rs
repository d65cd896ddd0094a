//! The signing keys of upstream registries: asked for now and then, kept for ever.
//!
//! The `registry_keys` table is the truth; in memory is one parsed ring per registry. Runs on the
//! engine's runtime. An upstream that cannot be asked changes nothing about keys known before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use npm::signature::KeyList;
use npm::{Keyring, SigningKey};
use parking_lot::RwLock;
use store::{Store, WriteFn, alarms, registry_keys};
use tokio::time::Instant;

use crate::clock::now_ms;
use crate::committer::CommitError;
use crate::upstream::{Upstream, UpstreamError, Urgency};

/// Path of the list below a registry's base address.
pub const KEYS_PATH: &str = "/-/npm/v1/keys";
/// Registries change keys every few years.
const ASK_EVERY: Duration = Duration::from_secs(3600);
/// An upstream that did not answer, or whose list lacked a key, is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Runs a rare write in the committer's next transaction.
pub(crate) type WriteRows =
    Arc<dyn Fn(WriteFn) -> BoxFuture<'static, Result<(), CommitError>> + Send + Sync>;

/// The keys of one registry at one moment.
#[derive(Debug, Default)]
pub struct Keys {
    /// For verifying.
    pub ring: Keyring,
    /// Every key ever listed, by id.
    pub list: Vec<SigningKey>,
    /// Why upstream could not be asked, when it could not and nothing was known before.
    pub failure: Option<UpstreamError>,
}

#[derive(Clone)]
struct Known {
    keys: Arc<Keys>,
    asked: Instant,
    /// The last answer was a list, or a clear "none".
    answered: bool,
}

/// Finds keys; cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    write: WriteRows,
    known: RwLock<HashMap<String, Known>>,
    asking: tokio::sync::Mutex<()>,
}

impl SigningKeys {
    pub(crate) fn new(store: Store, write: WriteRows) -> Self {
        let shared = Shared {
            store,
            write,
            known: RwLock::default(),
            asking: tokio::sync::Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The keys of an upstream, which is asked when the last answer is an hour old; of all who
    /// need them one asks.
    pub async fn current(&self, upstream: &Upstream) -> Arc<Keys> {
        self.no_older_than(upstream, ASK_EVERY).await
    }

    /// The same after a signature named a key that is not listed: a new one may be.
    pub(crate) async fn after_unknown_key(&self, upstream: &Upstream) -> Arc<Keys> {
        self.no_older_than(upstream, ASK_AGAIN).await
    }

    async fn no_older_than(&self, upstream: &Upstream, age: Duration) -> Arc<Keys> {
        let registry = &upstream.settings().name;
        if let Some(keys) = self.shared.fresh(registry, age) {
            return keys;
        }
        let _alone = self.shared.asking.lock().await;
        match self.shared.fresh(registry, age) {
            Some(keys) => keys,
            None => self.shared.ask(upstream).await,
        }
    }
}

impl Shared {
    fn fresh(&self, registry: &str, age: Duration) -> Option<Arc<Keys>> {
        let known = self.known.read();
        let known = known.get(registry)?;
        let age = if known.answered { age } else { ASK_AGAIN };
        (known.asked.elapsed() < age).then(|| Arc::clone(&known.keys))
    }

    async fn ask(&self, upstream: &Upstream) -> Arc<Keys> {
        let registry = upstream.settings().name.clone();
        let answer = upstream.answer(KEYS_PATH, Urgency::Person).await;
        let listed =
            answer.and_then(|body| body.map_or_else(|| Ok(Vec::new()), |body| read(&body)));
        let failure = match listed {
            Ok(listed) => {
                self.keep(&registry, listed).await;
                None
            }
            Err(failure) => {
                tracing::warn!(registry, error = %failure, "signing keys were not refreshed");
                Some(failure)
            }
        };
        let answered = failure.is_none();
        let keys = Arc::new(self.stored(&registry, failure).await);
        let known = Known { keys: Arc::clone(&keys), asked: Instant::now(), answered };
        self.known.write().insert(registry, known);
        keys
    }

    async fn stored(&self, registry: &str, failure: Option<UpstreamError>) -> Keys {
        let of = registry.to_owned();
        let list = self.store.read(move |rows| registry_keys::of_registry(rows, &of)).await;
        let list = list.unwrap_or_else(|error| {
            tracing::warn!(registry, %error, "signing keys could not be read");
            Vec::new()
        });
        let failure = failure.filter(|_| list.is_empty());
        Keys { ring: Keyring::new(&list), list, failure }
    }

    /// Adds a list to what is stored. A key that changed under its id is news for the operator.
    async fn keep(&self, registry: &str, listed: Vec<SigningKey>) {
        if listed.is_empty() {
            return;
        }
        let of = registry.to_owned();
        let write = Box::new(move |rows: &mut store::AnyConnection| {
            for keyid in registry_keys::add(rows, &of, &listed, now_ms())? {
                let said = format!(
                    "registry {of} lists another signing key under the id {keyid}; the first one \
                     is kept"
                );
                tracing::warn!(alarm = said, "upstream contradicts itself");
                alarms::add(rows, &of, &said)?;
            }
            Ok(())
        });
        if let Err(error) = (self.write)(write).await {
            tracing::warn!(registry, %error, "signing keys were not kept");
        }
    }
}

fn read(body: &[u8]) -> Result<Vec<SigningKey>, UpstreamError> {
    let list: KeyList = serde_json::from_slice(body)
        .map_err(|error| UpstreamError::BadBody(format!("the list of signing keys: {error}")))?;
    Ok(list.keys)
}
