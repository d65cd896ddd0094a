//! Whether the rest of a tarball that broke off may be put behind what is here already.
//!
//! A range is asked for with `If-Range` (RFC 9110, 13.1.5), so that an upstream whose bytes
//! changed answers with all of them instead of a part that fits nothing.

use std::time::Duration;

use reqwest::header::{
    CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};

/// Names one state of the bytes: a strong `ETag`, or a `Last-Modified` that is as good as one.
#[derive(Clone)]
pub(super) struct Validator {
    header: HeaderName,
    value: HeaderValue,
}

/// What a continued body starts with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// 206: the next byte, of so many in all.
    Part { total: Option<u64> },
    /// 200, the range was ignored: the first byte again.
    Whole,
}

impl Validator {
    /// The validator of an answer; without one a body cannot be continued.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some(etag) = headers.get(ETAG).filter(|value| is_strong(value)) {
            return Some(Self { header: ETAG, value: etag.clone() });
        }
        let modified = headers.get(LAST_MODIFIED).filter(|value| is_old(value, headers))?;
        Some(Self { header: LAST_MODIFIED, value: modified.clone() })
    }

    /// Asks for everything from byte `at` on.
    pub(super) fn ask(&self, at: u64, headers: &mut HeaderMap) {
        if let Ok(range) = HeaderValue::try_from(format!("bytes={at}-")) {
            headers.insert(RANGE, range);
            headers.insert(IF_RANGE, self.value.clone());
        }
    }

    /// What the answer (200 or 206) to that question begins with; the text says why it fits
    /// nothing. `announced` is the length of the whole as the first answer gave it.
    pub(super) fn judge(
        &self,
        at: u64,
        announced: Option<u64>,
        status: u16,
        headers: &HeaderMap,
        length: Option<u64>,
    ) -> Result<Rest, String> {
        if let Some(now) = headers.get(&self.header).filter(|now| *now != self.value) {
            return Err(format!("{} changed from {:?} to {now:?}", self.header, self.value));
        }
        let (rest, total) = if status == 206 {
            let total = total_of_part(at, headers)?;
            (Rest::Part { total }, total)
        } else {
            (Rest::Whole, length)
        };
        match (announced, total) {
            (Some(before), Some(now)) if before != now => {
                Err(format!("the whole had {before} bytes and has {now} now"))
            }
            _ => Ok(rest),
        }
    }
}

/// A weak one says "means the same", not "is the same".
fn is_strong(etag: &HeaderValue) -> bool {
    let etag = etag.as_bytes();
    etag.len() > 2 && etag.starts_with(b"\"") && etag.ends_with(b"\"")
}

/// A date is a strong validator when the bytes had a second to change again (RFC 9110, 8.8.2.2).
fn is_old(modified: &HeaderValue, headers: &HeaderMap) -> bool {
    let read = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
    let (Some(modified), Some(sent)) = (read(modified), headers.get(DATE).and_then(read)) else {
        return false;
    };
    sent.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1))
}

/// Reads `Content-Range: bytes AT-LAST/TOTAL`; TOTAL may be `*`.
fn total_of_part(at: u64, headers: &HeaderMap) -> Result<Option<u64>, String> {
    let range = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let wrong = || format!("asked for bytes {at}-, got Content-Range {range:?}");
    let (first, after) =
        range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')).ok_or_else(wrong)?;
    let (last, total) = after.split_once('/').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
    let (first, last) = (number(first)?, number(last)?);
    let total = if total.trim() == "*" { None } else { Some(number(total)?) };
    if first != at || last < at || total.is_some_and(|total| last >= total) {
        return Err(wrong());
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs.map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_a_strong_validator_lets_a_body_be_continued() {
        const DAY: &str = "Sun, 22 Nov 2026 10:00:00 GMT";
        const SECOND_LATER: &str = "Sun, 22 Nov 2026 10:00:01 GMT";
        for (pairs, expected) in [
            (vec![(ETAG, "\"a\"")], Some("\"a\"")),
            (vec![(ETAG, "W/\"a\"")], None),
            (vec![(ETAG, "a")], None),
            (vec![(ETAG, "\"\"")], None),
            (vec![(LAST_MODIFIED, DAY), (DATE, SECOND_LATER)], Some(DAY)),
            (vec![(LAST_MODIFIED, DAY), (DATE, DAY)], None),
            (vec![(LAST_MODIFIED, DAY)], None),
            (vec![(LAST_MODIFIED, "yesterday"), (DATE, DAY)], None),
            (vec![(ETAG, "W/\"a\""), (LAST_MODIFIED, DAY), (DATE, SECOND_LATER)], Some(DAY)),
            (vec![], None),
        ] {
            let validator = Validator::of(&headers(&pairs));
            let value = validator.map(|validator| validator.value.to_str().unwrap().to_owned());
            assert_eq!(value.as_deref(), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_part_is_taken_only_when_it_begins_where_we_stopped() {
        let validator = Validator::of(&headers(&[(ETAG, "\"a\"")])).unwrap();
        for (range, good) in [
            ("bytes 10-99/100", true),
            ("bytes 10-49/100", true), // less than asked for: the rest is asked for next
            ("bytes 10-99/*", true),
            ("bytes 9-99/100", false),
            ("bytes 0-99/100", false),
            ("bytes 10-99/99", false),
            ("bytes 10-9/100", false),
            ("bytes 10-98/99", false), // another length than announced
            ("bytes */100", false),
            ("bytes 10-/100", false),
            ("lines 10-99/100", false),
            ("10-99/100", false),
            ("", false),
        ] {
            let part = headers(&[(CONTENT_RANGE, range)]);
            let judged = validator.judge(10, Some(100), 206, &part, Some(90));
            assert_eq!(judged.is_ok(), good, "{range}: {judged:?}");
        }
        assert!(validator.judge(10, Some(100), 206, &headers(&[]), Some(90)).is_err());
    }

    #[test]
    fn bytes_that_changed_are_never_put_together() {
        let validator = Validator::of(&headers(&[(ETAG, "\"a\"")])).unwrap();
        let range = (CONTENT_RANGE, "bytes 10-99/100");
        let other = headers(&[(ETAG, "\"b\""), range.clone()]);
        let same = headers(&[(ETAG, "\"a\""), range]);
        assert!(validator.judge(10, Some(100), 206, &other, Some(90)).is_err());
        assert!(validator.judge(10, Some(100), 200, &other, Some(100)).is_err());
        let rest = validator.judge(10, Some(100), 206, &same, Some(90));
        assert_eq!(rest, Ok(Rest::Part { total: Some(100) }));
        assert_eq!(validator.judge(10, Some(100), 200, &same, Some(100)), Ok(Rest::Whole));
        assert_eq!(validator.judge(10, Some(100), 200, &headers(&[]), None), Ok(Rest::Whole));
        assert!(validator.judge(10, Some(100), 200, &same, Some(101)).is_err());
    }
}
