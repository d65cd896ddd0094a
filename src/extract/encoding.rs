//! Which of our two encodings a client takes.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// How the bytes of a document are packed. Package managers ask for gzip; programs that
/// ask for nothing get the bytes as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// gzip, made once and kept.
    Gzip,
}

impl Encoding {
    /// The better one of those that `Accept-Encoding` allows; identity when it allows none.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let accepted = headers
            .get(header::ACCEPT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .is_some_and(accepts_gzip);
        if accepted { Self::Gzip } else { Self::Identity }
    }

    /// The word in the store and in ETags.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
        }
    }

    /// Value of `Content-Encoding`.
    #[must_use]
    pub fn header(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
        }
    }
}

/// Whether gzip has a weight above 0; named gzip beats `*`.
fn accepts_gzip(value: &str) -> bool {
    let mut any = false;
    for item in value.split(',') {
        let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
        let coding = coding.trim();
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return !refused(parameters);
        }
        if coding == "*" {
            any = !refused(parameters);
        }
    }
    any
}

/// Whether the parameters hold a weight of zero.
fn refused(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, weight)| {
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>() == Ok(0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_from_what_real_clients_send() {
        for value in ["gzip,deflate", "gzip, deflate, br", "br;q=1.0, GZIP;q=0.8", "*", "x-gzip"] {
            assert!(accepts_gzip(value), "{value}");
        }
    }

    #[test]
    fn gzip_is_not_forced_on_anybody() {
        for value in ["", "identity", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzipped"] {
            assert!(!accepts_gzip(value), "{value}");
        }
        assert_eq!(Encoding::from_headers(&HeaderMap::new()), Encoding::Identity);
    }
}
