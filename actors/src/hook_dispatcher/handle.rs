//! What everybody else asks of hooks: through the engine's handle.

use npm::PackageName;
use store::audit::By;
use store::hooks::history::{HookTotals, redeliver, totals};
use store::hooks::outbox::DeliveryId;
use store::hooks::{self, HookRow, HookSecret, Made, NewHook};

use super::{
    DescribeHookDispatcher, DescribePayloads, HookDispatcherStatus, HooksQueued, PayloadSource,
    RefusedEndpoint, Sent, UsePayloads, trial::test_hook,
};
use crate::handle::{EngineError, EngineHandle};
use crate::hook_news;

impl EngineHandle {
    /// Begins to deliver, with documents from `source`.
    ///
    /// # Errors
    /// [`EngineError::Busy`] when the engine is being stopped.
    pub async fn deliver_hooks(&self, source: PayloadSource) -> Result<(), EngineError> {
        let sent = self.addresses().hooks.send(UsePayloads(source)).await;
        sent.map_err(|_| EngineError::Busy)
    }

    /// Whether an endpoint may be used, as far as the address itself tells.
    ///
    /// # Errors
    /// [`RefusedEndpoint`] says why not.
    pub fn check_endpoint(&self, endpoint: &str) -> Result<(), RefusedEndpoint> {
        self.hook_deps().sender.check(endpoint)
    }

    /// Makes a hook, unless its owner has `limit` of them. What happens after the answer is told.
    ///
    /// # Errors
    /// When it could not be written or read again.
    pub async fn create_hook(&self, new: NewHook, limit: i64, by: By) -> Result<Made, EngineError> {
        let made = self.write_returning(move |rows| hooks::create(rows, &new, limit, &by)).await?;
        self.store().reread_hooks().await?;
        Ok(made)
    }

    /// Gives a hook another endpoint, and another secret if there is one, and resumes it; `None`
    /// when there is none.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn change_hook(
        &self,
        id: &str,
        endpoint: &str,
        secret: Option<HookSecret>,
        by: By,
    ) -> Result<Option<HookRow>, EngineError> {
        let (id, endpoint) = (id.to_owned(), endpoint.to_owned());
        let changed = self
            .write_returning(move |rows| hooks::change(rows, &id, &endpoint, secret.as_ref(), &by));
        let changed = changed.await?;
        self.look_for_deliveries();
        Ok(changed)
    }

    /// Stops the deliveries of a hook until it is changed; `None` when there is none.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn pause_hook(
        &self,
        id: &str,
        reason: &str,
        by: By,
    ) -> Result<Option<HookRow>, EngineError> {
        let (id, reason) = (id.to_owned(), reason.to_owned());
        self.write_returning(move |rows| hooks::pause(rows, &id, &reason, &by)).await
    }

    /// Ends a hook; answers what it was.
    ///
    /// # Errors
    /// When it could not be written or read again.
    pub async fn remove_hook(&self, id: &str, by: By) -> Result<Option<HookRow>, EngineError> {
        let id = id.to_owned();
        let gone = self.write_returning(move |rows| hooks::remove(rows, &id, &by)).await?;
        self.store().reread_hooks().await?;
        Ok(gone)
    }

    /// Login names of those who maintain a package, where some hook may be about one of them.
    ///
    /// # Errors
    /// When the package cannot be read.
    pub async fn owners_for_hooks(&self, name: &PackageName) -> Result<Vec<String>, EngineError> {
        let (store, name) = (self.store().clone(), name.clone());
        let reading = async move { hook_news::owners_of(&store, &name).await };
        let read = self.hook_deps().runtime.spawn(reading).await;
        Ok(read.map_err(|_| EngineError::Busy)??)
    }

    /// Sends a delivery again; `false` when there is none.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn redeliver(&self, id: DeliveryId) -> Result<bool, EngineError> {
        let found = self.write_returning(move |rows| redeliver(rows, id)).await?;
        self.look_for_deliveries();
        Ok(found)
    }

    /// Tries a hook at once; answers with the delivery that stands for it in the history.
    ///
    /// # Errors
    /// When it could not be written down.
    pub async fn test_hook(&self, hook: HookRow) -> Result<(DeliveryId, Sent), EngineError> {
        let deps = self.hook_deps().clone();
        let payloads = self.addresses().hooks.send(DescribePayloads).await;
        let payloads = payloads.map_err(|_| EngineError::Busy)?;
        let tried = deps.runtime.clone().spawn(test_hook(deps, payloads, hook));
        Ok(tried.await.map_err(|_| EngineError::Busy)??)
    }

    /// What the dispatcher says of itself, and how hooks are; without any nothing is read.
    pub(crate) async fn describe_hooks(&self) -> Result<HookDispatcherStatus, EngineError> {
        let status = self.addresses().hooks.send(DescribeHookDispatcher).await;
        let status = status.map_err(|_| EngineError::Busy)?;
        if self.store().hooks().current().is_empty() {
            return Ok(status);
        }
        let HookTotals { hooks, paused, failing, waiting, dropped } =
            self.store().read(totals).await?;
        Ok(HookDispatcherStatus { hooks, paused, failing, waiting, dropped, ..status })
    }

    fn look_for_deliveries(&self) {
        let _ = self.addresses().hooks.try_send(HooksQueued);
    }
}
