//! C4, C8: pages of every size and shape.

use actors::changes_follower::FeedStart;
use store::feeds::Takes;

use super::{BEGIN, caught_up, following, here, idle, package, tasks_of};
use crate::harness::Package;

#[tokio::test]
async fn what_changes_upstream_arrives_without_being_asked_for() {
    let (builder, feed) = following();
    let mirror = builder.start().await;
    mirror.upstream.publish(&package("lamp"));
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    mirror.upstream.publish(&package("lamp").version("2.0.0"));
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    let document = mirror.get("/lamp").send().await.expect(200).json();
    assert_eq!(document["dist-tags"]["latest"], "2.0.0");
    assert_eq!(mirror.versions("lamp").await.len(), 2);
    mirror.finish().await;
}

#[tokio::test]
async fn pages_of_every_size_bring_every_name() {
    let names: Vec<String> = (0..12).map(|number| format!("p{number:02}")).collect();
    let packages: Vec<Package> = names.iter().map(|name| package(name)).collect();
    for (rows, most) in
        [(1, None), (2, None), (5, None), (12, None), (200, None), (10_000, Some(3))]
    {
        let (builder, feed) = following();
        feed.change_all(&names);
        if let Some(most) = most {
            feed.most_rows(most);
        }
        let mirror = builder
            .packages(&packages)
            .engine(|engine| engine.follow.page_rows = rows)
            .start()
            .await;
        let status = caught_up(&mirror, &feed).await;
        assert_eq!(here(&mirror).await, names, "pages of {rows}");
        assert_eq!(status.rows, 12, "pages of {rows}: no row was read twice");
        for name in &names {
            assert_eq!(tasks_of(&mirror, name).await, 1, "{name}, pages of {rows}");
        }
        mirror.finish().await;
    }
}

#[tokio::test]
async fn more_rows_than_a_feed_gives_are_never_asked_for() {
    let (builder, feed) = following();
    feed.change("lamp");
    let mirror = builder
        .packages(&[package("lamp")])
        .engine(|engine| engine.follow.page_rows = 10_001)
        .start()
        .await;
    caught_up(&mirror, &feed).await;
    assert!(feed.asked().iter().all(|(_, limit)| *limit <= 10_000));
    mirror.finish().await;
}

#[tokio::test]
async fn a_name_that_changes_again_and_again_is_synced_to_its_last_state() {
    let (builder, feed) = following();
    let mirror = builder.engine(|engine| engine.follow.page_rows = 2).start().await;
    let mut lamp = package("lamp");
    for minor in 1..=20 {
        lamp = lamp.version(&format!("1.{minor}.0"));
        mirror.upstream.publish(&lamp);
        feed.change("lamp");
    }
    caught_up(&mirror, &feed).await;
    assert_eq!(mirror.versions("lamp").await.len(), 21);
    mirror.finish().await;
}

#[tokio::test]
async fn odd_rows_cost_no_name_beside_them() {
    let (builder, feed) = following();
    let names = ["a", "b", "c", "d", "e"];
    let packages: Vec<_> = names.iter().map(|name| package(name)).collect();
    // The first page is looked at when the feed is found and gives no tasks.
    let found = r#"{"results":[],"last_seq":0}"#.to_owned();
    let seq = |offset: i64| BEGIN + offset;
    let pages = [
        // numbers in every form, twice the same row, unknown members, rows out of order
        format!(
            r#"{{"results":[{{"seq":"{}","id":"a"}},{{"seq":{},"id":"b","x":[1]}},{{"seq":{},"id":"b"}},17],"last_seq":3}}"#,
            seq(2),
            seq(1),
            seq(1)
        ),
        // no number at all: the page's own end leads on
        format!(r#"{{"results":[{{"seq":null,"id":"c"}}],"last_seq":{}}}"#, seq(5)),
        // a number from nowhere; `changes` is missing; `last_seq` lies behind
        format!(
            r#"{{"results":[{{"seq":{},"id":"d"}},{{"seq":9007199254740993,"id":"e"}}],"last_seq":1}}"#,
            seq(7)
        ),
    ];
    feed.script(std::iter::once(found).chain(pages));
    feed.skip(20);
    let mirror = builder.packages(&packages).start().await;
    crate::harness::until("all scripted pages", || async {
        (feed.scripted_left() == 0).then_some(())
    })
    .await;
    crate::harness::until("all names", || async { (here(&mirror).await == names).then_some(()) })
        .await;
    idle(&mirror).await;
    let since: Vec<i64> = feed.asked().into_iter().map(|(since, _)| since).take(5).collect();
    assert_eq!(since[1..], [BEGIN, seq(2), seq(5), seq(7)], "{since:?}");
    mirror.finish().await;
}

#[tokio::test]
async fn a_feed_begins_at_its_head_its_start_or_a_number() {
    for (start, takes, expected) in [
        (FeedStart::Auto, Takes::Held, vec!["late"]),
        (FeedStart::Head, Takes::All, vec!["late", "near"]),
        (FeedStart::Auto, Takes::All, vec!["early", "late", "near"]),
        (FeedStart::At(0), Takes::All, vec!["early", "late", "near"]),
    ] {
        let (builder, feed) = following();
        let packages = ["early", "near", "late"].map(package);
        feed.change("early");
        feed.skip(1_000);
        feed.change("near"); // within the margin before the head
        let mirror = builder
            .packages(&packages)
            .engine(|engine| {
                engine.follow.start = start;
                engine.follow.takes = Some(takes);
            })
            .start()
            .await;
        caught_up(&mirror, &feed).await;
        if takes == Takes::Held {
            mirror.sync(&["late"]).await;
            mirror.upstream.publish(&package("late").version("3.0.0"));
        }
        feed.change("late");
        caught_up(&mirror, &feed).await;
        assert_eq!(here(&mirror).await, expected, "{start:?} {takes:?}");
        if takes == Takes::Held {
            assert_eq!(mirror.versions("late").await.len(), 2, "{start:?}");
        }
        mirror.finish().await;
    }
}

#[tokio::test]
async fn what_was_here_before_the_first_look_is_asked_again() {
    let (builder, feed) = following();
    let mut mirror = builder
        .packages(&[package("lamp")])
        .engine(|engine| {
            engine.follow.takes = None;
            engine.follow.start = FeedStart::Head;
        })
        .start()
        .await;
    mirror.sync(&["lamp"]).await;
    // It changes while nobody follows; the row is long past when somebody does.
    mirror.upstream.publish(&package("lamp").version("2.0.0"));
    feed.change("lamp");
    feed.skip(1_000);
    feed.change("other");
    mirror.change_engine(|engine| engine.follow.takes = Some(Takes::Held)).await;
    caught_up(&mirror, &feed).await;
    crate::harness::until("the version that was missed", || async {
        (mirror.versions("lamp").await.len() == 2).then_some(())
    })
    .await;
    mirror.finish().await;
}
