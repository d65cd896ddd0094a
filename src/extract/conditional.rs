//! Conditional requests: `If-None-Match` and `If-Range`.

use actix_web::http::header::{self, HeaderMap};

/// Whether the client holds the representation with this ETag already.
///
/// Compared weakly, as RFC 9110 section 13.1.2 wants for GET and HEAD: proxies that repack
/// bytes turn a strong ETag into a weak one.
#[must_use]
pub fn not_modified(headers: &HeaderMap, etag: &[u8]) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .any(|value| value.as_bytes() == etag || lists(value.as_bytes(), opaque(etag)))
}

/// Whether a `Range` may be honoured: no `If-Range`, or one that names this strong ETag.
///
/// A date never matches, because no `Last-Modified` is sent.
#[must_use]
pub fn range_applies(headers: &HeaderMap, etag: &[u8]) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == etag)
}

fn lists(value: &[u8], wanted: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|item| item == b"*" || opaque(item) == wanted)
}

/// The quoted part of an entity tag.
fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name.clone(), HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn an_etag_matches_strong_weak_and_in_a_list() {
        let etag = b"\"abc\"";
        for value in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "\"x\" ,W/\"abc\"", "*"] {
            assert!(not_modified(&headers(header::IF_NONE_MATCH, &[value]), etag), "{value}");
        }
        for value in ["\"abcd\"", "abc", "\"x\"", ""] {
            assert!(!not_modified(&headers(header::IF_NONE_MATCH, &[value]), etag), "{value}");
        }
        assert!(!not_modified(&HeaderMap::new(), etag));
        assert!(not_modified(&headers(header::IF_NONE_MATCH, &["\"x\"", "\"abc\""]), etag));
    }

    #[test]
    fn a_range_needs_the_exact_strong_etag() {
        let etag = b"\"abc\"";
        assert!(range_applies(&HeaderMap::new(), etag));
        assert!(range_applies(&headers(header::IF_RANGE, &["\"abc\""]), etag));
        assert!(!range_applies(&headers(header::IF_RANGE, &["W/\"abc\""]), etag));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert!(!range_applies(&headers(header::IF_RANGE, &[date]), etag));
    }
}
