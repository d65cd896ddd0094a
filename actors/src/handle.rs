//! The way everybody else talks to the engine.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Handler, Message};
use bytes::Bytes;
use npm::{PackageName, Sha512Digest};
use store::alarms;
use store::audit::By;
use store::blobs::BlobLocation;
use store::blocks::{self, BlockRow};
use store::kept_answers;
use store::packages;
use store::registries::SELF;
use store::releases;
use store::tasks::{self, NewTask, TaskOptions, TaskRow};
use store::{AnyConnection, Committed, Keeping, PackageChange, Store, StoreError, TaskId, WriteFn};
use tokio::sync::{broadcast, oneshot};

use crate::attestations;
use crate::audit::{DescribeAudit, LookNow};
use crate::changes_follower::DescribeFollower;
use crate::clock::now_ms;
use crate::committer::{Commit, CommitError, DescribeCommitter, Write};
use crate::deny::DenyRules;
use crate::deny::learn::Learned;
use crate::engine::{Addresses, DEFAULT_REGISTRY, Parts};
use crate::events::{EngineEvent, SyncSummary};
use crate::fetch_through::{FetchThrough, FetchThroughDeps, MissDocument, MissError, TarballFetch};
use crate::hold::HoldPolicy;
use crate::hook_dispatcher::HookDeps;
use crate::janitor::{DescribeJanitor, TidyUp};
use crate::log_writer::{DescribeLogWriter, LogWatch, ReadLog};
use crate::policy::SyncPolicy;
use crate::registries::{Registries, ReloadError};
use crate::registry_sync::DescribeRegistrySync;
use crate::settings::EngineSettings;
use crate::signing_keys::Keys;
use crate::status::EngineStatus;
use crate::task_queue::{CancelTask, DescribeTaskQueue, EnqueueTasks, RetryTask};
use crate::upstream::check::{self, Finding};
use crate::upstream::{Upstream, UpstreamError, UpstreamSettings, Urgency};

/// How long an actor may take to answer a question; they take microseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It could not be started.
    #[error("the engine cannot start: {0}")]
    Start(String),
    /// The settings of an upstream are refused.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The registries could not be read or used.
    #[error(transparent)]
    Registries(#[from] ReloadError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The write failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A part of the engine does not answer; it is being restarted or shut down.
    #[error("the engine does not answer; try again in a moment")]
    Busy,
}

/// Talks to the engine; cheap to clone, usable from every runtime.
#[derive(Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    addresses: Addresses,
    parts: Parts,
    fetch: FetchThrough,
    mirror_misses: bool,
    /// Held by who reads facts for old rows.
    learning: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn new(addresses: Addresses, settings: &EngineSettings, parts: Parts) -> Self {
        let commit = addresses.committer.clone().recipient::<Commit>();
        let (registries, parking) = (parts.registries.clone(), parts.parking.clone());
        let fetch = FetchThrough::new(FetchThroughDeps {
            runtime: parts.runtime.clone(),
            upstream: Arc::new(move |name, set| registries.for_name(name, set)),
            store: parts.store.clone(),
            commit: Arc::new(move |change| {
                let commit = commit.clone();
                Box::pin(async move {
                    commit.send(Commit { change }).await.unwrap_or(Err(CommitError::Restarted))
                })
            }),
            negative_for: settings.negative_for,
            parked: Arc::new(move || parking.reason()),
            rules: addresses.rules.clone(),
        });
        Self {
            addresses,
            parts,
            fetch,
            mirror_misses: settings.mirror_misses,
            learning: tokio::sync::Mutex::default(),
        }
    }
}

impl EngineHandle {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn hook_deps(&self) -> &HookDeps {
        &self.addresses().hook_deps
    }

    pub(crate) fn addresses(&self) -> &Addresses {
        &self.shared.addresses
    }

    /// Where work runs that is too much for whoever asks for it.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        &self.shared.parts.runtime
    }

    /// The store the engine works on, for reading.
    pub fn store(&self) -> &Store {
        &self.shared.parts.store
    }

    /// Facts as they happen; a slow listener misses some.
    pub fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.shared.parts.events.subscribe()
    }

    /// The upstream registries.
    pub fn registries(&self) -> &Registries {
        &self.shared.parts.registries
    }

    /// Adds sync tasks, each for the registry that owns its name; each answer is the row that
    /// stands for the request.
    ///
    /// # Errors
    /// When the rows could not be written.
    pub async fn enqueue(&self, tasks: Vec<NewTask>) -> Result<Vec<TaskRow>, EngineError> {
        let tasks = self.registries().assign(tasks).await?;
        let rows = self.addresses().queue.send(EnqueueTasks { tasks }).await;
        Ok(rows.map_err(|_| EngineError::Busy)??)
    }

    /// Ends a waiting or running task as cancelled; `false` when it had ended already.
    ///
    /// # Errors
    /// When the row could not be written.
    pub async fn cancel(&self, id: TaskId) -> Result<bool, EngineError> {
        let sent = self.addresses().queue.send(CancelTask(id)).await;
        let cancelled = sent.map_err(|_| EngineError::Busy)??;
        if cancelled && let Some(row) = self.store().read(move |c| tasks::find(c, id)).await? {
            let summary = SyncSummary::default();
            let TaskRow { id, name, state, error, failure, .. } = row;
            let ended = EngineEvent::TaskEnded { id, name, state, error, failure, summary };
            let _ = self.shared.parts.events.send(ended);
        }
        Ok(cancelled)
    }

    /// Puts a failed task back into the queue; `false` when there is no such failed task.
    ///
    /// # Errors
    /// When the row could not be written.
    pub async fn retry(&self, id: TaskId) -> Result<bool, EngineError> {
        Ok(self.addresses().queue.send(RetryTask(id)).await.map_err(|_| EngineError::Busy)??)
    }

    /// The log of a task, as far as it is written.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn task_log(&self, id: TaskId) -> Result<Option<String>, EngineError> {
        Ok(self.addresses().logs.send(ReadLog(id)).await.map_err(|_| EngineError::Busy)??)
    }

    /// Follows logs as they are stored; while the answer lives, lines are stored more often.
    pub fn watch_logs(&self) -> LogWatch {
        self.shared.parts.logs.watch()
    }

    /// Runs a rare write in the committer's next transaction.
    ///
    /// # Errors
    /// Those of the write.
    pub async fn write(&self, write: WriteFn) -> Result<(), EngineError> {
        let sent = self.addresses().committer.send(Write { write }).await;
        Ok(sent.map_err(|_| EngineError::Busy)??)
    }

    /// Makes one package change durable.
    ///
    /// # Errors
    /// Those of the commit.
    pub async fn commit(&self, change: PackageChange) -> Result<Committed, EngineError> {
        let sent = self.addresses().committer.send(Commit { change }).await;
        Ok(sent.map_err(|_| EngineError::Busy)??)
    }

    /// Asks a registry how it is; `package` is one it should have, one of its own that is here when
    /// none is named. `None` when there is no such registry or it has no address.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check_registry(
        &self,
        name: &str,
        package: Option<PackageName>,
    ) -> Result<Option<Vec<Finding>>, EngineError> {
        let Some(upstream) = self.registries().upstream(name) else { return Ok(None) };
        let package = match package {
            Some(package) => Some(package),
            None => {
                let name = name.to_owned();
                self.store().read(move |rows| packages::any_of(rows, &name)).await?
            }
        };
        let checked = async move { check::check(&upstream, package.as_ref()).await };
        let found = self.shared.parts.runtime.spawn(checked).await;
        found.map(Some).map_err(|_| EngineError::Busy)
    }

    /// The client of the default upstream, once one is known.
    pub fn upstream(&self) -> Option<Upstream> {
        self.registries().upstream(DEFAULT_REGISTRY)
    }

    /// Looks now for what is missing, instead of when it is due to look again.
    pub fn look_for_missing(&self) {
        for audit in self.registries().audits() {
            let _ = audit.try_send(LookNow);
        }
    }

    /// Replaces the default upstream and goes on with what waits.
    ///
    /// # Errors
    /// When the settings are refused; the old upstream stays then.
    pub fn set_upstream(&self, settings: Option<UpstreamSettings>) -> Result<(), EngineError> {
        Ok(self.registries().set_default(settings)?)
    }

    /// What every part of the engine says of itself.
    ///
    /// # Errors
    /// When a part does not answer in time or the store cannot be read.
    pub async fn describe(&self) -> Result<EngineStatus, EngineError> {
        let addresses = self.addresses();
        let mut syncs = Vec::new();
        for sync in self.registries().syncs() {
            syncs.push(ask(&sync, DescribeRegistrySync).await?);
        }
        let mut followers = Vec::new();
        for follower in self.registries().followers() {
            followers.push(ask(&follower, DescribeFollower).await?);
        }
        let mut audits = Vec::new();
        for audit in self.registries().audits() {
            audits.push(ask(&audit, DescribeAudit).await?);
        }
        Ok(EngineStatus {
            tasks: self.store().read(tasks::counts).await?,
            alarms: self.store().read(alarms::count).await?,
            queue: ask(&addresses.queue, DescribeTaskQueue).await?,
            syncs,
            followers,
            audits,
            committer: ask(&addresses.committer, DescribeCommitter).await?,
            logs: ask(&addresses.logs, DescribeLogWriter).await?,
            hooks: self.describe_hooks().await?,
            janitor: ask(&addresses.janitor, DescribeJanitor).await?,
            parked: self.shared.parts.parking.reason(),
        })
    }

    /// Deletes what is over, as is done every hour; ended when it answers.
    ///
    /// # Errors
    /// When that takes too long for an answer; it goes on all the same.
    pub async fn tidy_up(&self) -> Result<(), EngineError> {
        ask(&self.addresses().janitor, TidyUp).await
    }

    /// Fetches the document of a package that is not here; all who ask for one name share one
    /// request, and a caller that goes away stops nobody.
    ///
    /// # Errors
    /// See [`MissError`].
    pub async fn fetch_document(&self, name: &PackageName) -> Result<Arc<MissDocument>, MissError> {
        let document = self.shared.fetch.fetch_document(name).await?;
        if self.shared.mirror_misses {
            self.mirror_later(name.clone());
        }
        Ok(document)
    }

    /// Somebody asked for a package: what keeps it fresh matters more from now on.
    pub fn note_read(&self, name: &PackageName) {
        self.shared.parts.recent_reads.note(name, now_ms());
    }

    /// Asks the upstream in the background whether a held document is still current.
    pub fn revalidate(&self, name: &PackageName) {
        self.shared.fetch.revalidate(name);
    }

    /// The same, and waits for the answer.
    ///
    /// # Errors
    /// See [`MissError`]; what is held stays as it was.
    pub async fn revalidate_now(&self, name: &PackageName) -> Result<(), MissError> {
        self.shared.fetch.revalidate_now(name).await
    }

    /// Fetches a tarball that is not here; a large one streams while it is checked.
    ///
    /// # Errors
    /// See [`MissError`].
    pub async fn fetch_tarball(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<TarballFetch, MissError> {
        self.shared.fetch.fetch_tarball(name, version).await
    }

    /// The same for a reader that needs the whole blob first: `HEAD`, `Range`.
    ///
    /// # Errors
    /// See [`MissError`].
    pub async fn fetch_tarball_stored(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<(Sha512Digest, BlobLocation), MissError> {
        self.shared.fetch.fetch_tarball_stored(name, version).await
    }

    /// The signing keys that the upstream listed, every one it ever did.
    ///
    /// # Errors
    /// When it cannot be asked and nothing is known, or there is none.
    pub async fn signing_keys(&self) -> Result<Arc<Keys>, MissError> {
        let upstream = self.upstream().ok_or_else(MissError::no_upstream)?;
        let keys = self.addresses().rules.keys.clone();
        let current = self.on_runtime(async move { Ok(keys.current(&upstream).await) }).await?;
        match &current.failure {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(current),
        }
    }

    /// The attestations of a version as upstream has them; `None` when there are none.
    ///
    /// # Errors
    /// When upstream cannot be asked and nothing is held.
    pub async fn attestations(
        &self,
        name: &PackageName,
        version: &str,
    ) -> Result<Option<Bytes>, MissError> {
        let (store, registries) = (self.store().clone(), self.registries().clone());
        let write = Arc::clone(&self.addresses().rules.write);
        let (name, version) = (name.clone(), version.to_owned());
        self.on_runtime(async move {
            let names = vec![name.clone()];
            let owners = store.read(move |rows| packages::owners(rows, &names)).await?;
            let owner = owners.get(&name).map(String::as_str);
            if owner == Some(SELF) {
                let path = npm::attestations_path_of(&name, &version);
                let kept = store.read(move |rows| kept_answers::find(rows, SELF, &path)).await?;
                return Ok(kept.and_then(|kept| kept.body).map(Bytes::from));
            }
            let upstream = registries.for_name(&name, owner)?;
            attestations::find(&store, &write, upstream, &name, &version).await
        })
        .await
    }

    /// What an upstream registry answers to an audit: a JSON body in the form of npm's bulk
    /// endpoint. The caller sends no names that this registry may not hear.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn ask_for_advisories(
        &self,
        registry: &str,
        body: Bytes,
    ) -> Result<Bytes, MissError> {
        let upstream = self.registries().upstream(registry).ok_or_else(MissError::no_upstream)?;
        let ask = async move {
            Ok(upstream.post(npm::advisory::BULK_PATH, body, Urgency::Person).await?)
        };
        self.on_runtime(ask).await
    }

    /// Withholds a version, or with [`WHOLE_PACKAGE`](store::blocks::WHOLE_PACKAGE) all of them;
    /// in effect when it answers.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn block(
        &self,
        name: &PackageName,
        version: &str,
        reason: &str,
        by: By,
    ) -> Result<BlockRow, EngineError> {
        let (of, version, reason) = (name.clone(), version.to_owned(), reason.to_owned());
        self.change_blocks(name, move |rows| blocks::add_by(rows, &of, &version, &reason, &by))
            .await
    }

    /// Ends a block, whoever made it; `false` when there was none.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn unblock(
        &self,
        name: &PackageName,
        version: &str,
        by: By,
    ) -> Result<bool, EngineError> {
        let (of, version) = (name.clone(), version.to_owned());
        self.change_blocks(name, move |rows| blocks::remove_by(rows, &of, &version, &by)).await
    }

    /// Gives a version out that is held back by its age; `false` when that was done before.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn release(
        &self,
        name: &PackageName,
        version: &str,
        by: By,
    ) -> Result<bool, EngineError> {
        let (of, version) = (name.clone(), version.to_owned());
        self.change_blocks(name, move |rows| releases::add_by(rows, &of, &version, &by)).await
    }

    /// Caches learn of it whatever becomes of who asked.
    async fn change_blocks<T: Send + 'static>(
        &self,
        name: &PackageName,
        change: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.write(Box::new(move |rows| {
            let _ = answer.send(change(rows)?);
            Ok(())
        }))
        .await?;
        self.shared.parts.tell(EngineEvent::BlocksChanged { name: name.clone() });
        answered.await.map_err(|_| EngineError::Busy)
    }

    /// Takes a release back: the version is withheld as if it had never been one. `false` when there
    /// was none.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn take_release_back(
        &self,
        name: &PackageName,
        version: &str,
        by: By,
    ) -> Result<bool, EngineError> {
        let (of, version) = (name.clone(), version.to_owned());
        self.change_blocks(name, move |rows| releases::remove_by(rows, &of, &version, &by)).await
    }

    /// What the operator decided, with the rules about readers as they are now.
    pub fn policy(&self) -> Arc<SyncPolicy> {
        self.addresses().rules.current.get()
    }

    /// Other rules about what readers are not given, in effect when it returns; caches learn of it
    /// a moment later.
    pub fn change_reader_rules(&self, hold: HoldPolicy, deny: DenyRules) {
        self.addresses().rules.current.change(hold, deny);
        self.shared.parts.tell(EngineEvent::PolicyChanged);
    }

    /// Reads what rules look at, for the versions of a package whose rows are older than that, from
    /// its document. One package at a time: they wait here, not in memory.
    ///
    /// # Errors
    /// When it could not be read or written.
    pub async fn learn_facts(&self, name: &PackageName) -> Result<(), EngineError> {
        let (handle, name) = (self.clone(), name.clone());
        let learning = async move {
            let _one = handle.shared.learning.lock().await;
            match Learned::read(handle.store(), &name).await? {
                Some(learned) => handle.write(Box::new(move |rows| learned.save(rows))).await,
                None => Ok(()),
            }
        };
        let done = self.shared.parts.runtime.spawn(learning).await;
        done.map_err(|_| EngineError::Busy)?
    }

    /// Upstream requests run on the engine's runtime, whoever waits for them.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, MissError>> + Send + 'static,
    ) -> Result<T, MissError> {
        let done = self.shared.parts.runtime.spawn(work).await;
        done.unwrap_or_else(|_| Err(MissError::unavailable("the engine is being stopped")))
    }

    fn mirror_later(&self, name: PackageName) {
        let handle = self.clone();
        self.shared.parts.runtime.spawn(async move {
            let task = NewTask {
                id: TaskId(uuid::Uuid::now_v7()),
                name,
                registry: DEFAULT_REGISTRY.to_owned(),
                priority: tasks::PRIORITY_FEED,
                options: TaskOptions {
                    skip_dependencies: true,
                    keep: Keeping::Mirrored,
                    ..TaskOptions::default()
                },
                author: None,
                author_ip: None,
            };
            if let Err(error) = handle.enqueue(vec![task]).await {
                tracing::warn!(%error, "a package that arrived by a miss was not queued");
            }
        });
    }
}

async fn ask<A, M>(address: &actix::Addr<A>, question: M) -> Result<M::Result, EngineError>
where
    A: actix::Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    let asked = address.send(question).timeout(ANSWER_WITHIN);
    asked.await.map_err(|_| EngineError::Busy)
}
