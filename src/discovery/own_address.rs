//! Is an address this mirror itself? npm is often pointed here before the first start.

use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

/// Whether `upstream` leads to the listener at `listen` or to `public_url`.
#[must_use]
pub fn is_own_address(upstream: &Url, listen: SocketAddr, public_url: Option<&Url>) -> bool {
    let port = upstream.port_or_known_default();
    if let Some(public) = public_url
        && public.host() == upstream.host()
        && public.port_or_known_default() == port
    {
        return true;
    }
    port == Some(listen.port()) && reaches(upstream, listen.ip())
}

fn reaches(upstream: &Url, listen: IpAddr) -> bool {
    let everywhere = listen.is_unspecified();
    match upstream.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let local = name == "localhost" || name.ends_with(".localhost");
            local && (everywhere || listen.is_loopback())
        }
        Some(Host::Ipv4(address)) => same(IpAddr::V4(address), listen, everywhere),
        Some(Host::Ipv6(address)) => {
            let address = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
            same(address, listen, everywhere)
        }
        None => false,
    }
}

fn same(address: IpAddr, listen: IpAddr, everywhere: bool) -> bool {
    // 0.0.0.0 as a destination is this machine.
    let local = address.is_loopback() || address.is_unspecified();
    address == listen || (local && (everywhere || listen.is_loopback()))
}
