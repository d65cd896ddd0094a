//! What people here read has a better rank in the budget of requests than what only the feed named.

use actors::upstream::ByRank;

use super::{caught_up, following, package};
use crate::harness::TestMirror;

async fn granted(mirror: &TestMirror) -> ByRank {
    let status = mirror.engine().describe().await.expect("an engine that answers");
    let upstream = status.syncs[0].upstream.as_ref().expect("an upstream");
    upstream.budget.as_ref().expect("a budget").granted
}

#[tokio::test]
async fn a_row_of_the_feed_counts_as_popular_when_people_read_its_package() {
    let (builder, feed) = following();
    let mirror = builder
        .packages(&[package("lamp"), package("bulb")])
        .asks(|asks| asks.requests_per_month = 1_000_000)
        .start()
        .await;
    feed.change("lamp");
    feed.change("bulb");
    caught_up(&mirror, &feed).await;
    assert_eq!(granted(&mirror).await.popular, 0);
    mirror.get("/lamp").send().await.expect(200);
    feed.change("lamp");
    feed.change("bulb");
    caught_up(&mirror, &feed).await;
    let counts = granted(&mirror).await;
    assert_eq!(counts.popular, 1, "{counts:?}");
    mirror.finish().await;
}
