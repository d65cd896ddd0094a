//! Request ids: the client's own when it is harmless, else one of ours.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header of the reference implementation.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The header most proxies use.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request that writes, for its handler.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);

/// Longest id taken over from a client or proxy.
const LONGEST: usize = 64;

/// Makes ids that are unique over restarts: a random start, then counting.
#[derive(Debug)]
pub struct RequestIds {
    start: u32,
    next: AtomicU64,
}

impl RequestIds {
    /// With a fresh random start.
    #[must_use]
    pub fn new() -> Self {
        // Ids are for finding log lines, so without entropy a fixed start is good enough.
        Self { start: getrandom::u32().unwrap_or(0), next: AtomicU64::new(1) }
    }

    /// The id of a request: what the proxy before us gave it, so that both logs agree, or a
    /// new one.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(X_REQUEST_ID) {
            Some(given) if harmless(given.as_bytes()) => given.clone(),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        let mut text = [0_u8; 24];
        let mut rest = (u128::from(self.start) << 64) | u128::from(count);
        for place in text.iter_mut().rev() {
            let digit = u8::try_from(rest & 0xf).unwrap_or(0);
            *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            rest >>= 4;
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

fn harmless(given: &[u8]) -> bool {
    (1..=LONGEST).contains(&given.len())
        && given.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_one_length() {
        let ids = RequestIds::new();
        let (first, second) = (ids.of(&HeaderMap::new()), ids.of(&HeaderMap::new()));
        assert_ne!(first, second);
        assert_eq!((first.len(), second.len()), (24, 24));
    }

    #[test]
    fn a_harmless_given_id_is_kept_and_a_strange_one_is_not() {
        let ids = RequestIds::new();
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("proxy-7.a_b"));
        assert_eq!(ids.of(&headers), "proxy-7.a_b");
        for strange in ["", "a b", "<script>", "\"", &"x".repeat(65)] {
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(strange).unwrap());
            assert_ne!(ids.of(&headers), strange);
        }
    }
}
