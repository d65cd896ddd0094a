//! Two engines on one database, as nodes of a cluster are: what an operator changes at one of them
//! is in effect at the other.

use actors::registries::NotAsked;
use actors::{Engine, EngineEvent, EngineSettings};
use npm::PackageName;
use store::audit::By;
use store::blocks::WHOLE_PACKAGE;
use store::epochs;
use store::registries::{self, RegistryRow};
use store::scopes::{self, ScopeRow};
use store::{BlobSettings, Store, WriteFn};

use crate::harness::{FakeUpstream, TestMirror, until};

/// Another node of the mirror's cluster, which only looks.
async fn another_node(mirror: &TestMirror) -> Engine {
    let settings = mirror.database_with(BlobSettings::Memory);
    let opening = tokio::task::spawn_blocking(move || Store::open_blocking(&settings));
    let store = opening.await.expect("no panic").expect("a store");
    let settings = EngineSettings { work_on_tasks: false, ..EngineSettings::default() };
    Engine::start(settings, store).await.expect("an engine")
}

#[tokio::test]
async fn a_change_at_one_node_is_in_effect_at_the_others() {
    let inner = FakeUpstream::start();
    let mirror = TestMirror::with(&[]).await;
    let other = another_node(&mirror).await;
    let there = other.handle();
    let ui = PackageName::parse("@garden/ui").expect("a name");
    assert!(there.registries().upstream("inner").is_none());

    let url = inner.url();
    let change: WriteFn = Box::new(move |rows| {
        registries::upsert(rows, &RegistryRow::new("inner", &url, "a test", 1))?;
        scopes::upsert(rows, &ScopeRow::new("@garden", "inner", 1))?;
        epochs::raise(rows, epochs::Kind::Registries)
    });
    mirror.engine().write(change).await.expect("a writable store");
    until("the registry at the other node", || async {
        there.registries().upstream("inner").map(drop)
    })
    .await;
    assert_eq!(there.registries().ownership().asked(&ui, None), Ok("inner"));

    let private: WriteFn = Box::new(|rows| {
        scopes::upsert(rows, &ScopeRow::new("@garden", "self", 2))?;
        registries::delete(rows, "inner")?;
        epochs::raise(rows, epochs::Kind::Registries)
    });
    mirror.engine().write(private).await.expect("a writable store");
    until("no registry at the other node", || async {
        there.registries().upstream("inner").is_none().then_some(())
    })
    .await;
    let asked = there.registries().ownership().asked(&ui, None).map(str::to_owned);
    assert_eq!(asked, Err(NotAsked::Private(ui)));

    let mut events = there.events();
    let lamp = PackageName::parse("lamp").expect("a name");
    let by = By::terminal("ada");
    mirror.engine().block(&lamp, WHOLE_PACKAGE, "a miner", by).await.expect("a block");
    let heard = async {
        while !matches!(events.recv().await.expect("an engine"), EngineEvent::PolicyChanged) {}
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, heard).await.expect("news of the block");
    other.shutdown(std::time::Duration::ZERO).await;
    mirror.finish().await;
}
