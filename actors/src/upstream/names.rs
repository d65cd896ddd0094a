//! The list of all names of an upstream, `_all_docs`, which lies beside its changes feed.

use npm::parse_name_list;
use url::Url;

use super::client::Client;
use super::lane::in_place;
use super::{UpstreamError, Urgency, changes};

/// The ceiling of a page of npm's list.
const PAGE_ROWS: u32 = 10_000;

/// Where the list of the feed at `changes` is; `None` for an address without a path.
#[must_use]
pub fn list_address(changes: &Url) -> Option<Url> {
    let mut list = changes.clone();
    list.set_query(None);
    list.path_segments_mut().ok()?.pop_if_empty().pop().push("_all_docs");
    Some(list)
}

/// The names behind `after` in the list's own order; none at its end.
///
/// Lists begin with the key they were asked for, which is left out here.
pub(super) async fn page(
    client: &Client,
    list: &Url,
    after: &str,
) -> Result<Vec<String>, UpstreamError> {
    let mut url = list.clone();
    url.query_pairs_mut().append_pair("limit", &PAGE_ROWS.to_string());
    if !after.is_empty() {
        let key = serde_json::to_string(after).unwrap_or_default();
        url.query_pairs_mut().append_pair("startkey", &key);
    }
    let body = changes::get(client, &url, Urgency::Sweep).await?;
    let mut names = in_place(body.len(), || parse_name_list(&body))
        .map_err(|error| UpstreamError::BadBody(error.to_string()))?;
    if !after.is_empty() && names.first().is_some_and(|first| first == after) {
        names.remove(0);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_lies_beside_the_feed() {
        for (feed, list) in [
            ("http://feed.test/_changes", "http://feed.test/_all_docs"),
            ("http://feed.test/registry/_changes", "http://feed.test/registry/_all_docs"),
            ("http://feed.test/a/_changes/?since=7", "http://feed.test/a/_all_docs"),
        ] {
            let found = list_address(&Url::parse(feed).unwrap()).unwrap();
            assert_eq!(found.as_str(), list);
        }
        assert_eq!(list_address(&Url::parse("data:text").unwrap()), None);
    }
}
