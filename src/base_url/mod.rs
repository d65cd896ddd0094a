//! The address under which our documents name their tarballs.
//!
//! `public_url` when it is set; else the forwarded headers of a trusted proxy; else `Host`,
//! and when `server.hosts` is set only a host listed there. The address is part of the key
//! of every rendered document and of its ETag, so no host can poison another's documents.
//! At most [`KEPT_BASES`] addresses are kept in caches; a further one is rendered for its
//! reader alone. Nothing here survives a restart: ids are counted anew.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::http::{Uri, header};
use actors::clock::now_ms;
use arc_swap::ArcSwap;
use ipnet::IpNet;
use parking_lot::Mutex;
use url::Url;

use crate::app::ServeSettings;
use crate::error::ApiError;

#[cfg(test)]
mod tests;

/// How many base addresses have their documents kept.
pub const KEPT_BASES: usize = 8;

/// A kept address that nobody used for this long gives its place to a new one.
const UNUSED_AFTER_MS: i64 = 10 * 60 * 1000;

/// The longest host a name server can know, and a port.
const LONGEST_HOST: usize = 253 + 6;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// One address our documents are rendered for.
#[derive(Debug)]
pub struct Base {
    /// Key in caches; none for one that is not kept.
    pub id: Option<u32>,
    /// Without trailing slash; may hold a path prefix.
    pub url: String,
    used_at_ms: AtomicI64,
}

impl Base {
    fn new(id: Option<u32>, url: String, now_ms: i64) -> Arc<Self> {
        Arc::new(Self { id, url, used_at_ms: AtomicI64::new(now_ms) })
    }
}

/// Decides the base address of each request.
#[derive(Debug)]
pub struct BaseUrls {
    fixed: Option<Arc<Base>>,
    trusted: Vec<IpNet>,
    hosts: Vec<String>,
    secure: bool,
    listen: SocketAddr,
    kept: ArcSwap<Vec<Arc<Base>>>,
    keeping: Mutex<()>,
    next_id: AtomicU32,
}

/// What a request says about the address it was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin<'a> {
    scheme: &'static str,
    host: &'a str,
    prefix: &'a str,
}

impl BaseUrls {
    /// Reads the settings; `listen` is the address as bound, for requests without a host.
    #[must_use]
    pub fn new(settings: &ServeSettings, listen: SocketAddr) -> Self {
        let fixed = settings
            .public_url
            .as_ref()
            .map(|url| Base::new(Some(0), url.as_str().trim_end_matches('/').to_owned(), now_ms()));
        Self {
            fixed,
            trusted: settings.trusted_proxies.clone(),
            hosts: settings.hosts.clone(),
            secure: settings.tls.is_some(),
            listen,
            kept: ArcSwap::from_pointee(Vec::with_capacity(KEPT_BASES)),
            keeping: Mutex::new(()),
            next_id: AtomicU32::new(1),
        }
    }

    /// The address of documents that no request asked for: `public_url`, else where this server
    /// listens. Never one that is kept.
    #[must_use]
    pub fn own(&self) -> Arc<Base> {
        let url = match &self.fixed {
            Some(fixed) => fixed.url.clone(),
            None => {
                let mut listen = self.listen;
                if listen.ip().is_unspecified() {
                    listen.set_ip(Ipv4Addr::LOCALHOST.into());
                }
                format!("{}://{listen}", if self.secure { "https" } else { "http" })
            }
        };
        Base::new(None, url, now_ms())
    }

    /// The path prefix of `public_url`, which requests may or may not still carry.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        let url = &self.fixed.as_ref()?.url;
        let (_, rest) = url.split_once("://")?;
        rest.find('/').and_then(|slash| rest.get(slash..))
    }

    /// The base address for a request.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] for a malformed host, or one that is not served here.
    pub fn of(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Arc<Base>, ApiError> {
        if let Some(fixed) = &self.fixed {
            return Ok(Arc::clone(fixed));
        }
        match self.origin(uri, headers, peer)? {
            Some(origin) => self.keep(&origin, now_ms()),
            // HTTP/1.0 without a host: the address this server is bound to.
            None => {
                let host = self.listen.to_string();
                let scheme = if self.secure { "https" } else { "http" };
                self.keep(&Origin { scheme, host: &host, prefix: "" }, now_ms())
            }
        }
    }

    /// The address of the client: the first hop of `X-Forwarded-For`, counted from us, that
    /// is not a trusted proxy.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        if !self.is_trusted(peer) {
            return peer;
        }
        let hops = headers.get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok());
        let mut hops: Vec<&str> = hops.flat_map(|value| value.split(',')).collect();
        while let Some(hop) = hops.pop() {
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            if !self.is_trusted(Some(address)) {
                return Some(address);
            }
        }
        peer
    }

    fn is_trusted(&self, peer: Option<IpAddr>) -> bool {
        let Some(peer) = peer.map(|address| address.to_canonical()) else { return false };
        self.trusted.iter().any(|net| net.contains(&peer))
    }

    fn origin<'a>(
        &self,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        peer: Option<IpAddr>,
    ) -> Result<Option<Origin<'a>>, ApiError> {
        let own_scheme = if self.secure { "https" } else { "http" };
        let direct = uri.authority().map(|authority| authority.as_str());
        let mut origin = Origin {
            scheme: own_scheme,
            host: direct.or_else(|| last(headers, &header::HOST)).unwrap_or(""),
            prefix: "",
        };
        if self.is_trusted(peer) {
            origin = forwarded(headers, origin)?;
        }
        if origin.host.is_empty() {
            return Ok(None);
        }
        if !is_host(origin.host) {
            return Err(no_host());
        }
        if !self.hosts.is_empty() && !self.hosts.iter().any(|host| is_named(origin.host, host)) {
            let host = origin.host;
            return Err(ApiError::BadRequest(format!("host {host} is not in server.hosts")));
        }
        origin.host = without_default_port(origin.scheme, origin.host);
        Ok(Some(origin))
    }

    /// Finds the kept address for an origin, or keeps it when there is room.
    fn keep(&self, origin: &Origin<'_>, now_ms: i64) -> Result<Arc<Base>, ApiError> {
        if let Some(base) = self.kept.load().iter().find(|base| origin.is(&base.url)) {
            base.used_at_ms.store(now_ms, Ordering::Relaxed);
            return Ok(Arc::clone(base));
        }
        let url = origin.url();
        // plain characters make no name yet: `1.2.3.4.5` and `a.0` are neither that nor an address
        if Url::parse(&url).is_err() {
            return Err(no_host());
        }
        let _one_at_a_time = self.keeping.lock();
        let mut kept = self.kept.load_full().as_ref().clone();
        if let Some(base) = kept.iter().find(|base| origin.is(&base.url)) {
            return Ok(Arc::clone(base));
        }
        if kept.len() >= KEPT_BASES {
            let idle = |base: &Arc<Base>| base.used_at_ms.load(Ordering::Relaxed);
            match kept.iter().position(|base| idle(base) < now_ms - UNUSED_AFTER_MS) {
                Some(unused) => drop(kept.swap_remove(unused)),
                None => return Ok(Base::new(None, url, now_ms)),
            }
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let base = Base::new(Some(id), url, now_ms);
        kept.push(Arc::clone(&base));
        self.kept.store(Arc::new(kept));
        Ok(base)
    }
}

impl Origin<'_> {
    /// Whether `url` is what [`Origin::url`] would make, without making it.
    fn is(&self, url: &str) -> bool {
        let rest = url.strip_prefix(self.scheme).and_then(|rest| rest.strip_prefix("://"));
        rest.and_then(|rest| rest.split_at_checked(self.host.len()))
            .is_some_and(|(host, tail)| host.eq_ignore_ascii_case(self.host) && tail == self.prefix)
    }

    fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host.to_ascii_lowercase(), self.prefix)
    }
}

fn no_host() -> ApiError {
    ApiError::BadRequest("the Host header holds no host name".to_owned())
}

/// The origin as a trusted proxy saw it. The last value counts where there are several: it is
/// the one the proxy next to us wrote, the others may come from anybody.
fn forwarded<'a>(headers: &'a HeaderMap, direct: Origin<'a>) -> Result<Origin<'a>, ApiError> {
    let standard = last(headers, &header::FORWARDED).unwrap_or("");
    let host = parameter(standard, "host").or_else(|| last(headers, &FORWARDED_HOST));
    let proto = parameter(standard, "proto").or_else(|| last(headers, &FORWARDED_PROTO));
    let scheme = match proto {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
        _ => direct.scheme,
    };
    let prefix = last(headers, &FORWARDED_PREFIX).unwrap_or("").trim_end_matches('/');
    if !is_prefix(prefix) {
        return Err(ApiError::BadRequest("X-Forwarded-Prefix holds no path".to_owned()));
    }
    Ok(Origin { scheme, host: host.unwrap_or(direct.host), prefix })
}

/// The last element of a list header, over all its lines.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let line = headers.get_all(name).last()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// One parameter of an element of `Forwarded` (RFC 7239).
fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    Some(value.trim().trim_matches('"')).filter(|value| !value.is_empty())
}

/// Name or address with an optional port; nothing that could end up as anything else in a URL.
fn is_host(text: &str) -> bool {
    if text.len() > LONGEST_HOST {
        return false;
    }
    let (name, port) = split_port(text);
    let port_is_fine = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name_is_fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(plain),
    };
    port_is_fine && name_is_fine
}

fn is_prefix(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.is_empty()
        || (text.starts_with('/')
            && !text.contains("//")
            && text.bytes().all(plain)
            && !text.split('/').any(|segment| segment == ".." || segment == "."))
}

/// Whether a host is the one of the setting, which may leave the port open.
fn is_named(host: &str, setting: &str) -> bool {
    host.eq_ignore_ascii_case(setting) || split_port(host).0.eq_ignore_ascii_case(setting)
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn without_default_port<'a>(scheme: &str, host: &'a str) -> &'a str {
    let default = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(default).unwrap_or(host)
}
