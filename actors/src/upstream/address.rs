//! Which network addresses a request may reach.
//!
//! The upstream's own host and the proxy are the operator's choice and always allowed. Any
//! other host (from a redirect or `dist.tarball`) must be public, or of the same kind as the
//! upstream's own address. Names are judged by what they resolve to at the moment of
//! connecting, in the resolver itself, so a name that changes its mind gains nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::UpstreamError;

/// The error type of the HTTP client's resolver trait.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Turns a host name into addresses; the system's resolver outside tests.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Where an address leads. The value is a bit in the set of kinds the upstream itself has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Reach {
    Public = 1,
    Loopback = 2,
    LinkLocal = 4,
    Private = 8,
    UniqueLocal = 16,
    CarrierGrade = 32,
    Unspecified = 64,
    Multicast = 128,
    Reserved = 256,
}

impl Reach {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => match embedded_v4(address) {
                Some(inner) => Self::of_v4(inner),
                None => Self::of_v6(address),
            },
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [0, ..] => Self::Unspecified,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [10, ..] | [192, 168, ..] | [172, 16..=31, ..] => Self::Private,
            [100, 64..=127, ..] => Self::CarrierGrade,
            [224..=239, ..] => Self::Multicast,
            // protocol assignments, documentation, benchmarking, future use and broadcast
            [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Reserved,
            [198, 18..=19, ..] | [240..=255, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            [0xfec0..=0xfeff, ..] => Self::Private, // site local, deprecated
            [0xfc00..=0xfdff, ..] => Self::UniqueLocal,
            [0xff00..=0xffff, ..] => Self::Multicast,
            [0x64, 0xff9b, 1, ..] => Self::Private, // local-use translation prefix
            // IETF protocol assignments (Teredo among them) and documentation
            [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => Self::Reserved,
            [0, ..] | [0x100, 0, 0, 0, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::UniqueLocal => "unique local",
            Self::CarrierGrade => "carrier-grade NAT",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

/// The IPv4 address a mapped, compatible, translated (NAT64) or 6to4 address leads to.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        // `::` and `::1` are IPv6 addresses of their own
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

/// Why an address was refused; travels through the HTTP client's error chain.
#[derive(Debug, thiserror::Error)]
#[error("{host} is {address}, a {reach} address, and the upstream itself is not there")]
pub(super) struct Forbidden {
    host: String,
    address: IpAddr,
    reach: Reach,
}

/// The rule, with what the upstream's own host resolved to.
pub(super) struct AddressGuard {
    own: Host<String>,
    proxy: Option<String>,
    /// Host of a changes feed that the operator named.
    feed: Option<Host<String>>,
    /// Kinds of address the upstream itself has; 0 = not looked up yet.
    own_reach: AtomicU16,
    lookup: Lookup,
}

impl AddressGuard {
    pub(super) fn new(
        own: Host<String>,
        proxy: Option<String>,
        feed: Option<Host<String>>,
        lookup: Lookup,
    ) -> Arc<Self> {
        let own_reach = match &own {
            Host::Ipv4(address) => Reach::of((*address).into()) as u16,
            Host::Ipv6(address) => Reach::of((*address).into()) as u16,
            Host::Domain(_) => 0,
        };
        Arc::new(Self { own, proxy, feed, own_reach: AtomicU16::new(own_reach), lookup })
    }

    /// Refuses what is visible in the address itself: scheme, credentials, literal addresses.
    /// Names are judged when they are resolved.
    pub(super) async fn check(&self, url: &Url) -> Result<(), UpstreamError> {
        let refused = |why: &str| Err(UpstreamError::BadAddress(format!("{}: {why}", shown(url))));
        if !matches!(url.scheme(), "http" | "https") {
            return refused("only http and https are fetched");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("it holds a user name or password");
        }
        let literal = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return refused("it names no host"),
        };
        let host = url.host().map(|host| host.to_owned());
        if host.as_ref() == Some(&self.own) || (host.is_some() && host == self.feed) {
            return Ok(());
        }
        let text = literal.to_string();
        self.allow(&text, literal)
            .await
            .map_err(|forbidden| UpstreamError::BadAddress(format!("{}: {forbidden}", shown(url))))
    }

    async fn allow(&self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        let reach = Reach::of(address);
        if reach == Reach::Public || self.own_reach().await & reach as u16 != 0 {
            return Ok(());
        }
        Err(Forbidden { host: host.to_owned(), address, reach })
    }

    async fn own_reach(&self) -> u16 {
        let known = self.own_reach.load(Ordering::Relaxed);
        match &self.own {
            Host::Domain(name) if known == 0 => match (self.lookup)(name.clone()).await {
                Ok(addresses) => self.learn(&addresses),
                Err(_) => 0, // nothing is known, so nothing internal is allowed
            },
            _ => known,
        }
    }

    fn learn(&self, own: &[IpAddr]) -> u16 {
        let reach = own.iter().fold(0, |kinds, address| kinds | Reach::of(*address) as u16);
        self.own_reach.store(reach, Ordering::Relaxed);
        reach
    }

    fn is_chosen_by_operator(&self, name: &str) -> bool {
        let is = |host: &Host<String>| matches!(host, Host::Domain(own) if own.eq_ignore_ascii_case(name));
        is(&self.own)
            || self.feed.as_ref().is_some_and(is)
            || self.proxy.as_deref().is_some_and(|proxy| proxy.eq_ignore_ascii_case(name))
    }

    /// All addresses of `name`, or an error if even one of them is forbidden: a name with one
    /// public and one internal address is an attack, not an accident.
    async fn resolve(&self, name: String) -> Result<Vec<IpAddr>, BoxError> {
        let addresses = (self.lookup)(name.clone()).await?;
        if self.is_chosen_by_operator(&name) {
            if matches!(&self.own, Host::Domain(own) if own.eq_ignore_ascii_case(&name)) {
                self.learn(&addresses);
            }
            return Ok(addresses);
        }
        for address in &addresses {
            self.allow(&name, *address).await?;
        }
        Ok(addresses)
    }
}

/// An address for messages: without query, fragment or credentials, and of bounded length.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // fails only for addresses that cannot hold credentials
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    let mut text = String::from(url);
    if text.len() > 200 {
        let end = (0..=200).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The system's resolver.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    })
}

/// The guard as the HTTP client's resolver: what it refuses is never connected to.
pub(super) struct GuardedResolver(pub(super) Arc<AddressGuard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = guard.resolve(name.as_str().to_owned()).await?;
            let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(table: &'static [(&'static str, &'static [&'static str])]) -> Lookup {
        Arc::new(move |name| {
            let found = table.iter().find(|(known, _)| *known == name);
            let addresses =
                found.map(|(_, list)| list.iter().map(|text| text.parse().unwrap()).collect());
            Box::pin(async move { addresses.ok_or_else(|| io::Error::other("no such name")) })
        })
    }

    fn guard(own: &str, lookup: Lookup) -> Arc<AddressGuard> {
        AddressGuard::new(Host::parse(own).unwrap(), None, None, lookup)
    }

    async fn check(guard: &AddressGuard, url: &str) -> Result<(), String> {
        guard.check(&Url::parse(url).unwrap()).await.map_err(|error| error.to_string())
    }

    #[test]
    fn every_kind_of_address_is_told_apart() {
        for (address, reach) in [
            ("1.1.1.1", Reach::Public),
            ("172.32.0.1", Reach::Public),
            ("127.9.9.9", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("64:ff9b::7f00:1", Reach::Loopback),
            ("2002:7f00:1::", Reach::Loopback),
            ("::10.0.0.1", Reach::Private),
            ("169.254.169.254", Reach::LinkLocal),
            ("fe80::1", Reach::LinkLocal),
            ("10.1.2.3", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("192.168.1.1", Reach::Private),
            ("64:ff9b:1::1", Reach::Private),
            ("fd00::1", Reach::UniqueLocal),
            ("100.64.0.1", Reach::CarrierGrade),
            ("0.0.0.0", Reach::Unspecified),
            ("0.1.2.3", Reach::Unspecified),
            ("::", Reach::Unspecified),
            ("224.0.0.1", Reach::Multicast),
            ("ff02::1", Reach::Multicast),
            ("255.255.255.255", Reach::Reserved),
            ("192.0.2.1", Reach::Reserved),
            ("2001:db8::1", Reach::Reserved),
            ("2606:4700::1111", Reach::Public),
        ] {
            assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
        }
    }

    #[tokio::test]
    async fn a_public_upstream_never_leads_inside() {
        let guard = guard("registry.test", fake(&[("registry.test", &["1.1.1.1"])]));
        for url in [
            "http://127.0.0.1/x",
            "http://2130706433/x",
            "http://0x7f.1/x",
            "http://[::1]/x",
            "http://[::ffff:10.0.0.1]/x",
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1:8080/",
            "http://100.64.1.1/",
            "http://0.0.0.0/",
            "file:///etc/passwd",
            "gopher://1.1.1.1/",
            "http://user:pass@1.1.1.1/",
            "http://user@files.test/",
        ] {
            assert!(check(&guard, url).await.is_err(), "{url}");
        }
        check(&guard, "https://1.1.1.1:8443/x").await.unwrap();
        check(&guard, "http://files.test/x").await.unwrap();
    }

    #[tokio::test]
    async fn an_internal_upstream_opens_its_own_kind_of_address_only() {
        let local = guard("127.0.0.1", fake(&[]));
        check(&local, "http://127.0.0.1:1/x").await.unwrap();
        check(&local, "http://[::1]:1/x").await.unwrap();
        assert!(check(&local, "http://10.0.0.1/x").await.is_err());
        assert!(check(&local, "http://169.254.169.254/x").await.is_err());
        let named = guard("registry.corp", fake(&[("registry.corp", &["10.0.0.7"])]));
        check(&named, "http://192.168.0.1/x").await.unwrap();
        assert!(check(&named, "http://127.0.0.1/x").await.is_err());
    }

    #[tokio::test]
    async fn a_name_is_refused_when_any_of_its_addresses_is_internal() {
        let lookup = fake(&[
            ("registry.test", &["1.1.1.1"]),
            ("files.test", &["2.2.2.2", "3.3.3.3"]),
            ("evil.test", &["2.2.2.2", "169.254.169.254"]),
        ]);
        let guard = guard("registry.test", lookup);
        assert_eq!(guard.resolve("files.test".into()).await.unwrap().len(), 2);
        let error = guard.resolve("evil.test".into()).await.unwrap_err().to_string();
        assert!(error.contains("evil.test is 169.254.169.254, a link-local address"), "{error}");
    }

    #[tokio::test]
    async fn the_upstream_and_the_proxy_are_where_the_operator_put_them() {
        let lookup = fake(&[("registry.corp", &["10.0.0.7"]), ("proxy.corp", &["192.168.3.3"])]);
        let own = Host::parse("registry.corp").unwrap();
        let guard = AddressGuard::new(own, Some(String::from("proxy.corp")), None, lookup);
        assert_eq!(guard.resolve("registry.corp".into()).await.unwrap().len(), 1);
        assert_eq!(guard.resolve("proxy.corp".into()).await.unwrap().len(), 1);
    }

    #[test]
    fn messages_show_no_secrets_and_are_bounded() {
        let url = Url::parse("http://u:secret@h.test/p?token=x#y").unwrap();
        assert_eq!(shown(&url), "http://h.test/p");
        let url = Url::parse(&format!("http://h.test/{}", "a".repeat(9_000))).unwrap();
        assert!(shown(&url).len() < 210);
    }
}
