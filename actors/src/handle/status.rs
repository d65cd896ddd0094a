//! Questions to the parts of the engine.

use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Handler, Message};
use store::{alarms, tasks};

use super::{EngineError, EngineHandle};
use crate::audit::DescribeAudit;
use crate::changes_follower::DescribeFollower;
use crate::committer::DescribeCommitter;
use crate::janitor::{DescribeJanitor, TidyUp};
use crate::log_writer::DescribeLogWriter;
use crate::node_watch::DescribeNodeWatch;
use crate::registry_sync::DescribeRegistrySync;
use crate::status::EngineStatus;
use crate::task_queue::DescribeTaskQueue;

/// How long an actor may take to answer a question; they take microseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

impl EngineHandle {
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
            node_watch: ask(&addresses.node_watch, DescribeNodeWatch).await?,
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
