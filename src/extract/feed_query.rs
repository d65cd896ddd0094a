//! Queries of our own feed: `since` and `limit`, and how far into the list of names.
//!
//! The parameters are those that today's feed of npm answers; what it refuses (`feed`,
//! `include_docs`, `descending`, …) is refused here, because a follower that asks for a stream
//! must not take a page for one.

use url::form_urlencoded;

use crate::error::ApiError;

/// Rows of a page when nothing else is asked for, as the reference implementation has it.
const USUAL_ROWS: i64 = 1_000;
/// Most rows of a page, the ceiling of npm's feed.
const MOST_ROWS: i64 = 10_000;
/// Most names to pass over; farther in, `startkey` is for that.
const MOST_SKIPPED: i64 = 10_000;

/// The query of `GET /_changes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangesQuery {
    /// Only changes after this seq.
    pub since: i64,
    /// At most so many.
    pub limit: i64,
}

/// The query of `GET /_all_docs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesQuery {
    /// Only names from this one on.
    pub start: String,
    /// At most so many.
    pub limit: i64,
    /// After passing over so many.
    pub skip: i64,
}

impl ChangesQuery {
    /// Reads the query part of an address.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] for a value outside its range, [`ApiError::BadRequest`] for a
    /// parameter that there is not.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut read = Self { since: 0, limit: USUAL_ROWS };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "since" => read.since = whole("since", &value, 0, i64::MAX)?,
                "limit" => read.limit = whole("limit", &value, 1, MOST_ROWS)?,
                _ => return Err(unsupported(&key, "since and limit")),
            }
        }
        Ok(read)
    }
}

impl NamesQuery {
    /// Reads the query part of an address.
    ///
    /// # Errors
    /// As [`ChangesQuery::parse`].
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut read = Self { start: String::new(), limit: USUAL_ROWS, skip: 0 };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "startkey" | "start_key" => read.start = start(&key, &value)?,
                "limit" => read.limit = whole("limit", &value, 1, MOST_ROWS)?,
                "skip" => read.skip = whole("skip", &value, 0, MOST_SKIPPED)?,
                _ => return Err(unsupported(&key, "startkey, limit and skip")),
            }
        }
        Ok(read)
    }
}

/// A whole number between two bounds.
///
/// # Errors
/// [`ApiError::Invalid`] for anything else.
pub fn whole(key: &str, value: &str, least: i64, most: i64) -> Result<i64, ApiError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let range = match most {
        i64::MAX => format!("from {least} on"),
        _ => format!("from {least} to {most}"),
    };
    let refused = || ApiError::Invalid(format!("{key}: must be integer, {range}"));
    let number = if digits { value.parse().map_err(|_| refused())? } else { return Err(refused()) };
    if (least..=most).contains(&number) { Ok(number) } else { Err(refused()) }
}

/// The name as a JSON string, the form in which CouchDB's followers send it.
fn start(key: &str, value: &str) -> Result<String, ApiError> {
    let name: Result<String, _> = serde_json::from_str(value);
    match name {
        // no name has one, and no database takes it
        Ok(name) if !name.contains('\0') => Ok(name),
        _ => Err(ApiError::Invalid(format!("{key}: must be a JSON string, like \"lamp\""))),
    }
}

fn unsupported(key: &str, known: &str) -> ApiError {
    ApiError::BadRequest(format!("{key}: this feed has no such parameter; it has {known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followers_send_is_read() {
        let changes = ChangesQuery::parse;
        assert_eq!(changes("").unwrap(), ChangesQuery { since: 0, limit: 1_000 });
        assert_eq!(
            changes("since=118204551&limit=10000").unwrap(),
            ChangesQuery { since: 118_204_551, limit: 10_000 }
        );
        assert_eq!(changes("since=9223372036854775807").unwrap().since, i64::MAX);
        let names = NamesQuery::parse;
        assert_eq!(
            names("limit=2&startkey=%22%40garden%2Fui%22&skip=1").unwrap(),
            NamesQuery { start: "@garden/ui".into(), limit: 2, skip: 1 }
        );
        assert_eq!(names("start_key=%22a%5C%22b%22").unwrap().start, "a\"b");
    }

    #[test]
    fn bad_values_are_named_with_their_rule() {
        for query in ["since=", "since=-1", "since=now", "since=1.5", "since=9223372036854775808"] {
            let text = ChangesQuery::parse(query).unwrap_err().to_string();
            assert_eq!(text, "since: must be integer, from 0 on", "{query}");
        }
        for query in ["limit=0", "limit=10001", "limit=x", "limit=+5"] {
            let text = ChangesQuery::parse(query).unwrap_err().to_string();
            assert_eq!(text, "limit: must be integer, from 1 to 10000", "{query}");
        }
        for query in ["startkey=lamp", "startkey=5", "start_key=%22%5Cu0000%22"] {
            assert!(matches!(NamesQuery::parse(query), Err(ApiError::Invalid(_))), "{query}");
        }
        for query in ["feed=continuous", "include_docs=true", "descending=true", "heartbeat=1"] {
            assert!(matches!(ChangesQuery::parse(query), Err(ApiError::BadRequest(_))), "{query}");
            assert!(matches!(NamesQuery::parse(query), Err(ApiError::BadRequest(_))), "{query}");
        }
    }
}
