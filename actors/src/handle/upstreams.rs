//! Upstream registries, and what only they can answer.

use std::sync::Arc;

use bytes::Bytes;
use npm::PackageName;
use store::registries::SELF;
use store::{kept_answers, packages};

use super::{EngineError, EngineHandle};
use crate::attestations;
use crate::audit::LookNow;
use crate::engine::DEFAULT_REGISTRY;
use crate::fetch_through::MissError;
use crate::signing_keys::Keys;
use crate::upstream::check::{self, Finding};
use crate::upstream::{Upstream, UpstreamSettings, Urgency};

impl EngineHandle {
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

    /// Upstream requests run on the engine's runtime, whoever waits for them.
    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, MissError>> + Send + 'static,
    ) -> Result<T, MissError> {
        let done = self.shared.parts.runtime.spawn(work).await;
        done.unwrap_or_else(|_| Err(MissError::unavailable("the engine is being stopped")))
    }
}
