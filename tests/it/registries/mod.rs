//! Several upstream registries: who is asked for what, and who never is.

mod api;
mod commands;
mod nodes;
mod paused;
mod private;

use store::registries::{self, RegistryRow};
use store::scopes::{self, ScopeRow};

use crate::harness::{FakeUpstream, TestMirror};

/// Writes a registry's row and has the engine read it, as the commands do.
async fn add_registry(mirror: &TestMirror, name: &str, url: &str, token: Option<&str>) {
    let mut row = RegistryRow::new(name, url, "a test", 1);
    row.token = token.map(str::to_owned);
    row.change_stream = String::from("off");
    let engine = mirror.engine();
    let write = Box::new(move |rows: &mut store::AnyConnection| registries::upsert(rows, &row));
    engine.write(write).await.expect("a row");
    engine.registries().reload().await.expect("registries that can be used");
}

/// Binds a scope and has the engine read it.
async fn bind(mirror: &TestMirror, scope: &str, registry: &str) {
    let row = ScopeRow::new(scope, registry, 1);
    let engine = mirror.engine();
    let write = Box::new(move |rows: &mut store::AnyConnection| scopes::upsert(rows, &row));
    engine.write(write).await.expect("a row");
    engine.registries().reload().await.expect("scopes that can be read");
}

/// The paths an upstream was asked for.
fn asked(upstream: &FakeUpstream) -> Vec<String> {
    upstream.asked().into_iter().map(|asked| asked.path).collect()
}
