//! The upstream's list of names against what is here.

use npm::PackageName;
use store::completeness::{self, GapCursor, Why};
use store::packages;

use super::{LIST, audit_that, thorough};
use crate::harness::{Package, TestMirror, until};

async fn here(mirror: &TestMirror) -> Vec<String> {
    let names = mirror.store().read(|c| packages::names_after(c, "", 100)).await.expect("a store");
    names.iter().map(|name| name.as_str().to_owned()).collect()
}

async fn are_here(mirror: &TestMirror, wanted: &[&str]) {
    until("these packages", || async move { (here(mirror).await == wanted).then_some(()) }).await;
}

#[tokio::test]
async fn names_that_no_feed_told_are_found_and_those_that_cannot_be_had_are_listed() {
    let (builder, _feed, list) = thorough(2);
    list.add(&["@s/a", "_design/app", "b", "ghost", "z"]);
    let packages = ["@s/a", "b", "z"].map(|name| Package::new(name).version("1.0.0"));
    let mirror = builder.packages(&packages).start().await;
    are_here(&mirror, &["@s/a", "b", "z"]).await;
    let status = audit_that(&mirror, "a failed name", |status| {
        // the task of a package that is here ends a moment after its rows
        let gaps = &status.gaps;
        let open = (gaps.names_failed, gaps.names_waiting, gaps.names_never_fetched);
        open == (1, 0, 0) && status.names.ended_at_ms.is_some()
    })
    .await;
    assert_eq!((status.names.names, status.names.missing, status.names.absent), (5, 4, 0));
    let why = Some(Why::Failed);
    let store = mirror.store();
    let page = store.read(move |c| completeness::list(c, why, &GapCursor::default(), 9)).await;
    let gaps = page.expect("a readable store").gaps;
    assert_eq!((gaps.len(), gaps[0].name.as_str()), (1, "ghost"));
    assert!(gaps[0].reason.as_deref().is_some_and(|why| why.contains("404")), "{gaps:?}");
    // the next round is a week away: nobody asks for it again and again
    assert_eq!(mirror.upstream.count("/ghost"), 1);
    mirror.finish().await;
}

#[tokio::test]
async fn a_package_that_the_list_lacks_is_asked_for_and_nothing_here_is_dropped() {
    let (builder, _feed, list) = thorough(100);
    let packages = ["kept", "lost", "stays"].map(|name| Package::new(name).version("1.0.0"));
    let builder = builder.packages(&packages).engine(|engine| {
        engine.audit.names_every = std::time::Duration::ZERO;
    });
    let mut mirror = builder.start().await;
    mirror.sync(&["kept", "lost", "stays"]).await;
    list.add(&["kept", "stays"]);
    mirror.upstream.remove("/lost");
    mirror.upstream.forget_asked();
    mirror.change_engine(|engine| engine.audit.names_every = WEEK).await;
    let status =
        audit_that(&mirror, "a round that ended", |status| status.names.ended_at_ms.is_some())
            .await;
    assert_eq!((status.names.missing, status.names.absent), (0, 1));
    mirror.upstream.wait_for("/lost", 1).await;
    let asked = mirror.upstream.asked();
    let asked = asked.iter().find(|asked| asked.path == "/lost").expect("a request");
    assert_eq!(asked.header("if-none-match"), None, "as if nothing of it were here");
    assert_eq!(mirror.upstream.count("/kept"), 0);
    let lost = PackageName::parse("lost").expect("a name");
    let row = mirror.store().read(move |c| packages::find(c, &lost)).await.expect("a store");
    assert!(row.is_some(), "one answer that it is gone drops nothing");
    mirror.finish().await;
}

const WEEK: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

#[tokio::test]
async fn a_round_that_was_interrupted_goes_on_where_it_was() {
    let (builder, _feed, list) = thorough(3); // with the name it starts with: two new ones a page
    list.add(&["a", "b", "c", "d", "e", "f"]);
    let packages = ["a", "b", "c", "d", "e", "f"].map(|name| Package::new(name).version("1.0.0"));
    let builder = builder.packages(&packages);
    builder.upstream().fault(LIST, crate::harness::Fault::Pass, 2);
    let gate = builder.upstream().gate(LIST);
    let mut mirror = builder.start().await;
    mirror.upstream.wait_for(LIST, 3).await;
    mirror.restart().await;
    mirror.upstream.wait_for(LIST, 4).await; // the same page again
    mirror.upstream.heal(LIST);
    drop(gate);
    are_here(&mirror, &["a", "b", "c", "d", "e", "f"]).await;
    audit_that(&mirror, "the end of the round", |status| status.names.ended_at_ms.is_some()).await;
    let asked = mirror.upstream.asked();
    let starts: Vec<_> = asked
        .iter()
        .filter(|asked| asked.path == LIST)
        .map(|asked| asked.query.split("startkey=").nth(1).unwrap_or("").to_owned())
        .collect();
    assert_eq!(starts, ["", "%22c%22", "%22e%22", "%22e%22", "%22f%22"]);
    mirror.finish().await;
}

#[tokio::test]
async fn an_upstream_without_a_list_is_asked_once_and_all_else_goes_on() {
    let (builder, feed, _) = thorough(10);
    builder.upstream().fail(LIST, 404, usize::MAX);
    let lamp = Package::new("lamp").version("1.0.0");
    let mirror = builder.packages(&[lamp]).start().await;
    let status = audit_that(&mirror, "a problem", |status| status.names.problem.is_some()).await;
    assert!(status.names.problem.is_some_and(|text| text.contains("404")));
    feed.change("lamp");
    are_here(&mirror, &["lamp"]).await;
    assert_eq!(mirror.upstream.count(LIST), 1);
    mirror.finish().await;
}
