//! Paths, headers, digests, versions and addresses: short texts of clients and upstreams.

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::http::Uri;
use actix_web::http::header::{
    ACCEPT_ENCODING, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use espejo::accounts::{names, ranges};
use espejo::app::ServeSettings;
use espejo::base_url::BaseUrls;
use espejo::config::value;
use espejo::discovery::is_own_address;
use espejo::extract::conditional::{not_modified, range_applies};
use espejo::extract::encoding::Encoding;
use espejo::extract::feed_query::{ChangesQuery, NamesQuery};
use espejo::extract::range::{RangeAnswer, asked_range};
use npm::{ExpectedDigest, Integrity, PackageName, PackagePath, PackumentForm};
use url::Url;

use super::lines;

/// A path of a request is one thing, and its name comes back from every form it is written in.
pub fn paths(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(name) = PackageName::parse(text) {
        same_name(&name);
    }
    let _ = npm::validate_dist_tag(text);
    let Ok(path) = PackagePath::parse(text) else { return };
    match path {
        PackagePath::Packument(name) | PackagePath::SyncLog { name, .. } => same_name(&name),
        PackagePath::Manifest { name, spec } => {
            same_name(&name);
            let _ = npm::resolve_spec(&spec, &[("latest", "1.0.0")], ["1.0.0"].into_iter());
        }
        PackagePath::Tarball { name, file } => {
            same_name(&name);
            assert!(!file.contains(['/', '\\', '\0']) && file != "." && file != "..", "{file:?}");
            if let Some(version) = npm::version_of_tarball_file(&name, &file) {
                assert_eq!(npm::canonical_tarball_file(&name, version), file);
            }
        }
        PackagePath::Other => {}
    }
}

fn same_name(name: &PackageName) {
    assert_eq!(PackageName::parse(name.as_str()).as_ref(), Ok(name));
    for path in [name.url_path(), name.path_in_documents()] {
        assert!(path.is_ascii() && !path.contains(['\\', ' ', '?', '#']), "{path:?}");
        let traverses = path.split('/').any(|part| part == "." || part == "..");
        assert!(!traverses, "{path:?}");
        // `-` has its own meaning at the start of a path
        if name.as_str() != "-" {
            assert_eq!(PackagePath::parse(&path), Ok(PackagePath::Packument(name.clone())));
        }
        let url = Url::parse(&format!("http://registry.test/{path}")).expect("an address");
        assert_eq!(url.path(), format!("/{path}"));
    }
}

/// Headers of readers: `range`, `if-range`, `if-none-match`, `accept-encoding`, `accept`, `host`,
/// `forwarded`, `x-forwarded-host`, `x-forwarded-proto`, `x-forwarded-prefix`, `x-forwarded-for`,
/// a line each; the last line is the target.
pub fn headers(data: &[u8]) {
    let names = [
        RANGE,
        IF_RANGE,
        IF_NONE_MATCH,
        ACCEPT_ENCODING,
        HeaderName::from_static("accept"),
        HOST,
        FORWARDED,
        HeaderName::from_static("x-forwarded-host"),
        HeaderName::from_static("x-forwarded-proto"),
        HeaderName::from_static("x-forwarded-prefix"),
        HeaderName::from_static("x-forwarded-for"),
    ];
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut map = HeaderMap::new();
    for name in names {
        let value = lines.next().filter(|value| !value.is_empty());
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
            map.append(name, value);
        }
    }
    let target = lines.next().and_then(|target| Uri::try_from(target).ok()).unwrap_or_default();
    for total in [0, 1, 10, 1 << 20, u64::MAX] {
        if let RangeAnswer::Part { start, length } = asked_range(&map, total) {
            assert!(length > 0 && start < total && length <= total - start, "{total}");
        }
    }
    let etag = b"\"sha512-abc\"";
    let _ = (not_modified(&map, etag), range_applies(&map, etag), Encoding::from_headers(&map));
    let accept = map.get("accept").and_then(|value| value.to_str().ok());
    let _ = PackumentForm::from_accept(accept);
    base(&map, &target);
}

/// Whatever a client or proxy says of our address, documents get one that is an address.
fn base(headers: &HeaderMap, target: &Uri) {
    let proxy = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let listen = SocketAddr::new(proxy, 4873);
    let settings =
        ServeSettings { trusted_proxies: vec![proxy.into()], ..ServeSettings::default() };
    let bases = BaseUrls::new(&settings, listen);
    for peer in [Some(proxy), Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))), None] {
        let _ = bases.client(headers, peer);
        let Ok(base) = bases.of(target, headers, peer) else { continue };
        let url = Url::parse(&base.url);
        let url = url.unwrap_or_else(|error| panic!("{error}: {:?}", base.url));
        assert!(matches!(url.scheme(), "http" | "https"), "{:?}", base.url);
        assert!(url.username().is_empty() && url.password().is_none(), "{:?}", base.url);
        assert!(url.query().is_none() && url.fragment().is_none(), "{:?}", base.url);
        let plain =
            base.url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\<>".contains(&byte));
        assert!(plain, "{:?}", base.url);
    }
}

/// A digest that is understood is written and read again as the same one.
pub fn integrity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = text.parse::<Integrity>() {
        let written = read.to_string();
        assert_eq!(written.parse::<Integrity>().as_ref(), Ok(&read), "{text:?}");
        let (algorithm, digests) = read.strongest();
        assert!(!digests.is_empty());
        assert!(digests.iter().all(|digest| digest.len() == algorithm.digest_len()));
    }
    let (integrity, shasum) = text.split_once('\n').unwrap_or((text, text));
    for given in [(Some(integrity), Some(shasum)), (Some(text), None), (None, Some(text))] {
        if let Ok(Some(expected)) = ExpectedDigest::from_dist(given.0, given.1) {
            assert_eq!(ExpectedDigest::from_text(&expected.text()), Ok(expected.clone()));
            assert!(!expected.contradicts(&expected), "{text:?}");
            let mut verifier = expected.verifier();
            verifier.update(b"these bytes have none of these digests");
            let _ = verifier.finish();
        }
    }
}

/// Versions have one order, and what a spec finds is one of those that were given.
pub fn versions(data: &[u8]) {
    let lines = lines(data);
    let Some((spec, rest)) = lines.split_first() else { return };
    // three of them are compared at a time
    let held = &rest[..rest.len().min(6)];
    for a in held {
        assert_eq!(npm::compare_versions(a, a), Ordering::Equal);
        for b in held {
            let order = npm::compare_versions(a, b);
            assert_eq!(order, npm::compare_versions(b, a).reverse(), "{a:?} {b:?}");
            for c in held {
                let transitive = order == Ordering::Greater
                    || npm::compare_versions(b, c) == Ordering::Greater
                    || npm::compare_versions(a, c) != Ordering::Greater;
                assert!(transitive, "{a:?} {b:?} {c:?}");
            }
        }
    }
    let tags = [("latest", held.first().copied().unwrap_or_default()), ("next", "9.9.9")];
    if let Ok(Some(found)) = npm::resolve_spec(spec, &tags, held.iter().copied()) {
        assert!(held.contains(&found), "{spec:?} found {found:?}");
    }
    if let Ok(all) = npm::resolve_all(spec, &tags, held.iter().copied()) {
        assert!(all.iter().all(|found| held.contains(found)), "{spec:?}");
    }
}

/// Addresses of registries, ranges of tokens, queries of the feed, names of accounts.
pub fn addresses(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let listen = SocketAddr::from(([127, 0, 0, 1], 4873));
    if let Ok(url) = value::parse_address(text) {
        assert!(matches!(url.scheme(), "http" | "https"), "{url}");
        assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
        let _ = is_own_address(&url, listen, None);
    }
    if let Some(range) = ranges::parse_range(text) {
        assert!(ranges::holds(&[range], Some(range.addr())), "{text:?}");
    }
    if let Ok(query) = ChangesQuery::parse(text) {
        assert!(query.since >= 0 && query.limit > 0);
    }
    if let Ok(query) = NamesQuery::parse(text) {
        assert!(query.limit > 0 && !query.start.contains('\0'));
    }
    let _ = value::parse_feed(text);
    let _ = names::check_name(text);
    let _ = names::is_email(text);
    let _ = names::check_password(text);
}
