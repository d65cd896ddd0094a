//! JSON strings from and to text.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Visitor};

/// The text of a raw JSON string, quotes included; borrowed when it holds no escape.
///
/// A lone surrogate, which is valid JSON but no text, becomes U+FFFD.
pub(super) fn decode(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let bytes = serde_json::from_str(quoted).map_or_else(|_| Vec::new(), |Bytes(bytes)| bytes);
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of a raw string value; `None` for any other value.
pub(crate) fn string(value: &str) -> Option<Cow<'_, str>> {
    value.starts_with('"').then(|| decode(value))
}

/// Writes a text as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        // a text always serialises, and a Vec always takes it
        let _ = serde_json::to_writer(&mut *out, text);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A string read as bytes, the one way in which serde_json lets lone surrogates pass.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}
