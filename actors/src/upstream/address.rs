//! Which network addresses a request may reach.
//!
//! The upstream's own host and the proxy are the operator's choice and always allowed. Any
//! other host (from a redirect or `dist.tarball`) must be public, or of the same kind as the
//! upstream's own address. Names are judged by what they resolve to at the moment of
//! connecting, in the resolver itself, so a name that changes its mind gains nothing. A proxy
//! connects by itself: what goes through one is judged here by what the name is here, too. Nobody's
//! choice makes a registry of the addresses where clouds give out credentials.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use url::{Host, Url};

use super::UpstreamError;
use super::resolver::{BoxError, Guard, Lookup};

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
            [192, 88, 99, _] | [198, 18..=19, ..] | [240..=255, ..] => Self::Reserved,
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
            [0x3fff, 0..=0xfff, ..] => Self::Reserved,
            [0x2000..=0x3fff, ..] => Self::Public,
            // nothing else is given out to anybody
            _ => Self::Reserved,
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

/// The IPv4 address a mapped, compatible, translated (NAT64), 6to4 or ISATAP address leads to.
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
        [.., 0 | 0x200, 0x5efe, high, low] => Some(from(high, low)),
        _ => None,
    }
}

/// Whether a cloud tells its machines their credentials there: never a registry, and whoever may
/// name one would read them.
pub(super) fn gives_credentials(address: IpAddr) -> bool {
    let v4 = match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => embedded_v4(address),
    };
    match (v4.map(|address| address.octets()), address) {
        (Some([169, 254, 169, 254] | [169, 254, 170, _]), _) => true,
        (Some([100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192]), _) => true,
        (None, IpAddr::V6(address)) => address.segments().starts_with(&[0xfd00, 0xec2]),
        _ => false,
    }
}

/// Why an address was refused; travels through the HTTP client's error chain.
#[derive(Debug, thiserror::Error)]
pub(super) enum Forbidden {
    /// It leads where the upstream is not.
    #[error("{host} is {address}, a {reach} address, and the upstream itself is not there")]
    Inside { host: String, address: IpAddr, reach: Reach },
    /// It leads where no registry is.
    #[error("{host} is {address}, where a cloud gives out credentials: a {reach} address")]
    Credentials { host: String, address: IpAddr, reach: Reach },
    /// It has a meaning inside only, and a proxy would look it up there.
    #[error("{host} is a name of inside, and the upstream itself has none of those")]
    Name { host: String },
}

/// The rule, with what the upstream's own host resolved to.
pub(super) struct AddressGuard {
    own: Host<String>,
    proxy: Option<String>,
    /// Host of a changes feed that the operator named.
    feed: Option<Host<String>>,
    /// Kinds of address the upstream itself has; 0 = not looked up yet.
    own_reach: AtomicU16,
    /// Until when names are not looked up before a proxy is asked for them: nobody answered.
    silent: Mutex<Option<Instant>>,
    lookup: Lookup,
}

/// Longest wait for an address that the proxy will look up again.
const LOOKUP_WITHIN: Duration = Duration::from_secs(2);

/// So long a resolver that did not answer is left alone.
const SILENT_FOR: Duration = Duration::from_secs(60);

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
        let (own_reach, silent) = (AtomicU16::new(own_reach), Mutex::default());
        Arc::new(Self { own, proxy, feed, own_reach, silent, lookup })
    }

    /// Refuses what is visible in the address itself: scheme, credentials, literal addresses.
    /// Names are judged when they are resolved, and those that a proxy resolves before.
    pub(super) async fn check(&self, url: &Url) -> Result<(), UpstreamError> {
        let refused = |why: &str| Err(UpstreamError::BadAddress(format!("{}: {why}", shown(url))));
        if !matches!(url.scheme(), "http" | "https") {
            return refused("only http and https are fetched");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("it holds a user name or password");
        }
        let judged = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => self.check_name(name).await,
            Some(Host::Ipv4(address)) => self.check_literal(address.into()).await,
            Some(Host::Ipv6(address)) => self.check_literal(address.into()).await,
            _ => return refused("it names no host"),
        };
        judged
            .map_err(|forbidden| UpstreamError::BadAddress(format!("{}: {forbidden}", shown(url))))
    }

    async fn check_literal(&self, address: IpAddr) -> Result<(), Forbidden> {
        let host = match address {
            IpAddr::V4(address) => Host::Ipv4(address),
            IpAddr::V6(address) => Host::Ipv6(address),
        };
        let text = address.to_string();
        if host == self.own || self.feed.as_ref() == Some(&host) {
            return never(&text, address);
        }
        self.allow(&text, address).await
    }

    /// Only the proxy resolves what it connects to. Its answer may be another one than ours, but
    /// what leads inside for us surely does.
    async fn check_name(&self, name: &str) -> Result<(), Forbidden> {
        if self.proxy.is_none() || self.is_upstream(name) {
            return Ok(());
        }
        let own_is_inner = matches!(&self.own, Host::Domain(own) if is_inner_name(own));
        let outside = !own_is_inner && matches!(self.own_reach().await, 0 | OUTSIDE);
        if outside && is_inner_name(name) {
            return Err(Forbidden::Name { host: name.to_owned() });
        }
        // many a network behind a proxy knows no name of outside
        for address in self.known_addresses(name).await {
            self.allow(name, address).await?;
        }
        Ok(())
    }

    async fn known_addresses(&self, name: &str) -> Vec<IpAddr> {
        if self.silent.lock().is_some_and(|until| Instant::now() < until) {
            return Vec::new();
        }
        match tokio::time::timeout(LOOKUP_WITHIN, (self.lookup)(name.to_owned())).await {
            Ok(answer) => answer.unwrap_or_default(),
            Err(_) => {
                *self.silent.lock() = Some(Instant::now() + SILENT_FOR);
                Vec::new()
            }
        }
    }

    async fn allow(&self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        never(host, address)?;
        let reach = Reach::of(address);
        if reach == Reach::Public || self.own_reach().await & reach as u16 != 0 {
            return Ok(());
        }
        Err(Forbidden::Inside { host: host.to_owned(), address, reach })
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

    /// The upstream itself and its feed, wherever the operator put them.
    fn is_upstream(&self, name: &str) -> bool {
        let is = |host: &Host<String>| matches!(host, Host::Domain(own) if own.eq_ignore_ascii_case(name));
        is(&self.own) || self.feed.as_ref().is_some_and(is)
    }

    /// The proxy is resolved for its own sake only: what it is asked for it resolves itself.
    fn is_chosen_by_operator(&self, name: &str) -> bool {
        let proxy = self.proxy.as_deref();
        self.is_upstream(name) || proxy.is_some_and(|proxy| proxy.eq_ignore_ascii_case(name))
    }
}

impl Guard for AddressGuard {
    async fn resolve(&self, name: String) -> Result<Vec<IpAddr>, BoxError> {
        let addresses = (self.lookup)(name.clone()).await?;
        for address in &addresses {
            never(&name, *address)?;
        }
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

/// The set of kinds of an upstream that is public and nothing else.
const OUTSIDE: u16 = Reach::Public as u16;

/// What nobody's choice allows.
fn never(host: &str, address: IpAddr) -> Result<(), Forbidden> {
    match gives_credentials(address) {
        true => {
            let (host, reach) = (host.to_owned(), Reach::of(address));
            Err(Forbidden::Credentials { host, address, reach })
        }
        false => Ok(()),
    }
}

/// Names that no public name server knows, but a proxy's may: those without a dot, and those below
/// the ends that are kept for networks of one's own.
fn is_inner_name(name: &str) -> bool {
    const INNER: [&str; 7] =
        ["localhost", "local", "localdomain", "internal", "intranet", "lan", "corp"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((rest, end)) => INNER.contains(&end) || (end == "arpa" && rest.ends_with("home")),
        None => true,
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

#[cfg(test)]
mod tests;
