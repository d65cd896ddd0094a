//! `upstream.monthly`: the requests of a month, across restarts and kills.

use store::{TaskState, VersionState};

use crate::harness::{Espejo, FakeUpstream, KEYS_PATH, Package, TestMirror, until};

fn packages(count: usize) -> Vec<Package> {
    (0..count).map(|index| Package::new(&format!("lamp-{index}")).version("1.0.0")).collect()
}

#[tokio::test]
async fn what_is_over_the_budget_is_said_and_seen_and_stays_so_after_a_restart() {
    let mut mirror = TestMirror::builder()
        .packages(&packages(8))
        .asks(|settings| settings.requests_per_month = 10)
        .start()
        .await;
    let names: Vec<_> = packages(8).iter().map(|package| package.name.clone()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let rows = mirror.enqueue(&names, &store::tasks::TaskOptions::default()).await;
    // each package asks for a document and an archive; a person who is refused is told why
    let mut refused = Vec::new();
    for row in &rows {
        let ended = mirror.ended(row.id).await;
        refused.extend(ended.error);
    }
    assert!(!refused.is_empty());
    for why in &refused {
        assert!(why.contains("10 of this month's 10 requests (upstream.monthly)"), "{why}");
    }
    // the list of signing keys is one of them
    let sent = |upstream: &FakeUpstream| upstream.asked().len() + upstream.count(KEYS_PATH);
    assert_eq!(sent(&mirror.upstream), 10);
    let status = mirror.engine().describe().await.expect("an engine that answers");
    let upstream = status.syncs[0].upstream.clone().expect("an upstream");
    let budget = upstream.budget.expect("a budget");
    assert_eq!((budget.used, budget.most, budget.granted.people), (10, 10, 10));
    let missed = mirror.get("/not-here").send().await;
    assert_eq!(missed.status, 503, "a reader is told to come back");
    assert!(missed.must("retry-after").parse::<u64>().expect("seconds") > 0);
    mirror.restart().await;
    assert_eq!(mirror.get("/not-there").send().await.status, 503);
    assert_eq!(sent(&mirror.upstream), 10);
    // what is here is served
    let held = mirror.versions("lamp-0").await;
    if held.first().is_some_and(|version| version.state == VersionState::Held) {
        mirror.get("/lamp-0").send().await.expect(200);
    }
    mirror.finish().await;
}

#[tokio::test]
async fn a_program_that_is_killed_again_and_again_never_asks_more_than_its_budget() {
    const MOST: usize = 30;
    let upstream = FakeUpstream::start();
    for package in packages(40) {
        upstream.publish(&package);
    }
    let names: Vec<_> = packages(40).iter().map(|package| package.name.clone()).collect();
    let mut arguments = vec!["sync"];
    arguments.extend(names.iter().map(String::as_str));
    let folder = tempfile::tempdir().expect("a scratch folder");
    let espejo = Espejo::new(folder.path())
        .env("ESPEJO_UPSTREAM", upstream.url())
        .env("ESPEJO_UPSTREAM__MONTHLY", MOST);
    for kill in 1..=4 {
        let mut child = espejo.spawn(&arguments);
        let reached = kill * MOST / 5;
        while upstream.asked().len() < reached && child.try_wait().expect("a child").is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        child.kill().expect("a child to kill");
        child.wait().expect("a child that ended");
        assert!(upstream.asked().len() <= MOST, "after kill {kill}");
    }
    let ended = espejo.run(&arguments);
    assert_ne!(ended.code, Some(0), "40 packages are more than 30 requests");
    assert!(ended.stderr.contains("upstream.monthly") || ended.stdout.contains("upstream.monthly"));
    // a kill between reserving a number and asking with it wastes that one
    let asked = upstream.asked().len();
    assert!((MOST - 4..=MOST).contains(&asked), "{asked}");
}

#[tokio::test]
async fn the_feed_waits_for_its_part_of_the_month_and_loses_nothing() {
    let mirror = TestMirror::builder()
        .packages(&packages(1))
        .asks(|settings| settings.requests_per_month = 30)
        .engine(|settings| settings.max_attempts = 1)
        .start()
        .await;
    // readers use the month up to a share the feed does not reach even on its last day
    for index in 0..29 {
        mirror.get(&format!("/absent-{index}")).send().await.expect(404);
    }
    let mut task = mirror.new_task("lamp-0", &store::tasks::TaskOptions::default());
    task.priority = store::tasks::PRIORITY_FEED;
    let rows = mirror.engine().enqueue(vec![task]).await.expect("a queue");
    let why = until("a task that waits", || async {
        let row = mirror.task(rows[0].id).await;
        row.error.filter(|_| row.state == TaskState::Waiting)
    })
    .await;
    assert!(why.contains("the feed waits"), "{why}");
    assert_eq!(mirror.upstream.asked().len(), 29, "it has not asked");
    mirror.finish().await;
}
