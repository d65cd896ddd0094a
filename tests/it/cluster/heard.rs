//! What one node writes the other hears of, and what it missed it reads when it listens again.

use actors::{Engine, EngineEvent, EngineHandle, EngineSettings};
use diesel::RunQueryDsl;
use espejo::admin_token::Token;
use store::tokens::{self, TokenLimits};
use store::{BlobSettings, StoreSettings};
use tokio::sync::broadcast::Receiver;

use super::{Shared, shared};
use crate::harness::{FakeBucket, FakeUpstream, Request, until};

impl Shared {
    /// Ends a token, as another node does.
    fn revokes(&self, token: &Token) {
        let key = token.row("ada", TokenLimits::default()).key;
        let mut writer = self.rows.writer_blocking().expect("a writer");
        let gone = writer.write_blocking(|rows| tokens::delete(rows, &key));
        assert!(gone.expect("a write"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_one_node_ends_is_over_on_the_other() {
    let Some(shared) = shared() else { return };
    let (bucket, upstream) = (FakeBucket::start(), FakeUpstream::start());
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [first, second] =
        [0, 1].map(|node: usize| shared.node(folders[node].path(), &bucket, &upstream));
    let token = shared.token();
    let whoami = |node: &crate::harness::Serving| {
        Request::new(node.address(), "GET", "/-/whoami").token(token.text()).send()
    };
    whoami(&first).await.expect(200);
    whoami(&second).await.expect(200);
    let logout = format!("/-/user/token/{}", token.text());
    Request::new(first.address(), "DELETE", &logout).token(token.text()).send().await.expect(200);
    whoami(&first).await.expect(401);
    until("the end on the other node", || async {
        (whoami(&second).await.status == 401).then_some(())
    })
    .await;
}

/// Waits until the engine is told, whatever else it is told.
async fn accounts_changed(events: &mut Receiver<EngineEvent>) {
    let told = async {
        while !matches!(events.recv().await.expect("an event"), EngineEvent::AccountsChanged) {}
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, told).await.expect("a word about accounts");
}

async fn listens(engine: &EngineHandle, wished: bool) {
    until("a node that listens, or does not", || async {
        let status = engine.describe().await.expect("a status").node_watch;
        (status.listening == Some(wished)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_of_every_token_that_ends_and_expects_the_worst_after_it_was_deaf() {
    let Some(shared) = shared() else { return };
    let (kept, token) = (shared.token(), shared.token());
    let settings = StoreSettings { database: shared.database.clone(), blobs: BlobSettings::Memory };
    let store = tokio::task::spawn_blocking(move || store::Store::open_blocking(&settings));
    let store = store.await.expect("no panic").expect("a store");
    let engine = Engine::start(EngineSettings::default(), store).await.expect("an engine");
    let mut events = engine.handle().events();
    listens(&engine.handle(), true).await;
    // the word at the beginning may have come before anybody could receive it
    while events.try_recv().is_ok() {}

    shared.revokes(&token);
    accounts_changed(&mut events).await;

    let ended = shared.rows.writer_blocking().expect("a writer").write_blocking(|rows| {
        // those of other tests listen again, as this one has to
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND query = 'LISTEN espejo'";
        Ok(diesel::sql_query(end).execute(rows)?)
    });
    assert!(ended.expect("a query") > 0, "somebody listened");
    shared.revokes(&kept);
    accounts_changed(&mut events).await;
    listens(&engine.handle(), true).await;
    engine.shutdown(std::time::Duration::from_secs(1)).await;
}

/// One process alone has nobody to hear of.
#[tokio::test]
async fn a_node_with_files_of_its_own_does_not_listen() {
    let mirror = crate::harness::TestMirror::builder().start().await;
    let status = mirror.engine().describe().await.expect("a status").node_watch;
    assert_eq!(status.listening, None);
    mirror.finish().await;
}
