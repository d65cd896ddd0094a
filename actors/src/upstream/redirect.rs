//! Redirects, followed by hand so that every hop is judged.

use reqwest::header::LOCATION;
use reqwest::{Response, StatusCode};
use url::Url;

use super::UpstreamError;
use super::address::shown;

/// Hops followed before giving up; registries use one.
pub(super) const MAX_HOPS: usize = 5;

/// Where a response sends us, `None` when it is an answer.
pub(super) fn target(asked: &Url, response: &Response) -> Result<Option<Url>, UpstreamError> {
    if !is_redirect(response.status()) {
        return Ok(None);
    }
    let refused = |why: String| UpstreamError::BadRedirect(format!("{}: {why}", shown(asked)));
    let location = response.headers().get(LOCATION);
    let location = location
        .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
        .ok_or_else(|| refused(format!("{} without a readable Location", response.status())))?;
    let mut next = asked
        .join(location)
        .map_err(|error| refused(format!("Location cannot be read: {error}")))?;
    next.set_fragment(None);
    match (asked.scheme(), next.scheme()) {
        (from, to) if from == to => {}
        ("http", "https") => {}
        (from, to) => return Err(refused(format!("it leads from {from} to {to}"))),
    }
    Ok(Some(next))
}

/// 304 is an answer; 300 and 305 name nothing that can be followed blindly.
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The error of the hop after the last one allowed.
pub(super) fn too_many(first: &Url) -> UpstreamError {
    UpstreamError::BadRedirect(format!("{}: more than {MAX_HOPS} redirects", shown(first)))
}

/// A `dist.tarball` address as it is really asked.
///
/// Registries behind a TLS proxy write `http:` into their documents; on the upstream's own
/// host it is asked by https, as npm does. Elsewhere a step down from https is refused.
pub(super) fn tarball_address(url: &Url, own: &Url) -> Result<Url, UpstreamError> {
    let mut url = url.clone();
    url.set_fragment(None);
    if own.scheme() == "https" && url.scheme() == "http" {
        let is_own = url.host() == own.host() && url.port().is_none();
        let (scheme, port) = (own.scheme(), own.port());
        if !is_own || url.set_scheme(scheme).is_err() || url.set_port(port).is_err() {
            let why = "it is http, the upstream is https";
            return Err(UpstreamError::BadAddress(format!("{}: {why}", shown(&url))));
        }
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str, own: &str) -> Result<String, UpstreamError> {
        let (url, own) = (Url::parse(url).unwrap(), Url::parse(own).unwrap());
        tarball_address(&url, &own).map(String::from)
    }

    #[test]
    fn a_tarball_on_the_own_host_is_lifted_to_https() {
        let own = "https://registry.test/npm/";
        assert_eq!(
            address("http://registry.test/a.tgz#x", own).unwrap(),
            "https://registry.test/a.tgz"
        );
        assert!(address("http://elsewhere.test/a.tgz", own).is_err());
        assert!(address("http://registry.test:8080/a.tgz", own).is_err());
        assert_eq!(address("https://e.test/a.tgz", own).unwrap(), "https://e.test/a.tgz");
        let own = "http://registry.test/";
        assert_eq!(address("http://e.test/a.tgz", own).unwrap(), "http://e.test/a.tgz");
    }
}
