//! Stopped and started again, killed, and two at once: the place and its tasks are one.

use std::collections::BTreeMap;
use std::sync::Arc;

use npm::{Change, PackageName, Seq};
use store::feeds::{self, FeedPage, Mover, Seen, Taken, Takes};

use super::{BEGIN, caught_up, following, here, package, tasks_of};
use crate::harness::{CHANGES, until};

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let (builder, feed) = following();
    let names: Vec<String> = (0..8).map(|number| format!("p{number}")).collect();
    let packages: Vec<_> = names.iter().map(|name| package(name)).collect();
    let mut mirror = builder.packages(&packages).start().await;
    for (count, name) in names.iter().enumerate() {
        feed.change(name);
        if count % 2 == 0 {
            caught_up(&mirror, &feed).await;
        }
        mirror.restart().await;
    }
    let status = caught_up(&mirror, &feed).await;
    assert_eq!(status.epoch, 1);
    assert_eq!(here(&mirror).await, names);
    for name in &names {
        assert_eq!(tasks_of(&mirror, name).await, 1, "{name}");
    }
    assert!(feed.asked().iter().all(|(since, _)| *since >= BEGIN), "never back to the start");
    mirror.finish().await;
}

/// Stopped while each kind of request is on its way: the head, the first look, a page.
#[tokio::test]
async fn stopped_within_any_step_no_name_is_lost_or_doubled() {
    let names: Vec<String> = (0..6).map(|number| format!("p{number}")).collect();
    let packages: Vec<_> = names.iter().map(|name| package(name)).collect();
    for (path, at) in
        [("/", 1), (CHANGES, 1), (CHANGES, 2), (CHANGES, 3), (CHANGES, 4), (CHANGES, 5)]
    {
        let (builder, feed) = following();
        feed.change_all(&names);
        let mut mirror = {
            let builder = builder.packages(&packages).engine(|engine| engine.follow.page_rows = 2);
            let upstream = builder.upstream();
            // The gate closes behind `at - 1` requests.
            if at > 1 {
                upstream.fault(path, crate::harness::Fault::Pass, at - 1);
            }
            let gate = upstream.gate(path);
            let mirror = builder.start().await;
            mirror.upstream.wait_for(path, at).await;
            (mirror, gate)
        };
        let before = mirror.0.store().read(|c| feeds::find(c, "default")).await.expect("a store");
        mirror.0.restart().await;
        mirror.0.upstream.heal(path);
        drop(mirror.1);
        caught_up(&mirror.0, &feed).await;
        assert_eq!(here(&mirror.0).await, names, "stopped at request {at} of {path}");
        for name in &names {
            assert_eq!(tasks_of(&mirror.0, name).await, 1, "{name}, {at} of {path}, {before:?}");
        }
        mirror.0.finish().await;
    }
}

/// A second follower on the same rows, as another node of a cluster has it: whoever reads a place
/// that is no longer the place writes nothing.
#[tokio::test]
async fn two_followers_never_move_one_place_twice() {
    let (builder, feed) = following();
    let mirror = builder.packages(&[package("lamp")]).start().await;
    caught_up(&mirror, &feed).await;
    let row = mirror.store().read(|c| feeds::find(c, "default")).await.expect("a store");
    let row = row.expect("a place");
    let page = |holder: &str, seq: Option<i64>| FeedPage {
        mover: Mover {
            registry: "default".into(),
            holder: holder.into(),
            lease_ms: 60_000,
            epoch: row.epoch,
            seq,
        },
        changes: vec![Change {
            seq: Some(Seq::new(BEGIN + 9_000)),
            name: PackageName::parse("intruder").expect("a name"),
            deleted: false,
            generation: None,
        }],
        next: BEGIN + 9_000,
        takes: Takes::All,
        ownership: Arc::default(),
        seen: Seen::default(),
        jumped: None,
    };
    for intruder in [page("another node", row.seq), page("another node", None)] {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let write = Box::new(move |connection: &mut store::AnyConnection| {
            let taken = feeds::take_page(connection, &intruder)?;
            let _ = answer.send(taken);
            Ok(())
        });
        mirror.engine().write(write).await.expect("a write");
        assert_eq!(answered.await.expect("an answer"), Taken::Moved);
    }
    feed.change("lamp");
    caught_up(&mirror, &feed).await;
    assert_eq!(here(&mirror).await, ["lamp"]);
    mirror.finish().await;
}

/// While pages are read as fast as they come, publishing and restarts go on: in the end the
/// mirror has what the upstream has.
#[tokio::test]
async fn publishing_and_restarts_together_end_equal() {
    let (builder, feed) = following();
    let mut mirror = builder.engine(|engine| engine.follow.page_rows = 3).start().await;
    let mut published: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..60_usize {
        let name = format!("p{}", (round * 7) % 11);
        let count = published.entry(name.clone()).and_modify(|count| *count += 1).or_insert(1);
        let package = (0..*count).fold(crate::harness::Package::new(&name), |package, minor| {
            package.version(&format!("1.{minor}.0"))
        });
        mirror.upstream.publish(&package);
        feed.change(&name);
        if round % 15 == 14 {
            mirror.restart().await;
        }
    }
    caught_up(&mirror, &feed).await;
    for (name, count) in &published {
        until(name, || async { (mirror.versions(name).await.len() == *count).then_some(()) }).await;
    }
    mirror.finish().await;
}
