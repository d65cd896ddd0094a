//! Nothing is missed: names that the feed never told, takedowns behind an unchanged validator, and
//! what is missing all the same is said.

mod kills;
mod names;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actors::audit::AuditStatus;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;

use crate::harness::{Builder, FakeFeed, FakeUpstream, TestMirror, until};
use actors::upstream::FeedChoice;
use store::feeds::Takes;

/// Path of the list of names.
const LIST: &str = "/_all_docs";

/// The list of names of a fake upstream, as npm's: byte order, the first key included.
#[derive(Clone, Default)]
struct FakeNames(Arc<Mutex<BTreeSet<String>>>);

impl FakeNames {
    /// Opens a list whose pages have at most so many rows.
    fn open(upstream: &FakeUpstream, page_rows: usize) -> Self {
        let names = Self::default();
        let listed = names.clone();
        upstream.respond(LIST, move |query| listed.page(query, page_rows));
        names
    }

    fn add(&self, names: &[&str]) {
        self.0.lock().extend(names.iter().map(|&name| name.to_owned()));
    }

    fn page(&self, query: &str, page_rows: usize) -> (u16, Bytes) {
        let start =
            url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "startkey");
        let start: String = match start {
            Some((_, value)) => serde_json::from_str(&value).expect("a JSON string"),
            None => String::new(),
        };
        let names = self.0.lock();
        let rows = names.range(start..).take(page_rows);
        let rows: Vec<_> =
            rows.map(|id| json!({"id": id, "key": id, "value": {"rev": "1-a"}})).collect();
        let page = json!({ "total_rows": names.len(), "offset": 0, "rows": rows });
        (200, Bytes::from(page.to_string()))
    }
}

/// A mirror that wants every name and looks quickly, behind a feed that has told nothing yet.
fn thorough(page_rows: usize) -> (Builder, FakeFeed, FakeNames) {
    let builder = TestMirror::builder();
    let feed = FakeFeed::open(builder.upstream(), 1_000);
    let names = FakeNames::open(builder.upstream(), page_rows);
    let builder = builder.asks(|asks| asks.feed = FeedChoice::Auto).engine(|engine| {
        engine.follow.takes = Some(Takes::All);
        engine.follow.poll_every = Duration::from_millis(5);
        engine.audit.wants_all = true;
        engine.audit.look_every = Duration::from_millis(5);
        engine.audit.count_every = Duration::from_millis(5);
    });
    (builder, feed, names)
}

async fn audit(mirror: &TestMirror) -> AuditStatus {
    let status = mirror.engine().describe().await.expect("an engine that answers");
    status.audits.into_iter().next().expect("an audit")
}

/// Waits until the audit is as wanted.
async fn audit_that(
    mirror: &TestMirror,
    what: &str,
    wanted: impl Fn(&AuditStatus) -> bool,
) -> AuditStatus {
    let wanted = &wanted;
    until(what, || async move { Some(audit(mirror).await).filter(wanted) }).await
}
