//! The changes feed of an upstream: its head and its pages.
//!
//! Only what npm's feed still knows is sent: `since` and `limit`. Nothing is repeated here, the
//! follower has a state machine for failures. A feed may live on another host than the registry;
//! the token and the breaker are those of the registry's own origin, so neither is used there.

use bytes::Bytes;
use npm::change::{MAX_PAGE_ROWS, update_seq};
use npm::{ChangesPage, Seq};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use url::Url;

use super::body::Body;
use super::client::Client;
use super::decode::{self, Coding};
use super::lane::in_place;
use super::packument::{collect, inflate};
use super::{Kind, UpstreamError, Urgency};

/// Last part of a feed's path.
const CHANGES: &str = "_changes";

/// Chose the present service of npm's feed while the old one still ran; ignored since.
const OPT_IN: &str = "npm-replication-opt-in";

/// Where a feed is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedAddress {
    changes: Url,
    /// Where its head may be told, the likeliest first.
    heads: Vec<Url>,
}

impl FeedAddress {
    /// The feed at an address; `None` for an address that cannot have one.
    #[must_use]
    pub fn at(address: &Url) -> Option<Self> {
        let mut changes = address.clone();
        changes.set_query(None);
        changes.set_fragment(None);
        let mut parts: Vec<&str> =
            address.path_segments()?.filter(|part| !part.is_empty()).collect();
        if parts.last() == Some(&CHANGES) {
            parts.pop();
        }
        let folder =
            if parts.is_empty() { "/".to_owned() } else { format!("/{}/", parts.join("/")) };
        changes.set_path(&format!("{folder}{CHANGES}"));
        let mut beside = changes.clone();
        beside.set_path(&folder);
        let mut origin = changes.clone();
        origin.set_path("/");
        let heads = if beside == origin { vec![origin] } else { vec![beside, origin] };
        Some(Self { changes, heads })
    }

    /// The address of its pages.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.changes
    }
}

/// The feed's newest number; `None` when nobody tells.
pub(super) async fn head(
    client: &Client,
    feed: &FeedAddress,
) -> Result<Option<Seq>, UpstreamError> {
    let mut answer = Ok(None);
    for url in &feed.heads {
        answer = match get(client, url, Urgency::Feed).await {
            Ok(body) => Ok(update_seq(&body)),
            Err(UpstreamError::NotFound | UpstreamError::BadBody(_)) => Ok(None),
            Err(failure) => Err(failure),
        };
        if !matches!(answer, Ok(None)) {
            break;
        }
    }
    answer
}

/// The rows behind `since`.
pub(super) async fn page(
    client: &Client,
    feed: &FeedAddress,
    since: Seq,
    limit: u32,
) -> Result<ChangesPage, UpstreamError> {
    let mut url = feed.changes.clone();
    let limit = limit.clamp(1, MAX_PAGE_ROWS);
    url.set_query(Some(&format!("since={since}&limit={limit}")));
    let body = get(client, &url, Urgency::Feed).await?;
    in_place(body.len(), || ChangesPage::parse(&body))
        .map_err(|error| UpstreamError::BadBody(error.to_string()))
}

/// A JSON answer of the feed's host.
pub(super) async fn get(
    client: &Client,
    url: &Url,
    urgency: Urgency,
) -> Result<Bytes, UpstreamError> {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(OPT_IN, HeaderValue::from_static("true"));
    let response = client.get(Kind::Document, url, &headers, urgency).await?;
    let coding = Coding::of(response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes))?;
    let read = async {
        let mut body = Body::new(client, Kind::Document, response)?;
        let (raw, mut lane) = collect(client, &mut body).await?;
        let body = match coding {
            Coding::Gzip => inflate(client, &raw, &mut lane).await?,
            Coding::Identity => raw,
        };
        decode::check_is_json(&body).map(|()| body)
    };
    read.await.inspect_err(|failure| client.recent.failed(failure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_found_with_and_without_its_last_part() {
        for (given, changes, heads) in [
            ("http://feed.test", "/_changes", vec!["/"]),
            ("http://feed.test/_changes", "/_changes", vec!["/"]),
            ("http://feed.test/_changes?since=7", "/_changes", vec!["/"]),
            ("http://feed.test/registry/_changes", "/registry/_changes", vec!["/registry/", "/"]),
            ("http://feed.test/npm/", "/npm/_changes", vec!["/npm/", "/"]),
        ] {
            let feed = FeedAddress::at(&Url::parse(given).unwrap()).unwrap();
            assert_eq!(feed.url().path(), changes, "{given}");
            assert_eq!(feed.url().query(), None);
            let found: Vec<_> = feed.heads.iter().map(Url::path).collect();
            assert_eq!(found, heads, "{given}");
        }
        assert_eq!(FeedAddress::at(&Url::parse("data:text").unwrap()), None);
    }
}
