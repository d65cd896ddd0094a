//! The limit on nesting.
//!
//! serde_json skips values without recursion, so depth costs us nothing; but what we accept
//! we serve, and a client that parses recursively would overflow its stack.

use memchr::memchr2_iter;

/// Levels of objects and arrays a value may hold. Real manifests stay below 20.
pub(crate) const MAX_DEPTH: usize = 500;

/// Whether a valid JSON value is nested deeper than [`MAX_DEPTH`].
///
/// A value with fewer opening brackets than that cannot be: counting them is many times
/// cheaper than telling brackets in strings from others, and settles nearly every value.
pub(crate) fn is_too_deep(value: &str) -> bool {
    memchr2_iter(b'[', b'{', value.as_bytes()).nth(MAX_DEPTH).is_some()
        && depth(value.as_bytes()) > MAX_DEPTH
}

fn depth(value: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in value {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                open += 1;
                deepest = deepest.max(open);
            }
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
