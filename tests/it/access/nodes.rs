//! Two engines on one database, as nodes of a cluster are.

use std::time::Duration;

use actors::{Engine, EngineEvent, EngineSettings};
use store::{BlobSettings, Store};

use super::{Garden, SEEDS};

#[tokio::test]
async fn other_nodes_hear_of_who_may_read_what() {
    let garden = Garden::start().await;
    let settings = garden.mirror.database_with(BlobSettings::Memory);
    let opening = tokio::task::spawn_blocking(move || Store::open_blocking(&settings));
    let store = opening.await.expect("no panic").expect("a store");
    let settings = EngineSettings { work_on_tasks: false, ..EngineSettings::default() };
    let other = Engine::start(settings, store).await.expect("an engine");
    let there = other.handle();
    // its first look may tell of what was there before it
    garden.growers().await;
    heard(&there, async {}).await;
    heard(&there, garden.grant(SEEDS)).await;
    heard(&there, garden.revoke(SEEDS)).await;
    other.shutdown(Duration::ZERO).await;
    garden.mirror.finish().await;
}

/// Waits until another node tells its caches of what is done here.
async fn heard(there: &actors::EngineHandle, change: impl Future<Output = ()>) {
    let mut events = there.events();
    change.await;
    let heard = async {
        while !matches!(events.recv().await.expect("an engine"), EngineEvent::AccessChanged) {}
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await.expect("news of the change");
}
