//! A page of an upstream's list of names: `_all_docs`, as CouchDB, npm's feed and this mirror
//! write it.

use std::borrow::Cow;

use serde::Deserialize;

/// A body that is no page of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no page of a list of names: {0}")]
pub struct NameListError(String);

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// The ids of a page, in its order; also those that are no package names (`_design/…`).
///
/// # Errors
/// [`NameListError`] when there is no `rows`, or a row without an `id` in it.
pub fn parse_name_list(body: &[u8]) -> Result<Vec<String>, NameListError> {
    let page: Page<'_> =
        serde_json::from_slice(body).map_err(|error| NameListError(error.to_string()))?;
    Ok(page.rows.into_iter().map(|row| row.id.into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_whatever_stands_beside_them() {
        let body = br#"{"total_rows":3,"offset":null,"x":{},"rows":[
            {"id":"_design/app","key":"_design/app","value":{"rev":"1-a"}},
            {"value":{"rev":"1-a","deleted":false},"id":"@s\/p"}, {"id":"caf\u00e9"}]}"#;
        assert_eq!(parse_name_list(body).unwrap(), ["_design/app", "@s/p", "café"]);
        assert_eq!(parse_name_list(br#"{"rows":[]}"#).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn anything_else_is_refused() {
        for body in
            ["", "{}", "[]", "<html>", r#"{"rows":[{"key":"a"}]}"#, r#"{"rows":[{"id":5}]}"#]
        {
            assert!(parse_name_list(body.as_bytes()).is_err(), "{body}");
        }
    }
}
