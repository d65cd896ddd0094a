//! The query of a search: `text`, `from` and `size`.

use url::form_urlencoded;

use super::feed_query::whole;
use crate::error::ApiError;
use crate::search::question::Question;

/// Hits of a page when nothing else is asked for.
const USUAL_HITS: i64 = 20;
/// Most hits of a page, npm's own limit.
const MOST_HITS: i64 = 250;
/// Farther in nobody looks; every hit before costs as much as one that is shown.
const FARTHEST: i64 = 10_000;

/// What is searched, and which part of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// The question.
    pub question: Question,
    /// Hits passed over.
    pub from: usize,
    /// Hits wanted at most.
    pub size: usize,
}

impl SearchQuery {
    /// Reads the query part of an address. npm's weights (`quality`, `popularity`, `maintenance`)
    /// and what else there is count nothing, as in the reference implementation.
    ///
    /// # Errors
    /// 422 for a number outside its range, and for a text as [`Question::parse`] says.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let (mut text, mut from, mut size) = (String::new(), 0, USUAL_HITS);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "text" => text = value.into_owned(),
                "from" => from = whole("from", &value, 0, FARTHEST)?,
                "size" => size = whole("size", &value, 0, MOST_HITS)?,
                _ => {}
            }
        }
        let number = |number: i64| usize::try_from(number).unwrap_or(0);
        let question = Question::parse(&text)?;
        Ok(Self { question, from: number(from), size: number(size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_package_managers_send_is_read() {
        let sent = "text=red%20lamp&size=5&from=10&quality=0.65&popularity=0.98&maintenance=0.5";
        let query = SearchQuery::parse(sent).unwrap();
        assert_eq!((query.from, query.size), (10, 5));
        assert_eq!(query.question.words, ["red", "lamp"]);
        let usual = SearchQuery::parse("").unwrap();
        assert_eq!((usual.from, usual.size), (0, 20));
        assert!(usual.question.is_everything());
    }

    #[test]
    fn pages_have_bounds() {
        for (query, text) in [
            ("size=251", "size: must be integer, from 0 to 250"),
            ("size=-1", "size: must be integer, from 0 to 250"),
            ("size=", "size: must be integer, from 0 to 250"),
            ("from=10001", "from: must be integer, from 0 to 10000"),
            ("from=x", "from: must be integer, from 0 to 10000"),
        ] {
            assert_eq!(SearchQuery::parse(query).unwrap_err().to_string(), text, "{query}");
        }
    }
}
