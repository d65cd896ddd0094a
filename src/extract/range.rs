//! Byte ranges of one representation (RFC 9110 section 14).

use actix_web::http::header::{self, HeaderMap};

/// What part of a representation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeAnswer {
    /// All of it, 200: no range, several, another unit or a malformed one.
    Whole,
    /// `length` bytes from `start`, 206.
    Part {
        /// First byte.
        start: u64,
        /// Bytes.
        length: u64,
    },
    /// None of it, 416.
    Unsatisfiable,
}

/// Reads `Range` for a representation of `total` bytes.
///
/// Several ranges get the whole, which the RFC allows and every client understands; so does
/// anything malformed.
#[must_use]
pub fn asked_range(headers: &HeaderMap, total: u64) -> RangeAnswer {
    let Some(value) = headers.get(header::RANGE) else { return RangeAnswer::Whole };
    value.to_str().ok().and_then(|text| parse(text, total)).unwrap_or(RangeAnswer::Whole)
}

fn parse(text: &str, total: u64) -> Option<RangeAnswer> {
    let (unit, spec) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    if first.is_empty() {
        return suffix(number(last)?, total);
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    if first >= total {
        return Some(RangeAnswer::Unsatisfiable);
    }
    let end = last.min(total.saturating_sub(1));
    Some(RangeAnswer::Part { start: first, length: end - first + 1 })
}

fn suffix(wanted: u64, total: u64) -> Option<RangeAnswer> {
    if wanted == 0 || total == 0 {
        return Some(RangeAnswer::Unsatisfiable);
    }
    let length = wanted.min(total);
    Some(RangeAnswer::Part { start: total - length, length })
}

/// Digits only: `parse` alone would take a sign. More digits than fit mean "to the end".
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn ask(value: &'static str, total: u64) -> RangeAnswer {
        let mut map = HeaderMap::new();
        map.insert(header::RANGE, HeaderValue::from_static(value));
        asked_range(&map, total)
    }

    fn part(start: u64, length: u64) -> RangeAnswer {
        RangeAnswer::Part { start, length }
    }

    #[test]
    fn single_ranges_are_cut_to_the_length() {
        assert_eq!(ask("bytes=0-0", 10), part(0, 1));
        assert_eq!(ask("bytes=2-5", 10), part(2, 4));
        assert_eq!(ask("bytes=2-", 10), part(2, 8));
        assert_eq!(ask("bytes=2-99999999999999999999999", 10), part(2, 8));
        assert_eq!(ask("bytes=-3", 10), part(7, 3));
        assert_eq!(ask("bytes=-30", 10), part(0, 10));
        assert_eq!(ask("Bytes=0-3", 10), part(0, 4));
    }

    #[test]
    fn what_lies_outside_is_416() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(ask(value, 10), RangeAnswer::Unsatisfiable, "{value}");
        }
        assert_eq!(ask("bytes=0-0", 0), RangeAnswer::Unsatisfiable);
        assert_eq!(ask("bytes=-1", 0), RangeAnswer::Unsatisfiable);
    }

    #[test]
    fn several_and_malformed_ranges_get_the_whole() {
        let values =
            ["bytes=0-1,3-4", "bytes=5-2", "bytes=", "bytes=-", "lines=1-2", "0-1", "bytes=+1-2"];
        for value in values {
            assert_eq!(ask(value, 10), RangeAnswer::Whole, "{value}");
        }
        assert_eq!(asked_range(&HeaderMap::new(), 10), RangeAnswer::Whole);
    }
}
