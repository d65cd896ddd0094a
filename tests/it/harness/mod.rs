//! What the tests stand on: a scripted upstream, a whole mirror, packages made by code.

mod bucket;
mod child;
mod client;
pub mod database;
mod feed;
mod killed;
mod middle;
mod mirror;
mod oracle;
mod package;
mod receiver;
pub mod secrets;
mod signing;
mod upstream;
mod upstream_http;

pub use bucket::FakeBucket;
pub use child::{Espejo, Finished, Serving};
pub use client::{Answer, Request};
pub use feed::{CHANGES, FakeFeed};
pub use killed::on_all_cores;
pub use middle::{Proxy, TlsFront};
pub use mirror::{Builder, TestMirror, TokenKind, files, rot};
pub use oracle::{Expect, compare, packages_in, rows_of};
pub use package::{Package, Version, gzip, noise, shasum, sri};
pub use receiver::{HookReceiver, Received, Reply};
pub use signing::{Signer, key_list};
pub use upstream::{Asked, FakeUpstream, Fault, KEYS_PATH};

use std::time::Duration;

/// Awaits until `reached` gives a value; the limit only ends a test that would hang.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut reached: impl FnMut() -> F,
) -> T {
    let limit = Duration::from_secs(60);
    let polling = async {
        loop {
            if let Some(value) = reached().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(limit, polling).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {limit:?}"))
}
