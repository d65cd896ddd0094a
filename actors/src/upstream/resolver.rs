//! From names to addresses, with somebody who judges them before anything connects to one.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The error type of the HTTP client's resolver trait.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Turns a host name into addresses; the system's resolver outside tests.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's resolver.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    })
}

/// Somebody who knows where requests may lead.
pub(crate) trait Guard: Send + Sync + 'static {
    /// All addresses of a name, or an error if even one of them is forbidden: a name with one
    /// public and one internal address is an attack, not an accident.
    fn resolve(&self, name: String) -> impl Future<Output = Result<Vec<IpAddr>, BoxError>> + Send;
}

/// A guard as the HTTP client's resolver: what it refuses is never connected to.
pub(crate) struct GuardedResolver<G>(pub(crate) Arc<G>);

impl<G: Guard> Resolve for GuardedResolver<G> {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = guard.resolve(name.as_str().to_owned()).await?;
            let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
}
