//! What readers must not get: blocks, releases, rules.

use std::sync::Arc;

use npm::PackageName;
use store::audit::By;
use store::blocks::{self, BlockRow};
use store::{AnyConnection, StoreError, releases};

use super::{EngineError, EngineHandle};
use crate::deny::DenyRules;
use crate::deny::learn::Learned;
use crate::events::EngineEvent;
use crate::hold::HoldPolicy;
use crate::policy::SyncPolicy;

impl EngineHandle {
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

    /// Caches learn of it whatever becomes of who asked.
    async fn change_blocks<T: Send + 'static>(
        &self,
        name: &PackageName,
        change: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (this, name) = (self.clone(), name.clone());
        let changing = self.runtime().spawn(async move {
            let changed = this.write_returning(change).await;
            this.shared.parts.tell(EngineEvent::BlocksChanged { name });
            changed
        });
        changing.await.map_err(|_| EngineError::Busy)?
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
}
