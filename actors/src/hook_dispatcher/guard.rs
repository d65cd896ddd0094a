//! Where endpoints may lead: whoever may make a hook must not reach into the network of the mirror
//! with it.
//!
//! An address must be public or in `hooks.allow_private`. Names are judged by what they resolve to
//! at the moment of connecting, in the resolver itself, so a name that changes its mind gains
//! nothing; redirects are not followed at all.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use crate::upstream::address::Reach;
use crate::upstream::resolver::{BoxError, Guard, Lookup};

/// Why an endpoint is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedEndpoint {
    /// It is no address that something can be sent to.
    #[error("{0}")]
    Malformed(&'static str),
    /// It leads inside.
    #[error("{host} is a {reach} address, and hooks.allow_private does not list it")]
    Inside {
        /// The host as the endpoint has it, and what it resolved to where that is something else.
        host: String,
        /// What kind of address that is.
        reach: String,
    },
}

/// The rule.
pub struct HookGuard {
    allowed: Vec<IpNet>,
    lookup: Lookup,
}

impl HookGuard {
    pub(crate) fn new(allowed: Vec<IpNet>, lookup: Lookup) -> Self {
        Self { allowed, lookup }
    }

    /// Refuses what is visible in the address itself: scheme, credentials, literal addresses.
    ///
    /// # Errors
    /// [`RefusedEndpoint`] says why.
    pub fn check(&self, endpoint: &Url) -> Result<(), RefusedEndpoint> {
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(RefusedEndpoint::Malformed("only http and https addresses are called"));
        }
        if !endpoint.username().is_empty() || endpoint.password().is_some() {
            return Err(RefusedEndpoint::Malformed("it holds a user name or password"));
        }
        let literal = match endpoint.host() {
            Some(Host::Domain(name)) if !name.is_empty() => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Err(RefusedEndpoint::Malformed("it names no host")),
        };
        self.allow(None, literal)
    }

    fn allow(&self, name: Option<&str>, address: IpAddr) -> Result<(), RefusedEndpoint> {
        let reach = Reach::of(address);
        let canonical = address.to_canonical();
        let listed = |range: &IpNet| range.contains(&address) || range.contains(&canonical);
        if reach == Reach::Public || self.allowed.iter().any(listed) {
            return Ok(());
        }
        let host = match name {
            Some(name) => format!("{name} is {address}, which"),
            None => address.to_string(),
        };
        Err(RefusedEndpoint::Inside { host, reach: reach.to_string() })
    }
}

impl Guard for HookGuard {
    async fn resolve(&self, name: String) -> Result<Vec<IpAddr>, BoxError> {
        let addresses = (self.lookup)(name.clone()).await?;
        for address in &addresses {
            self.allow(Some(&name), *address)?;
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn guard(allowed: &[&str]) -> HookGuard {
        let table = [
            ("outside.test", vec!["1.1.1.1"]),
            ("inside.test", vec!["10.0.0.7"]),
            ("mixed.test", vec!["1.1.1.1", "169.254.169.254"]),
        ];
        let lookup: Lookup = Arc::new(move |name| {
            let found = table.iter().find(|(known, _)| *known == name);
            let found = found
                .map(|(_, list)| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
            Box::pin(async move { found.ok_or_else(|| std::io::Error::other("no such name")) })
        });
        HookGuard::new(allowed.iter().map(|range| range.parse().unwrap()).collect(), lookup)
    }

    #[test]
    fn addresses_that_lead_inside_are_refused_however_they_are_written() {
        let guard = guard(&[]);
        for url in [
            "http://127.0.0.1/x",
            "http://2130706433/x",
            "http://0x7f.1/x",
            "http://[::1]/x",
            "http://[::ffff:10.0.0.1]/x",
            "http://[64:ff9b::7f00:1]/x",
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1:8080/",
            "http://0.0.0.0/",
            "file:///etc/passwd",
            "gopher://1.1.1.1/",
            "http://user:pass@1.1.1.1/",
            "http://user@outside.test/",
        ] {
            assert!(guard.check(&Url::parse(url).unwrap()).is_err(), "{url}");
        }
        for url in ["https://1.1.1.1:8443/x", "http://inside.test/"] {
            guard.check(&Url::parse(url).unwrap()).unwrap();
        }
    }

    #[tokio::test]
    async fn names_are_judged_by_all_they_resolve_to() {
        let guard = guard(&["192.168.0.0/16"]);
        assert_eq!(guard.resolve("outside.test".into()).await.unwrap().len(), 1);
        let error = guard.resolve("inside.test".into()).await.unwrap_err().to_string();
        let expected = "inside.test is 10.0.0.7, which is a private address, and hooks.allow_private does not list it";
        assert_eq!(error, expected);
        assert!(guard.resolve("mixed.test".into()).await.is_err());
    }

    #[tokio::test]
    async fn ranges_that_are_listed_are_reached() {
        let guard = guard(&["10.0.0.0/8", "127.0.0.1/32"]);
        assert_eq!(guard.resolve("inside.test".into()).await.unwrap().len(), 1);
        guard.check(&Url::parse("http://[::ffff:127.0.0.1]/").unwrap()).unwrap();
        assert!(guard.check(&Url::parse("http://127.0.0.2/").unwrap()).is_err());
    }
}
