//! The upstream registries of this mirror, each with its own client, limits, budget and actors.
//!
//! The `registries` and `scopes` tables are the truth; [`Registries::reload`] makes what runs
//! agree with them, at the start and after every change. `default` comes from the settings.
//! Which registry a name belongs to is decided by [`Ownership`], which is kept current here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::Addr;
use npm::PackageName;
use parking_lot::RwLock;
use store::epochs::{self, Epochs};
use store::registries::{self, RegistryRow};
use store::tasks::NewTask;
use store::{Store, StoreError, packages, scopes};
use url::Url;

use crate::audit::Audit;
use crate::budget::{self, LateCommitter};
use crate::changes_follower::ChangesFollower;
use crate::clock::now_ms;
use crate::engine::DEFAULT_REGISTRY;
use crate::events::EngineEvent;
use crate::registry_sync::RegistrySync;
use crate::task_queue::WakeUp;
use crate::upstream::{FeedChoice, RequestBudget, Upstream, UpstreamError, UpstreamSettings};
use crate::upstream_slot::UpstreamSlot;
pub use store::ownership::{NotAsked, Ownership};

/// What runs for one registry.
#[derive(Clone, Default)]
pub(crate) struct RegistryActors {
    pub(crate) sync: Option<Addr<RegistrySync>>,
    pub(crate) follower: Option<Addr<ChangesFollower>>,
    pub(crate) audit: Option<Addr<Audit>>,
}

/// Starts the actors of a registry.
pub(crate) type StartActors = Box<dyn Fn(&str, &UpstreamSlot) -> RegistryActors + Send + Sync>;

/// Why the registries could not be read from their tables.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The tables could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row cannot be used; the others are in use.
    #[error("registry {name} is refused: {error}")]
    Refused {
        /// Its name.
        name: String,
        /// Why.
        error: UpstreamError,
    },
}

/// All registries; cheap to clone.
#[derive(Clone)]
pub struct Registries(Arc<Inner>);

struct Inner {
    store: Store,
    committer: LateCommitter,
    publish_scopes: Vec<String>,
    /// What registries of the table are asked like; name, address, token, rate, feed are theirs.
    defaults: RwLock<Option<UpstreamSettings>>,
    by_name: RwLock<BTreeMap<String, Registry>>,
    ownership: RwLock<Arc<Ownership>>,
    /// Holds what the actors share, these registries included: taken out when the engine ends.
    start: RwLock<Option<StartActors>>,
    /// What was read last of what operators change; also the turn of those who read.
    seen: tokio::sync::Mutex<Epochs>,
    /// Names changed owners since the last look.
    moved: AtomicBool,
    opened_at_ms: i64,
}

#[derive(Clone)]
struct Registry {
    slot: UpstreamSlot,
    budget: Arc<RequestBudget>,
    actors: RegistryActors,
    /// A removed one keeps its idle actors until the engine ends, and is not shown.
    removed: bool,
}

impl Registries {
    /// Knows `default` and nothing else yet; starts nothing.
    ///
    /// # Errors
    /// When the store cannot be read or the settings are refused.
    pub(crate) async fn open(
        store: Store,
        defaults: Option<UpstreamSettings>,
        upstream: Option<UpstreamSettings>,
        publish_scopes: Vec<String>,
    ) -> Result<Self, ReloadError> {
        let all = Self(Arc::new(Inner {
            ownership: RwLock::new(Arc::new(Ownership::new(Vec::new(), &publish_scopes))),
            store,
            committer: LateCommitter::default(),
            publish_scopes,
            defaults: RwLock::new(defaults.or_else(|| upstream.clone())),
            by_name: RwLock::default(),
            start: RwLock::default(),
            seen: tokio::sync::Mutex::default(),
            moved: AtomicBool::new(false),
            opened_at_ms: now_ms(),
        }));
        all.set(DEFAULT_REGISTRY, upstream).await?;
        Ok(all)
    }

    /// Where budgets are written from now on, and how the actors of a registry are started.
    pub(crate) fn run(
        &self,
        committer: actix::Recipient<crate::committer::Write>,
        start: StartActors,
    ) {
        let _ = self.0.committer.set(committer);
        *self.0.start.write() = Some(start);
        for (name, registry) in self.0.by_name.write().iter_mut() {
            registry.actors = self.start(name, &registry.slot);
        }
    }

    /// Starts nothing any more and lets go of all that runs, so that the store can be closed.
    pub(crate) fn end(&self) {
        *self.0.start.write() = None;
        for registry in self.0.by_name.write().values_mut() {
            registry.actors = RegistryActors::default();
        }
    }

    fn start(&self, name: &str, slot: &UpstreamSlot) -> RegistryActors {
        self.0.start.read().as_ref().map(|start| start(name, slot)).unwrap_or_default()
    }

    /// Makes what runs agree with the tables.
    ///
    /// # Errors
    /// [`ReloadError`]; the rows that can be used are in use all the same.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let mut seen = self.0.seen.lock().await;
        self.read_again(&mut seen).await
    }

    /// Reads what changed since the last look, whoever changed it, and answers what caches have to
    /// be told. The first look follows on the reload of the start.
    ///
    /// # Errors
    /// As [`reload`](Self::reload).
    pub(crate) async fn look(&self) -> Result<Vec<EngineEvent>, ReloadError> {
        let mut news = Vec::new();
        let mut seen = self.0.seen.lock().await;
        let now = self.0.store.read(epochs::read).await?;
        if seen.hooks != now.hooks {
            self.0.store.reread_hooks().await?;
            seen.hooks = now.hooks;
        }
        if seen.registries != now.registries {
            self.read_again(&mut seen).await?;
        }
        if std::mem::replace(&mut seen.blocks, now.blocks) != now.blocks {
            news.push(EngineEvent::PolicyChanged);
        }
        if std::mem::replace(&mut seen.access, now.access) != now.access {
            news.push(EngineEvent::AccessChanged);
        }
        if self.0.moved.swap(false, Ordering::AcqRel) {
            news.push(EngineEvent::OwnershipChanged);
        }
        Ok(news)
    }

    async fn read_again(&self, seen: &mut Epochs) -> Result<(), ReloadError> {
        let read = self.0.store.read(|rows| {
            // before the rows: what changes between the two is read once more
            let now = epochs::read(rows)?;
            Ok((now.registries, registries::list(rows)?, scopes::list(rows)?))
        });
        let (epoch, rows, bound) = read.await?;
        seen.registries = epoch;
        // first of all: what became private is asked nowhere from here on
        let ownership = Arc::new(Ownership::new(bound, &self.0.publish_scopes));
        let before = std::mem::replace(&mut *self.0.ownership.write(), Arc::clone(&ownership));
        if before != ownership {
            self.0.moved.store(true, Ordering::Release);
        }
        let (default, rows): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.name == DEFAULT_REGISTRY);
        self.forget_others(&rows);
        let mut refused = Ok(());
        for row in &default {
            let moved = self.move_default(row);
            refused = moved.map_err(|error| ReloadError::Refused { name: row.name.clone(), error });
        }
        for row in &rows {
            let settings = self.settings(row).map(Some);
            let set = match settings {
                Ok(settings) => self.set(&row.name, settings).await,
                Err(error) => Err(ReloadError::Refused { name: row.name.clone(), error }),
            };
            match set {
                Err(error @ ReloadError::Refused { .. }) => refused = Err(error),
                set => set?,
            }
        }
        // it was not set anew, but its feed may be paused or moved
        let default = self.0.by_name.read().get(DEFAULT_REGISTRY).cloned();
        if let Some(default) = default {
            default.wake_up();
        }
        refused
    }

    /// The address of `default` comes with the settings, until somebody changes its row.
    fn move_default(&self, row: &RegistryRow) -> Result<(), UpstreamError> {
        if row.stored_at_ms <= self.0.opened_at_ms {
            return Ok(());
        }
        let now = self.upstream(DEFAULT_REGISTRY).map(|upstream| upstream.settings().clone());
        let new = self.settings(row)?;
        let now = now.unwrap_or_else(|| UpstreamSettings { token: None, ..new.clone() });
        // the token of one origin is never sent to another
        let same = now.url.origin() == new.url.origin();
        let token = new.token.or_else(|| now.token.clone().filter(|_| same));
        if now.url == new.url && now.token == token && self.upstream(DEFAULT_REGISTRY).is_some() {
            return Ok(());
        }
        self.set_default(Some(UpstreamSettings { url: new.url, token, ..now }))
    }

    /// Those without a row stop asking.
    fn forget_others(&self, rows: &[RegistryRow]) {
        for (name, registry) in self.0.by_name.write().iter_mut() {
            let is_known = name == DEFAULT_REGISTRY || rows.iter().any(|row| row.name == *name);
            if !is_known {
                registry.slot.set(None);
                registry.removed = true;
            }
        }
    }

    /// How a registry of the table is asked. The token of another is never its own.
    fn settings(&self, row: &RegistryRow) -> Result<UpstreamSettings, UpstreamError> {
        let bad = |what: &str, error: url::ParseError| {
            UpstreamError::Misconfigured(format!("{what}: {error}"))
        };
        let url = Url::parse(&row.host).map_err(|error| bad(&row.host, error))?;
        let feed = match row.change_stream.as_str() {
            "auto" => FeedChoice::Auto,
            "off" => FeedChoice::Off,
            address => FeedChoice::At(Url::parse(address).map_err(|error| bad(address, error))?),
        };
        let defaults = self.0.defaults.read().clone();
        let defaults = defaults.unwrap_or_else(|| UpstreamSettings::new("", url.clone()));
        Ok(UpstreamSettings {
            name: row.name.clone(),
            url,
            token: row.token.clone(),
            rate_per_second: u32::try_from(row.rate).unwrap_or(u32::MAX),
            feed,
            ..defaults
        })
    }

    /// Gives `default` another upstream; the others are asked its way from the next reload on.
    ///
    /// # Errors
    /// When the settings are refused; the old upstream stays then.
    pub(crate) fn set_default(
        &self,
        settings: Option<UpstreamSettings>,
    ) -> Result<(), UpstreamError> {
        let Some(default) = self.0.by_name.read().get(DEFAULT_REGISTRY).cloned() else {
            return Ok(());
        };
        if let Some(settings) = &settings {
            *self.0.defaults.write() = Some(settings.clone());
        }
        default.slot.set(client(settings, &default.budget)?);
        default.wake_up();
        Ok(())
    }

    async fn set(&self, name: &str, settings: Option<UpstreamSettings>) -> Result<(), ReloadError> {
        let refused = |error| ReloadError::Refused { name: name.to_owned(), error };
        let known = self.0.by_name.read().get(name).cloned();
        if let Some(mut known) = known {
            known.slot.set(client(settings, &known.budget).map_err(refused)?);
            known.removed = false;
            known.wake_up();
            self.0.by_name.write().insert(name.to_owned(), known);
            return Ok(());
        }
        let budget = budget::open(name, &self.0.store, Arc::clone(&self.0.committer)).await?;
        let slot = UpstreamSlot::new(client(settings, &budget).map_err(refused)?);
        let actors = self.start(name, &slot);
        let registry = Registry { slot, budget, actors, removed: false };
        self.0.by_name.write().insert(name.to_owned(), registry);
        Ok(())
    }

    /// The client of a registry, once one is known.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<Upstream> {
        self.0.by_name.read().get(name)?.slot.get()
    }

    /// The client to ask for a name of which `set` is the owner written down so far; `None` while
    /// that registry has no upstream.
    ///
    /// # Errors
    /// [`NotAsked`], when nobody is to be asked.
    pub fn for_name(
        &self,
        name: &PackageName,
        set: Option<&str>,
    ) -> Result<Option<Upstream>, NotAsked> {
        Ok(self.upstream(self.ownership().asked(name, set)?))
    }

    /// Who owns what, as of now.
    #[must_use]
    pub fn ownership(&self) -> Arc<Ownership> {
        Arc::clone(&self.0.ownership.read())
    }

    /// Gives tasks of `default` to the owners of their names.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn assign(&self, mut tasks: Vec<NewTask>) -> Result<Vec<NewTask>, StoreError> {
        let ours = |task: &&NewTask| task.registry == DEFAULT_REGISTRY;
        let names: Vec<_> = tasks.iter().filter(ours).map(|task| task.name.clone()).collect();
        if self.0.by_name.read().len() == 1 || names.is_empty() {
            return Ok(tasks); // there is nobody else
        }
        let read = self.0.store.read(move |rows| packages::owners(rows, &names));
        let set: HashMap<PackageName, String> = read.await?;
        let ownership = self.ownership();
        for task in tasks.iter_mut().filter(|task| task.registry == DEFAULT_REGISTRY) {
            let set = set.get(&task.name).map(String::as_str);
            // a private one keeps `default`, whose job says why nobody is asked
            if let Ok(owner) = ownership.asked(&task.name, set) {
                task.registry = owner.to_owned();
            }
        }
        Ok(tasks)
    }

    /// The syncs of all registries, by name of the registry.
    pub(crate) fn syncs(&self) -> Vec<Addr<RegistrySync>> {
        self.actors(|actors| actors.sync.clone())
    }

    /// The followers of all registries, by name of the registry.
    pub(crate) fn followers(&self) -> Vec<Addr<ChangesFollower>> {
        self.actors(|actors| actors.follower.clone())
    }

    /// The audits of all registries, by name of the registry.
    pub(crate) fn audits(&self) -> Vec<Addr<Audit>> {
        self.actors(|actors| actors.audit.clone())
    }

    fn actors<T>(&self, pick: impl Fn(&RegistryActors) -> Option<T>) -> Vec<T> {
        let all = self.0.by_name.read();
        let shown = all.values().filter(|registry| !registry.removed);
        shown.filter_map(|registry| pick(&registry.actors)).collect()
    }

    /// Lets all syncs look for tasks.
    pub(crate) fn wake_syncs(&self) {
        for sync in self.syncs() {
            let _ = sync.try_send(WakeUp);
        }
    }
}

impl Registry {
    fn wake_up(&self) {
        if let Some(sync) = &self.actors.sync {
            let _ = sync.try_send(WakeUp);
        }
        if let Some(follower) = &self.actors.follower {
            let _ = follower.try_send(WakeUp);
        }
    }
}

fn client(
    settings: Option<UpstreamSettings>,
    budget: &Arc<RequestBudget>,
) -> Result<Option<Upstream>, UpstreamError> {
    settings.map(|settings| Upstream::with_budget(settings, Arc::clone(budget))).transpose()
}
